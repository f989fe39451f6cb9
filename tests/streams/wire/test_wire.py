"""The contract on the wire. `python -m tests.streams.wire.test_wire` writes the golden files.

Before a new minor version of a message, copy its golden file to `<name>-1.N`: older ones must always be read.
"""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import numpy as np
import pytest

from gradwatch.streams.wire.frames import bare_identity, decode_frame, encode_frame
from gradwatch.streams.wire.messages import (
    Alert,
    AlertKind,
    AlertState,
    Disturbance,
    DisturbanceState,
    EncodedFrame,
    FrameIdentity,
    FrameReport,
    FrameStamp,
    HealthRecord,
    Outcome,
    OutcomeCause,
    ReportedDetections,
    ReportedForecasts,
    ReportedTracks,
    Severity,
    StreamState,
    alert_id,
)
from gradwatch.streams.wire.outputs import (
    decode_alert,
    decode_health,
    decode_report,
    encode_alert,
    encode_health,
    encode_report,
)
from gradwatch.streams.wire.pixels import BadRecordError, encode_jpeg
from gradwatch.streams.wire.records import Record, cloud_event_headers

from ...places import GOLDEN

RUN = "01JD0000000000000000000000"
CAPTURE_NS = 1_790_000_000_123_456_789  # more digits than a JavaScript number holds
IDENTITY = FrameIdentity("north-gate", RUN, 41)
TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def picture(height: int = 24, width: int = 40) -> np.ndarray:
    return np.random.default_rng(7).integers(0, 256, (height, width, 3), np.uint8)


def golden_frame() -> EncodedFrame:
    content = b"\xff\xd8\xff\xe0 stands for a JPEG"
    stamp = FrameStamp(IDENTITY, CAPTURE_NS, CAPTURE_NS + 1_000_000, traceparent=TRACEPARENT, size_bytes=len(content))
    return EncodedFrame(stamp, content)


def floats(*values: float, shape: tuple[int, ...] = (-1,)) -> np.ndarray:
    return np.array(values, np.float32).reshape(shape)


def golden_report() -> FrameReport:
    return FrameReport(
        identity=IDENTITY,
        partition=3,
        offset=1041,
        capture_ns=CAPTURE_NS,
        published_ns=CAPTURE_NS + 1_000_000,
        clock="utc",
        outcome=Outcome.JUDGED,
        state=StreamState.ALERTING,
        width=1628,
        height=1236,
        detections=ReportedDetections(floats(1, 2, 30.5, 40, shape=(1, 4)), floats(0.75), ["sign"], ["stop"]),
        scores={"sign_uniform_gradient": floats(1.5), "no_sign": floats()},
        p_values={"sign_uniform_gradient": floats(0.01)},
        score_detections={"sign_uniform_gradient": np.array([0], np.int32)},
        tracks=ReportedTracks(
            track_id=[9],
            kind=["sign"],
            xyxy=floats(1, 2, 30.5, 40, shape=(1, 4)),
            velocity=floats(-3, 0.25, shape=(1, 2)),
            covariance=np.eye(4, dtype=np.float32)[None],
            age_s=floats(1.2),
            detection_index=np.array([0], np.int32),
            expected=["yield"],
        ),
        forecasts=ReportedForecasts(
            horizon_s=floats(0.5, 1),
            mean=floats(14, 21, 12.5, 21.25, shape=(1, 2, 2)),
            radius=floats(4, 9, shape=(1, 2)),
            coverage_asked=0.9,
            coverage_achieved=float("nan"),
            checked=0,
        ),
        change={"distribution_shift/image_statistics": 1.25},
        latency_ms={"decode": 4.0},
        alert_ids=[alert_id("north-gate", RUN, AlertKind.DISTRIBUTION_SHIFT, 38)],
        models_id="m1",
        calibration_id="c1",
        configuration_id="k1",
        traceparent=TRACEPARENT,
    )


def golden_alert() -> Alert:
    return Alert(
        alert_id=alert_id("north-gate", RUN, AlertKind.DISTRIBUTION_SHIFT, 38),
        revision=2,
        kind=AlertKind.DISTRIBUTION_SHIFT,
        severity=Severity.WARNING,
        state=AlertState.OPEN,
        stream_id="north-gate",
        run_id=RUN,
        onset_seq=38,
        last_seq=41,
        onset_capture_ns=CAPTURE_NS - 300_000_000,
        last_capture_ns=CAPTURE_NS,
        partition=3,
        first_offset=1038,
        last_offset=1041,
        score=1.25,
        p_value=0.002,
        threshold=9.5,
        mean_time_between_false_alarms_s=3600.0,
        carried_by=["image_statistics"],
        reason="the picture is unlike those that this stream was calibrated on",
        cause_probability=0.8,
        traceparent=TRACEPARENT,
        peak_seq=40,
        peak_capture_ns=CAPTURE_NS - 100_000_000,
        peak_ratios={"image_statistics": 1.25},
        peak_p_values={"image_statistics": 0.002},
        duration_s=0.3,
    )


