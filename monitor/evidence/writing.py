"""Writes evidence files: MCAP that Foxglove opens, with the frames, overlays, scores and reports around an alert.

Topics, all times capture times:

    /camera      foxglove.CompressedImage     the frame's bytes, unchanged
    /overlay     foxglove.ImageAnnotations    drawn from the report, as on the overlays topic
    /frames      JSON                         identity and place of each frame; one comes before each picture
    /scores /p_values /change                 JSON, from the reports; change is a ratio to the threshold
    /thresholds /alerts                       JSON, one for each revision of the alert

The reports themselves are an attachment, since MCAP knows no MessagePack; the record of metadata `gradwatch` names
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
from gradwatch.streams.wire.messages import Alert, EncodedFrame, FrameReport, FrameStamp
from gradwatch.streams.wire.outputs import encode_alert, encode_report

from ..overlay import annotations as overlays
from .absences import Missing, TimeWindow
from .format import (
    ALERTS,
    CAMERA,
    CHANGE,
    FRAMES,
    METADATA,
    OVERLAY,
    P_VALUES,
    REPORTS,
    SCORES,
    THRESHOLDS,
    FrameRecord,
)

log = structlog.get_logger()

NUMBER, TEXT, INTEGER = {"type": "number"}, {"type": "string"}, {"type": "integer"}
NUMBERS, TEXTS = {"type": "array", "items": NUMBER}, {"type": "array", "items": TEXT}


def write_file(
    stream: IO[bytes],
    alerts: Sequence[Alert],
    time: TimeWindow,
    reports: Sequence[FrameReport],
    frames: Iterable[EncodedFrame],
    missing: Callable[[], list[Missing]],
) -> tuple[int, list[Missing]]:
    """Writes one file; returns how many frames are in it, and what `missing` said once all had been taken.

    `alerts` are revisions of one alert, the latest last. `frames` are written as they come, so that none is kept.
    """
    writer = Writer(stream, compression=CompressionType.NONE)  # pictures get no smaller
    writer.start(profile="", library=f"gradwatch {gradwatch.__version__}")
    count = _write_frames(writer, frames)
    absent = missing()
    _write_reports(writer, reports)
    _write_alerts(writer, alerts)
    kept = msgspec.msgpack.encode([encode_report(report) for report in reports])
    writer.add_attachment(0, alerts[-1].onset_capture_ns, REPORTS, "application/msgpack", kept)
    writer.add_metadata(METADATA, _metadata(alerts, time, count, absent))
    writer.finish()  # type: ignore[no-untyped-call]
    return count, absent


def _write_frames(writer: Writer, frames: Iterable[EncodedFrame]) -> int:
    places = _json_channel(writer, FRAMES, dict.fromkeys(FrameRecord.__struct_fields__, TEXT) | _integers())
    camera = _channel(writer, CAMERA, CompressedImage)
    count = 0
    for frame in frames:
        count += 1
        stamp = frame.stamp
        _add_json(writer, places, stamp.capture_ns, _record(stamp, frame.encoding))
        encoding = frame.encoding.removeprefix("image/")
        picture = CompressedImage(frame_id=stamp.identity.stream_id, data=frame.content, format=encoding)
        picture.timestamp.FromNanoseconds(stamp.capture_ns)
        _add(writer, camera, stamp.capture_ns, picture.SerializeToString())
    return count


def _integers() -> dict[str, Any]:
    return dict.fromkeys(("seq", "partition", "offset"), INTEGER)


def _write_reports(writer: Writer, reports: Sequence[FrameReport]) -> None:
    overlay = _channel(writer, OVERLAY, ImageAnnotations)
    scores = _json_channel(writer, SCORES, _by_name("scores", NUMBERS, (report.scores for report in reports)))
    p_values = _json_channel(writer, P_VALUES, _by_name("p_values", NUMBERS, (report.p_values for report in reports)))
    change = _json_channel(writer, CHANGE, _by_name("ratios", NUMBER, (report.change for report in reports)))
    for report in reports:
        at_ns, seq = report.capture_ns, report.identity.seq
        if (drawn := _overlay(report)) is not None:
            _add(writer, overlay, at_ns, drawn)
        said = {"seq": seq, "outcome": report.outcome, "state": report.state}
        _add_json(writer, scores, at_ns, said | {"scores": _lists(report.scores)})
        _add_json(writer, p_values, at_ns, said | {"p_values": _lists(report.p_values)})
        _add_json(writer, change, at_ns, said | {"ratios": report.change, "threshold": 1.0})


def _overlay(report: FrameReport) -> bytes | None:
    """None for a report whose arrays don't fit each other, so that it costs no other frame its evidence."""
    try:
        drawn: Any = _protobuf_times(overlays.annotations(report))
        return bytes(ImageAnnotations(**drawn).SerializeToString())
    except (ValueError, TypeError, IndexError) as error:  # whoever wrote it was no worker of ours
        log.warning("report can't be drawn", frame=str(report.identity), error=str(error))
        return None


