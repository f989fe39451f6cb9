"""Writes evidence files: MCAP for Foxglove, with the frames, overlays, scores and reports around an alert.

Needs the extra `evidence`. Topics, all times are capture times:

    /camera      foxglove.CompressedImage     the frame's bytes as the camera encoded them, without EXIF
    /overlay     foxglove.ImageAnnotations    drawn from the report, as on the overlays topic
    /frames      JSON                         identity and place of each frame; one precedes each picture
    /scores /p_values /change                 JSON, from the reports; change is a ratio to the threshold
    /thresholds /alerts                       JSON, one for each revision of the alert

The reports themselves are an attachment, since MCAP has no MessagePack encoding; the metadata record `gradwatch` names
what the alert depends on. The same window gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import IO, Any

import msgspec
import structlog
from foxglove_schemas_protobuf.CompressedImage_pb2 import CompressedImage
from foxglove_schemas_protobuf.ImageAnnotations_pb2 import ImageAnnotations
from mcap.writer import CompressionType, Writer
from mcap_protobuf.schema import register_schema

import gradwatch
from gradwatch.streams.wire.messages import Alert, EncodedFrame, FrameReport
from gradwatch.streams.wire.outputs import encode_alert, encode_report

from ..overlay import annotations as overlays
from . import format as names
from .window import MissingCause, TimeWindow

log = structlog.get_logger()

NUMBER, TEXT, INTEGER = {"type": "number"}, {"type": "string"}, {"type": "integer"}
NUMBERS, TEXTS = {"type": "array", "items": NUMBER}, {"type": "array", "items": TEXT}


def write_evidence(
    stream: IO[bytes],
    alerts: Sequence[Alert],
    time: TimeWindow,
    reports: Sequence[FrameReport],
    frames: Iterable[EncodedFrame],
    find_missing: Callable[[], dict[int, MissingCause]],
) -> tuple[int, dict[int, MissingCause]]:
    """Writes one file; returns the number of its frames, and the missing ones.

    `alerts` are revisions of one alert, the latest last. Frames are written as they are read, so none is held in
    memory; `find_missing` is called after the last one.
    """
    writer = Writer(stream, compression=CompressionType.NONE)  # pictures are compressed already
    writer.start(profile="", library=f"gradwatch {gradwatch.__version__}")
    count = _write_frames(writer, frames)
    missing = find_missing()
    _write_reports(writer, reports)
    _write_alerts(writer, alerts)
    encoded = msgspec.msgpack.encode([encode_report(report) for report in reports])
    writer.add_attachment(0, alerts[-1].onset_capture_ns, names.REPORTS, "application/msgpack", encoded)
    writer.add_metadata(names.METADATA, _metadata(alerts[-1], time, count, missing))
    writer.finish()  # type: ignore[no-untyped-call]
    return count, missing


def _write_frames(writer: Writer, frames: Iterable[EncodedFrame]) -> int:
    types = dict.fromkeys(names.FrameRecord.__struct_fields__, TEXT)
    records = _json_channel(writer, names.FRAMES, types | dict.fromkeys(("seq", "partition", "offset"), INTEGER))
    camera = _protobuf_channel(writer, names.CAMERA, CompressedImage)
    count = 0
    for frame in frames:
        count += 1
        stamp = frame.stamp
        record = names.FrameRecord(
            **msgspec.structs.asdict(stamp.identity),
            partition=stamp.partition,
            offset=stamp.offset,
            capture_ns=str(stamp.capture_ns),
            published_ns=str(stamp.published_ns),
            encoding=frame.encoding,
            clock=stamp.clock,
            traceparent=stamp.traceparent,
        )
        _add_json(writer, records, stamp.capture_ns, record)
        encoding = frame.encoding.removeprefix("image/")
        picture = CompressedImage(frame_id=stamp.identity.stream_id, data=frame.content, format=encoding)
        picture.timestamp.FromNanoseconds(stamp.capture_ns)
        _add(writer, camera, stamp.capture_ns, picture.SerializeToString())
    return count


def _write_reports(writer: Writer, reports: Sequence[FrameReport]) -> None:
    overlay = _protobuf_channel(writer, names.OVERLAY, ImageAnnotations)
    scores = _report_channel(writer, names.SCORES, "scores", NUMBERS, (report.scores for report in reports))
    p_values = _report_channel(writer, names.P_VALUES, "p_values", NUMBERS, (report.p_values for report in reports))
    change = _report_channel(writer, names.CHANGE, "ratios", NUMBER, (report.change for report in reports))
    for report in reports:
        at_ns = report.capture_ns
        if (drawn := _overlay(report)) is not None:
            _add(writer, overlay, at_ns, drawn)
        frame = {"seq": report.identity.seq, "outcome": report.outcome, "state": report.state}
        _add_json(writer, scores, at_ns, frame | {"scores": _lists(report.scores)})
        _add_json(writer, p_values, at_ns, frame | {"p_values": _lists(report.p_values)})
        _add_json(writer, change, at_ns, frame | {"ratios": report.change, "threshold": 1.0})


def _overlay(report: FrameReport) -> bytes | None:
    """None for a report with inconsistent arrays, so that it costs no other frame its evidence."""
    try:
        drawn: Any = _protobuf_times(overlays.annotations(report))
        return bytes(ImageAnnotations(**drawn).SerializeToString())
    except (ValueError, TypeError, IndexError) as error:  # written by something other than our worker
        log.warning("can't draw the report", frame=str(report.identity), error=str(error))
        return None


def _write_alerts(writer: Writer, alerts: Sequence[Alert]) -> None:
    types = {"revision": INTEGER, "carried_by": TEXTS, "threshold": NUMBER, "mean_time_between_false_alarms_s": NUMBER}
    thresholds = _json_channel(writer, names.THRESHOLDS, types)
    fields = {name: _type(name, getattr(alerts[-1], name)) for name in Alert.__struct_fields__}
    revisions = _json_channel(writer, names.ALERTS, fields)
    for alert in alerts:
        _add_json(writer, thresholds, alert.last_capture_ns, {name: getattr(alert, name) for name in types})
        _add(writer, revisions, alert.last_capture_ns, encode_alert(alert))


def _type(name: str, value: object) -> dict[str, Any]:
    """The JSON type of a field of an alert; Foxglove reads only schemas without references."""
    if name.endswith("_ns"):
        return TEXT
    if isinstance(value, list):
        return TEXTS
    return INTEGER if isinstance(value, int) else NUMBER if isinstance(value, float) else TEXT


def _metadata(alert: Alert, time: TimeWindow, frames: int, missing: dict[int, MissingCause]) -> dict[str, str]:
    named = ("stream_id", "run_id", "alert_id", "revision", "state", "models_id", "calibration_id", "configuration_id")
    window = {"start_ns": str(time.start_ns), "end_ns": str(time.end_ns), "frames": str(frames)}
    missing_json = msgspec.json.encode([*missing.items()]).decode()
    of_alert = {name: str(getattr(alert, name)) for name in named}
    return {"version": gradwatch.__version__, **of_alert, **window, "missing": missing_json}


def _lists(scores: Mapping[str, Any]) -> dict[str, list[float]]:
    return {name: values.tolist() for name, values in scores.items()}


def _protobuf_times(value: Any) -> Any:
    """A message in Foxglove's JSON form with its times renamed as in protobuf."""
    if isinstance(value, list):
        return [_protobuf_times(inner) for inner in value]
    if not isinstance(value, dict):
        return value
    if "nsec" in value:
        return {"seconds": value["sec"], "nanos": value["nsec"]}
    return {name: _protobuf_times(inner) for name, inner in value.items()}