def golden_health() -> HealthRecord:
    return HealthRecord(
        stream_id="north-gate",
        run_id=RUN,
        disturbance=Disturbance.FROZEN,
        state=DisturbanceState.BEGIN,
        at_ns=CAPTURE_NS + 3_000_000_000,
        since_ns=CAPTURE_NS,
        last_seq=41,
        detail="",
    )


def golden_files() -> dict[Path, bytes]:
    frame = encode_frame(golden_frame())
    texts = {"key": frame.key.decode(), "headers": {name: value.decode() for name, value in frame.headers}}
    return {
        GOLDEN / "frame_headers.json": json.dumps(texts, indent=2).encode() + b"\n",
        GOLDEN / "report.msgpack": encode_report(golden_report()),
        GOLDEN / "alert.json": encode_alert(golden_alert()),
        GOLDEN / "health.json": encode_health(msgspec.to_builtins(golden_health())),
    }


def record_of(frame: EncodedFrame, **changes: str | None) -> Record:
    """The record of a frame; `changes` replace headers, None leaves one out."""
    wire = encode_frame(frame)
    headers = dict(wire.headers) | {n: v.encode() for n, v in changes.items() if v is not None}
    left = tuple((name, value) for name, value in headers.items() if changes.get(name, "") is not None)
    return Record("gradwatch.frames", 3, 1041, frame.stamp.published_ns // 1_000_000, wire.key, wire.value, left)


# --- golden files -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", golden_files(), ids=lambda path: path.name)
def test_what_is_written_today_is_what_was_agreed(path: Path) -> None:
    assert path.read_bytes() == golden_files()[path], "the wire has changed; if that is meant, write the files anew"


def test_golden_report_and_alert_are_read_back() -> None:
    report = decode_report((GOLDEN / "report.msgpack").read_bytes())
    assert encode_report(report) == encode_report(golden_report())
    assert report.tracks is not None
    np.testing.assert_array_equal(report.tracks.covariance, np.eye(4)[None])
    assert report.tracks.detection_index.dtype == np.int32
    assert report.scores["no_sign"].shape == (0,)
    assert report.forecasts is not None
    assert np.isnan(report.forecasts.coverage_achieved)
    older = decode_report((GOLDEN / "report-1.0.msgpack").read_bytes())
    assert encode_report(msgspec.structs.replace(older, score_detections=report.score_detections)) == encode_report(
        report
    )
    assert decode_alert((GOLDEN / "alert.json").read_bytes()) == golden_alert()
    assert decode_alert((GOLDEN / "alert-1.0.json").read_bytes()).peak_seq == -1
    assert decode_health((GOLDEN / "health.json").read_bytes()) == golden_health()
    assert decode_health((GOLDEN / "health-1.0.json").read_bytes()) == golden_health()


def test_golden_headers_are_read_back() -> None:
    agreed = json.loads((GOLDEN / "frame_headers.json").read_text())
    headers = tuple((name, value.encode()) for name, value in agreed["headers"].items())
    frame = golden_frame()
    record = Record("f", 3, 1041, frame.stamp.published_ns // 1_000_000, agreed["key"].encode(), frame.content, headers)
    decoded = decode_frame(record)
    published_ns = frame.stamp.published_ns // 1_000_000 * 1_000_000
    assert decoded.stamp == msgspec.structs.replace(frame.stamp, partition=3, offset=1041, published_ns=published_ns)
    assert decoded.content == frame.content


# --- frames -----------------------------------------------------------------------------------------------------


def test_times_are_capture_time_in_the_header_and_wall_time_in_ce_time() -> None:
    golden = golden_frame()
    replayed = EncodedFrame(
        msgspec.structs.replace(golden.stamp, clock="media", capture_ns=400_000_000), golden.content
    )
    headers = dict(encode_frame(replayed).headers)
    assert headers["gw_capture_ns"] == b"400000000"
    assert headers["ce_time"].startswith(b"2026-")
    assert decode_frame(record_of(replayed)).stamp.clock == "media"


@pytest.mark.parametrize("version", ["1", "1.7"])
def test_a_newer_minor_version_and_unknown_headers_pass(version: str) -> None:
    decoded = decode_frame(record_of(golden_frame(), gw_schema=version, gw_weather="rain", ce_later="x"))
    assert decoded.stamp.identity == IDENTITY


def test_a_malformed_traceparent_is_ignored() -> None:
    assert decode_frame(record_of(golden_frame(), traceparent="00-zz")).stamp.traceparent is None


@pytest.mark.parametrize("headers", [(), (("content-type", b"application/octet-stream"), ("empty", None))])
def test_a_bare_picture_is_a_frame(headers: tuple) -> None:
    record = Record("site.cameras", 2, 77, 1_790_000_000_123, None, encode_jpeg(picture()), headers)
    frame = decode_frame(record)
    assert frame.stamp.identity == FrameIdentity("site.cameras.2", "bare", 77)
    assert frame.stamp.capture_ns == frame.stamp.published_ns == 1_790_000_000_123_000_000
    assert (frame.stamp.clock, frame.encoding, frame.stamp.partition, frame.stamp.offset) == (
        "utc",
        "image/jpeg",
        2,
        77,
    )


@pytest.mark.parametrize("topic", ["x" * 249, "._frames", "-", "a.b_c-D9"])
def test_any_topic_gives_a_legal_stream_id(topic: str) -> None:
    identity = bare_identity(Record(topic, 123456, 5, 0, None, b""))
    assert identity.stream_id.endswith(".123456")


# --- reports, alerts, health --------------------------------------------------------------------------------------


def test_unknown_fields_of_a_newer_minor_version_pass() -> None:
    fields = msgspec.msgpack.decode(encode_report(golden_report())) | {"weather": "rain"}
    assert decode_report(msgspec.msgpack.encode(fields)).identity == IDENTITY
    alert = json.loads(encode_alert(golden_alert())) | {"weather": {"kind_ns": 1}}
    assert decode_alert(json.dumps(alert).encode()) == golden_alert()


def test_arrays_that_are_views_or_of_another_byte_order_are_written_in_ours() -> None:
    big_endian = np.arange(6, dtype=">f4").reshape(2, 3)
    report = msgspec.structs.replace(golden_report(), scores={"a": big_endian, "b": big_endian.T})
    scores = decode_report(encode_report(report)).scores
    np.testing.assert_array_equal(scores["a"], big_endian)
    np.testing.assert_array_equal(scores["b"], big_endian.T)


def test_an_array_of_another_type_is_not_written() -> None:
    report = msgspec.structs.replace(golden_report(), scores={"a": np.zeros(3)})
    with pytest.raises(TypeError, match=r"float32 or int32, got float64 of shape \(3,\)"):
        encode_report(report)


@pytest.mark.parametrize(
    "array",
    [
        {"shape": [3], "dtype": "float32", "data": b"1234"},
        {"shape": [-1], "dtype": "float32", "data": b""},
        {"shape": [1], "dtype": "object", "data": b"1234"},
        {"shape": 1, "dtype": "float32", "data": b"1234"},
        {"shape": [1], "dtype": "float32"},
        {"shape": [0, 2**63], "dtype": "float32", "data": b""},
        {"shape": [0] * 70, "dtype": "float32", "data": b""},
        ["shape", "dtype", "data"],
        5,
    ],
)
def test_broken_arrays_are_refused(array: object) -> None:
    fields = msgspec.msgpack.decode(encode_report(golden_report()))
    fields["scores"] = {"a": array}
    with pytest.raises(BadRecordError, match="expected a FrameReport"):
        decode_report(msgspec.msgpack.encode(fields))


def test_times_in_json_are_decimal_strings() -> None:
    alert = json.loads(encode_alert(golden_alert()))
    assert alert["last_capture_ns"] == str(CAPTURE_NS)
    health = json.loads(encode_health({"stream_id": "a", "last": [{"seen_ns": CAPTURE_NS}], "rate_hz": float("nan")}))
    assert health == {"stream_id": "a", "last": [{"seen_ns": str(CAPTURE_NS)}], "rate_hz": None}


@pytest.mark.parametrize("time", [CAPTURE_NS, "1e9", None, "9" * 19])
def test_times_of_another_form_are_refused(time: object) -> None:
    fields = json.loads(encode_alert(golden_alert())) | {"last_capture_ns": time}
    with pytest.raises(BadRecordError, match="field last_capture_ns: expected a decimal string"):
        decode_alert(json.dumps(fields).encode())


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{}", b"\xc1", b'{"a":"\xff"}', b"[" * 9999, b'{"a":' * 9999, b"\x91" * 9999]
)
def test_broken_bytes_are_refused(content: bytes) -> None:
    for decode in (decode_report, decode_alert, decode_health):
        with pytest.raises(BadRecordError) as caught:
            decode(content)
        assert caught.value.cause is OutcomeCause.BAD_SCHEMA


def test_an_alert_has_no_infinite_numbers() -> None:
    with pytest.raises(ValueError, match=r"field score of alert .*: expected a finite number, got inf"):
        encode_alert(msgspec.structs.replace(golden_alert(), score=float("inf")))


def test_cloud_events_have_their_required_attributes() -> None:
    headers = dict(cloud_event_headers("alert", "north-gate", "id/1", CAPTURE_NS))
    assert headers["ce_time"] == b"2026-09-21T14:13:20.123456789Z"
    assert {"ce_id", "ce_source", "ce_type", "ce_specversion"} <= set(headers)


if __name__ == "__main__":
    for path, content in golden_files().items():
        path.write_bytes(content)