def _write_alerts(writer: Writer, alerts: Sequence[Alert]) -> None:
    thresholds = _json_channel(
        writer,
        THRESHOLDS,
        {"revision": INTEGER, "carried_by": TEXTS, "threshold": NUMBER, "mean_time_between_false_alarms_s": NUMBER},
    )
    revisions = _json_channel(writer, ALERTS, {name: _type(alerts[-1], name) for name in Alert.__struct_fields__})
    for alert in alerts:
        said = {
            "revision": alert.revision,
            "carried_by": alert.carried_by,
            "threshold": alert.threshold,
            "mean_time_between_false_alarms_s": alert.mean_time_between_false_alarms_s,
        }
        _add_json(writer, thresholds, alert.last_capture_ns, said)
        _add(writer, revisions, alert.last_capture_ns, encode_alert(alert))


def _type(alert: Alert, name: str) -> dict[str, Any]:
    """The JSON type of a field of an alert; Foxglove reads schemas without references."""
    value = getattr(alert, name)
    if name.endswith("_ns"):
        return TEXT
    if isinstance(value, list):
        return TEXTS
    return INTEGER if isinstance(value, int) else NUMBER if isinstance(value, float) else TEXT


def _metadata(alerts: Sequence[Alert], time: TimeWindow, frames: int, missing: list[Missing]) -> dict[str, str]:
    alert = alerts[-1]
    return {
        "version": gradwatch.__version__,
        "stream_id": alert.stream_id,
        "run_id": alert.run_id,
        "alert_id": alert.alert_id,
        "revision": str(alert.revision),
        "state": alert.state,
        "models_id": alert.models_id,
        "calibration_id": alert.calibration_id,
        "configuration_id": alert.configuration_id,
        "start_ns": str(time.start_ns),
        "end_ns": str(time.end_ns),
        "frames": str(frames),
        "missing": msgspec.json.encode([(one.seq, one.cause) for one in missing]).decode(),
    }


def _record(stamp: FrameStamp, encoding: str) -> FrameRecord:
    return FrameRecord(
        **msgspec.structs.asdict(stamp.identity),
        partition=stamp.partition,
        offset=stamp.offset,
        capture_ns=str(stamp.capture_ns),
        published_ns=str(stamp.published_ns),
        encoding=encoding,
        clock=stamp.clock,
        traceparent=stamp.traceparent,
    )


def _by_name(field: str, kind: dict[str, Any], maps: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    names = sorted({name for one in maps for name in one})
    said = {"seq": INTEGER, "outcome": TEXT, "state": TEXT}
    return said | {field: {"type": "object", "properties": dict.fromkeys(names, kind)}, "threshold": NUMBER}


def _lists(scores: Mapping[str, Any]) -> dict[str, list[float]]:
    return {name: values.tolist() for name, values in scores.items()}


def _protobuf_times(value: Any) -> Any:
    """A message of Foxglove's JSON form, its times as protobuf names them."""
    if isinstance(value, list):
        return [_protobuf_times(inner) for inner in value]
    if not isinstance(value, dict):
        return value
    if "nsec" in value:
        return {"seconds": value["sec"], "nanos": value["nsec"]}
    return {name: _protobuf_times(inner) for name, inner in value.items()}


def _channel(writer: Writer, topic: str, message: Any) -> int:
    return int(writer.register_channel(topic, "protobuf", register_schema(writer, message)))


def _json_channel(writer: Writer, topic: str, properties: dict[str, Any]) -> int:
    name = f"gradwatch.{topic.removeprefix('/')}"
    schema = {"title": name, "type": "object", "properties": properties}
    number = writer.register_schema(name, "jsonschema", msgspec.json.encode(schema))
    return int(writer.register_channel(topic, "json", number))


def _add(writer: Writer, channel: int, time_ns: int, content: bytes) -> None:
    writer.add_message(channel, time_ns, content, time_ns)


def _add_json(writer: Writer, channel: int, time_ns: int, message: Any) -> None:
    _add(writer, channel, time_ns, msgspec.json.encode(message))
