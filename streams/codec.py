"""Bytes <-> messages, as `docs/wire.md` says: frames, reports, alerts, health.

Whatever was not written by us is checked here, once: after decoding, a stream id, a run id and a sequence number
are safe to use as path, label and URL.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec
import numpy as np

from .messages import (
    BARE_RUN,
    STREAM_ID,
    Alert,
    EncodedFrame,
    FrameIdentity,
    FrameReport,
    OutcomeCause,
    StreamIdError,
    check_stream_id,
)
from .pixels import BadRecord, Encoding, decode_picture, encode_jpeg, picture_encoding, picture_size

__all__ = [
    "BadRecord",
    "Encoding",
    "Headers",
    "Record",
    "WireRecord",
    "bare_identity",
    "check_schema",
    "cloud_event_headers",
    "decode_alert",
    "decode_frame",
    "decode_picture",
    "decode_report",
    "encode_alert",
    "encode_frame",
    "encode_health",
    "encode_jpeg",
    "encode_report",
    "picture_encoding",
    "picture_size",
    "schemas",
]

Headers = list[tuple[str, bytes]]

SCHEMA_MAJOR = 1
DTYPES = {"float32": np.dtype("<f4"), "int32": np.dtype("<i4")}
INTEGER = re.compile(r"-?[0-9]{1,19}")
SCHEMA = re.compile(r"([0-9]{1,6})(\.[0-9]{1,6})?")
TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


@dataclass(frozen=True, slots=True)
class Record:
    """One record as it came from a topic; `timestamp_ms` is wall clock, key and value are untouched."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()


class WireRecord(NamedTuple):
    """What a producer sends."""

    key: bytes
    value: bytes
    headers: Headers


# --- frames ------------------------------------------------------------------------------------------------------


def encode_frame(frame: EncodedFrame) -> WireRecord:
    """Key, value and headers of a frame; its `published_ns` is the record's timestamp, which the producer sets."""
    identity = frame.identity
    event_ns = frame.capture_ns if frame.clock == "utc" else frame.published_ns
    headers = cloud_event_headers("frame", identity.stream_id, f"{identity.run_id}/{identity.seq}", event_ns)
    headers += [
        ("content-type", frame.encoding.encode()),
        ("gw_run", identity.run_id.encode()),
        ("gw_seq", str(identity.seq).encode()),
        ("gw_capture_ns", str(frame.capture_ns).encode()),
        ("gw_clock", frame.clock.encode()),
    ]
    if frame.traceparent is not None:
        headers.append(("traceparent", frame.traceparent.encode()))
    return WireRecord(check_stream_id(identity.stream_id).encode(), frame.content, headers)


def decode_frame(record: Record) -> EncodedFrame:
    """The frame in a record of the frames topic: ours, or a bare JPEG or PNG of any other producer.

    Raises `BadRecord`: bad_schema for headers that aren't as `docs/wire.md` says or are of a newer major version,
    undecodable for a value that is no picture. Headers that we don't know are ignored.
    """
    content = record.value or b""
    headers = _text_headers(record)
    ours = any(name.startswith("gw_") for name in headers)
    if ours:
        check_schema(record.headers)
    identity = _identity(record, headers) if ours else bare_identity(record)
    capture_ns = _integer(record, headers, "gw_capture_ns") if ours else record.timestamp_ms * 1_000_000
    clock = headers.get("gw_clock", "") if ours else "utc"
    if clock not in {"utc", "media"}:
        raise _bad(record, "gw_clock", "utc or media", clock)
    traceparent = headers.get("traceparent", "")
    return EncodedFrame(
        identity=identity,
        capture_ns=capture_ns,
        published_ns=record.timestamp_ms * 1_000_000,
        content=content,
        encoding=picture_encoding(content),
        clock="media" if clock == "media" else "utc",
        # W3C Trace Context: a malformed traceparent is ignored, never an error.
        traceparent=traceparent if TRACEPARENT.fullmatch(traceparent) else None,
        partition=record.partition,
        offset=record.offset,
    )