def _protobuf_channel(writer: Writer, topic: str, message: Any) -> int:
    return int(writer.register_channel(topic, "protobuf", register_schema(writer, message)))


def _report_channel(
    writer: Writer, topic: str, field: str, kind: dict[str, Any], maps: Iterable[Mapping[str, Any]]
) -> int:
    """A channel of values by score name, `field`, beside what names the frame."""
    properties = dict.fromkeys(sorted({name for one in maps for name in one}), kind)
    frame = {"seq": INTEGER, "outcome": TEXT, "state": TEXT}
    return _json_channel(
        writer, topic, frame | {field: {"type": "object", "properties": properties}, "threshold": NUMBER}
    )


def _json_channel(writer: Writer, topic: str, properties: dict[str, Any]) -> int:
    name = f"gradwatch.{topic.removeprefix('/')}"
    schema = {"title": name, "type": "object", "properties": properties}
    number = writer.register_schema(name, "jsonschema", msgspec.json.encode(schema))
    return int(writer.register_channel(topic, "json", number))


def _add(writer: Writer, channel: int, time_ns: int, content: bytes) -> None:
    writer.add_message(channel, time_ns, content, time_ns)


def _add_json(writer: Writer, channel: int, time_ns: int, message: Any) -> None:
    _add(writer, channel, time_ns, msgspec.json.encode(message))