def bare_identity(record: Record) -> FrameIdentity:
    """The identity of a record without our headers (or with broken ones): stream `topic.partition`, seq = offset.

    A topic name may be longer than a stream id and begin with a dot; what does not fit is cut from its front.
    """
    suffix = f".{record.partition}"
    stem = record.topic[-(63 - len(suffix)) :].lstrip("._-") or "topic"
    return FrameIdentity(stream_id=check_stream_id(stem + suffix), run_id=BARE_RUN, seq=record.offset)


def check_schema(headers: Iterable[tuple[str, bytes]]) -> None:
    """Raises `BadRecord` (bad_schema) unless `gw_schema` is a version that this code reads: "1" or "1.x"."""
    version = dict(headers).get("gw_schema", b"").decode("ascii", "replace")
    match = SCHEMA.fullmatch(version)
    if match is None or int(match[1]) != SCHEMA_MAJOR:
        hint = "; a newer gradwatch reads it" if match is not None and int(match[1]) > SCHEMA_MAJOR else ""
        raise BadRecord(
            OutcomeCause.BAD_SCHEMA,
            f"header gw_schema: expected {SCHEMA_MAJOR} or {SCHEMA_MAJOR}.x, got {version!r}{hint}",
        )


def cloud_event_headers(kind: str, stream_id: str, event_id: str, time_ns: int) -> Headers:
    """CloudEvents 1.0 in Kafka's binary mode, and our schema version: source and id together name the event."""
    seconds, rest_ns = divmod(time_ns, 1_000_000_000)
    moment = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return [
        ("ce_specversion", b"1.0"),
        ("ce_type", f"gradwatch.{kind}".encode()),
        ("ce_source", stream_id.encode()),
        ("ce_id", event_id.encode()),
        ("ce_time", f"{moment}.{rest_ns:09d}Z".encode()),
        ("gw_schema", str(SCHEMA_MAJOR).encode()),
    ]


def _text_headers(record: Record) -> dict[str, str]:
    # Kafka allows a header without a value; it says nothing, so it counts as absent.
    return {name: value.decode("utf-8", "replace") for name, value in record.headers if value is not None}


def _identity(record: Record, headers: dict[str, str]) -> FrameIdentity:
    key = (record.key or b"").decode("utf-8", "replace")
    run_id = headers.get("gw_run", "")
    try:
        check_stream_id(key)
    except StreamIdError as error:
        raise BadRecord(OutcomeCause.BAD_SCHEMA, f"key of {_where(record)}: {error}") from error
    if STREAM_ID.fullmatch(run_id) is None:  # it becomes part of paths too
        raise _bad(record, "gw_run", STREAM_ID.pattern, run_id)
    seq = _integer(record, headers, "gw_seq")
    if seq < 0:
        raise _bad(record, "gw_seq", "a number from 0", headers["gw_seq"])
    return FrameIdentity(stream_id=key, run_id=run_id, seq=seq)


def _integer(record: Record, headers: dict[str, str], name: str) -> int:
    value = _int64(headers.get(name, ""))
    if value is None:
        raise _bad(record, name, "a decimal number of 64 bits", headers.get(name, ""))
    return value


def _int64(text: str) -> int | None:
    # int() alone would take " 1_0", other scripts' digits and any length.
    value = int(text) if INTEGER.fullmatch(text) else 2**63
    return value if -(2**63) <= value < 2**63 else None


def _bad(record: Record, name: str, expected: str, got: str) -> BadRecord:
    message = f"header {name} of {_where(record)}: expected {expected}, got {got[:80]!r}"
    return BadRecord(OutcomeCause.BAD_SCHEMA, message)


def _where(record: Record) -> str:
    return f"{record.topic}[{record.partition}] offset {record.offset}"


# --- reports: MessagePack, arrays as {shape, dtype, data} ----------------------------------------------------------


def encode_report(report: FrameReport) -> bytes:
    """MessagePack; an array becomes {shape, dtype, data}, data its little-endian values in C order. NaN is legal."""
    return _REPORT_ENCODER.encode(report)


def decode_report(content: bytes) -> FrameReport:
    """The report in `content`; its arrays are read-only views. Raises `BadRecord` (bad_schema)."""
    try:
        return _REPORT_DECODER.decode(content)
    except msgspec.DecodeError as error:
        raise BadRecord(
            OutcomeCause.BAD_SCHEMA, f"expected a FrameReport, got {len(content)} bytes: {error}"
        ) from error


def _array_to_wire(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        if value.dtype.name not in DTYPES:
            raise TypeError(f"an array on the wire is float32 or int32, got {value.dtype} of shape {value.shape}")
        data = value.astype(DTYPES[value.dtype.name], copy=False).tobytes()
        return {"shape": value.shape, "dtype": value.dtype.name, "data": data}
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"can't put {type(value).__name__} on the wire")


def _array_from_wire(kind: Any, value: Any) -> Any:
    if not {"shape", "dtype", "data"} <= set(value) or value["dtype"] not in DTYPES:
        raise ValueError(f"expected an array of shape, dtype ({' or '.join(DTYPES)}) and data, got {str(value)[:80]}")
    shape, dtype, data = value["shape"], DTYPES[value["dtype"]], value["data"]
    if not all(isinstance(n, int) and n >= 0 for n in shape) or math.prod(shape) * dtype.itemsize != len(data):
        raise ValueError(f"expected data of shape {shape} {dtype}, got {len(data)} bytes")
    return np.frombuffer(data, dtype).reshape(shape)


_REPORT_ENCODER = msgspec.msgpack.Encoder(enc_hook=_array_to_wire)
_REPORT_DECODER = msgspec.msgpack.Decoder(FrameReport, dec_hook=_array_from_wire)


# --- alerts and health: JSON, times as decimal strings ---------------------------------------------------------------


def encode_alert(alert: Alert) -> bytes:
    """JSON; every `_ns` field is a decimal string, since JavaScript's numbers lose the last digits.

    Raises ValueError for NaN and infinity, which JSON does not have.
    """
    fields = msgspec.to_builtins(alert)
    for name, value in fields.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"field {name} of alert {alert.alert_id}: expected a finite number, got {value}")
    return msgspec.json.encode(_times_as_text(fields))


def decode_alert(content: bytes) -> Alert:
    """The alert in `content`. Raises `BadRecord` (bad_schema)."""
    try:
        fields = msgspec.json.decode(content, type=dict[str, Any])
        for name, value in fields.items():
            if name.endswith("_ns"):
                fields[name] = _time_from_text(name, value)
        return msgspec.convert(fields, Alert)
    except msgspec.DecodeError as error:
        raise BadRecord(OutcomeCause.BAD_SCHEMA, f"expected an Alert, got {content[:80]!r}: {error}") from error


def encode_health(health: Mapping[str, object]) -> bytes:
    """JSON of what a source or a worker says about itself; `_ns` fields as decimal strings, NaN as null."""
    return msgspec.json.encode(_times_as_text(health))


def _times_as_text(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {
            name: str(inner) if str(name).endswith("_ns") and isinstance(inner, int) else _times_as_text(inner)
            for name, inner in value.items()
        }
    return [_times_as_text(inner) for inner in value] if isinstance(value, list | tuple) else value


def _time_from_text(name: str, value: object) -> int:
    time_ns = _int64(value) if isinstance(value, str) else None
    if time_ns is None:
        raise msgspec.ValidationError(f"field {name}: expected a decimal string, got {value!r:.80}")
    return time_ns


# --- JSON Schemas ----------------------------------------------------------------------------------------------------


def schemas() -> dict[str, dict[str, Any]]:
    """JSON Schemas of what others read, by file name in `docs/schemas`; the report's is that of its MessagePack."""
    alert = msgspec.json.schema(Alert)
    for name, field in alert["$defs"]["Alert"]["properties"].items():
        if name.endswith("_ns"):
            field.update(type="string", pattern="^-?[0-9]+$")
    report = msgspec.json.schema(FrameReport, schema_hook=_array_schema)
    return {"alert.schema.json": alert, "report.schema.json": report}


def _array_schema(kind: type) -> dict[str, Any]:
    if kind is not np.ndarray:
        raise NotImplementedError(f"no schema for {kind}")
    return {
        "type": "object",
        "description": "An array; data is its little-endian values in C order (MessagePack bin).",
        "properties": {
            "shape": {"type": "array", "items": {"type": "integer", "minimum": 0}},
            "dtype": {"enum": list(DTYPES)},
            "data": {"description": "bytes"},
        },
        "required": ["shape", "dtype", "data"],
    }
