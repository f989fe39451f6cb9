"""Bytes <-> messages, as `docs/wire.md` says: reports, alerts, verdicts, health; frames are in `frame_codec.py`.

All of the wire's verbs can be imported from here.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any

import msgspec
import numpy as np

from .frames import bare_identity, decode_frame, encode_frame, rejected_frame
from .messages import Alert, Attachment, Correction, FrameReport, HealthRecord, OutcomeCause
from .pictures import decode_picture
from .pixels import BadRecordError, Encoding, encode_jpeg, picture_encoding, picture_size
from .records import Headers, Record, WireRecord, check_schema, cloud_event_headers, int64

__all__ = [
    "BadRecordError",
    "Encoding",
    "Headers",
    "Record",
    "WireRecord",
    "bare_identity",
    "check_schema",
    "cloud_event_headers",
    "decode_alert",
    "decode_attachment",
    "decode_correction",
    "decode_frame",
    "decode_health",
    "decode_picture",
    "decode_report",
    "encode_alert",
    "encode_attachment",
    "encode_correction",
    "encode_frame",
    "encode_health",
    "encode_jpeg",
    "encode_report",
    "picture_encoding",
    "picture_size",
    "rejected_frame",
    "schemas",
]

# msgspec tells all but these by its DecodeError: text that is not UTF-8, nesting beyond any bound.
UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
DTYPES = {"float32": np.dtype("<f4"), "int32": np.dtype("<i4")}
DTYPE_NAMES = {dtype: name for name, dtype in DTYPES.items()}


# --- reports: MessagePack, arrays as {shape, dtype, data} ----------------------------------------------------------


def encode_report(report: FrameReport) -> bytes:
    """MessagePack; an array becomes {shape, dtype, data}, data its little-endian values in C order. NaN is legal."""
    return _REPORT_ENCODER.encode(report)


def decode_report(content: bytes) -> FrameReport:
    """The report in `content`; its arrays are read-only views. Raises `BadRecordError` (bad_schema)."""
    try:
        return _REPORT_DECODER.decode(content)
    except UNREADABLE as error:
        raise BadRecordError(
            OutcomeCause.BAD_SCHEMA, f"expected a FrameReport, got {len(content)} bytes: {error}"
        ) from error


def _array_to_wire(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        name = DTYPE_NAMES.get(value.dtype)  # numpy makes `dtype.name` anew each time: 5 µs, 36 arrays a report
        if name is None:
            little = value.dtype.newbyteorder("<")
            if little not in DTYPE_NAMES:
                raise TypeError(f"an array on the wire is float32 or int32, got {value.dtype} of shape {value.shape}")
            return _array_to_wire(value.astype(little))
        return {"shape": value.shape, "dtype": name, "data": value.tobytes()}
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"can't put {type(value).__name__} on the wire")


def _array_from_wire(kind: Any, value: Any) -> Any:
    if not {"shape", "dtype", "data"} <= set(value) or value["dtype"] not in DTYPES:
        raise ValueError(f"expected an array of shape, dtype ({' or '.join(DTYPES)}) and data, got {str(value)[:80]}")
    shape, dtype, data = value["shape"], DTYPES[value["dtype"]], value["data"]
    if not all(isinstance(n, int) and n >= 0 for n in shape) or math.prod(shape) * dtype.itemsize != len(data):
        raise ValueError(f"expected data of shape {shape} {dtype}, got {len(data)} bytes")
    try:
        return np.frombuffer(data, dtype).reshape(shape)
    except OverflowError as error:  # of dimensions beside a 0
        raise ValueError(f"expected a shape that an array can have, got {shape}") from error


_REPORT_ENCODER = msgspec.msgpack.Encoder(enc_hook=_array_to_wire)
_REPORT_DECODER = msgspec.msgpack.Decoder(FrameReport, dec_hook=_array_from_wire)


# --- alerts, verdicts and health: JSON, times as decimal strings -----------------------------------------------------


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
    """The alert in `content`. Raises `BadRecordError` (bad_schema)."""
    try:
        return msgspec.convert(_fields_with_times(content), Alert)
    except UNREADABLE as error:
        raise BadRecordError(OutcomeCause.BAD_SCHEMA, f"expected an Alert, got {content[:80]!r}: {error}") from error


def encode_attachment(attachment: Attachment) -> bytes:
    """JSON as alerts'."""
    return msgspec.json.encode(_times_as_text(msgspec.to_builtins(attachment)))


def decode_attachment(content: bytes) -> Attachment:
    """The attachment in `content`. Raises `BadRecordError` (bad_schema)."""
    try:
        return msgspec.convert(_fields_with_times(content), Attachment)
    except UNREADABLE as error:
        raise BadRecordError(
            OutcomeCause.BAD_SCHEMA, f"expected an Attachment, got {content[:80]!r}: {error}"
        ) from error


def encode_correction(correction: Correction) -> bytes:
    """JSON like that of alerts. A correction is withdrawn by a record of its key without a value."""
    return msgspec.json.encode(_times_as_text(msgspec.to_builtins(correction)))


def decode_correction(content: bytes) -> Correction:
    """The correction in `content`. Raises `BadRecordError` (bad_schema)."""
    try:
        correction: Correction = msgspec.convert(_fields_with_times(content, {"until_ns"}), Correction)
        return correction
    except UNREADABLE as error:
        raise BadRecordError(
            OutcomeCause.BAD_SCHEMA, f"expected a correction, got {content[:80]!r}: {error}"
        ) from error


def encode_health(health: Mapping[str, object]) -> bytes:
    """JSON of what a source or a worker says about itself; `_ns` fields as decimal strings, NaN as null."""
    return msgspec.json.encode(_times_as_text(health))


def decode_health(content: bytes) -> HealthRecord:
    """What a source said of its camera. Raises `BadRecordError` (bad_schema), also for what a worker said."""
    try:
        return msgspec.convert(_fields_with_times(content), HealthRecord)
    except UNREADABLE as error:
        raise BadRecordError(
            OutcomeCause.BAD_SCHEMA, f"expected a HealthRecord, got {content[:80]!r}: {error}"
        ) from error


def _times_as_text(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {
            name: str(inner) if str(name).endswith("_ns") and isinstance(inner, int) else _times_as_text(inner)
            for name, inner in value.items()
        }
    return [_times_as_text(inner) for inner in value] if isinstance(value, list | tuple) else value


def _fields_with_times(content: bytes, optional: Collection[str] = ()) -> dict[str, Any]:
    """A JSON object's fields, its `_ns` fields as numbers; null stays where it is `optional`."""
    fields = msgspec.json.decode(content, type=dict[str, Any])
    for name, value in fields.items():
        if name.endswith("_ns") and not (value is None and name in optional):
            fields[name] = _time_from_text(name, value)
    return fields


def _time_from_text(name: str, value: object) -> int:
    time_ns = int64(value) if isinstance(value, str) else None
    if time_ns is None:
        raise msgspec.ValidationError(f"field {name}: expected a decimal string, got {value!r:.80}")
    return time_ns


# --- JSON Schemas ----------------------------------------------------------------------------------------------------


def schemas() -> dict[str, dict[str, Any]]:
    """JSON Schemas of what others read, by file name in `docs/schemas`; the report's is that of its MessagePack."""
    return {
        "alert.schema.json": _schema_with_times(Alert),
        "attachment.schema.json": _schema_with_times(Attachment),
        "health.schema.json": _schema_with_times(HealthRecord),
        "report.schema.json": msgspec.json.schema(FrameReport, schema_hook=_array_schema),
        "verdict.schema.json": _schema_with_times(Correction),
    }


def _schema_with_times(kind: Any) -> dict[str, Any]:
    """The schema of a message whose times are decimal strings on the wire."""
    schema = msgspec.json.schema(kind)
    time = {"type": "string", "pattern": "^-?[0-9]+$"}
    for definition in schema["$defs"].values():
        for name, field in definition.get("properties", {}).items():
            if name.endswith("_ns"):
                optional = "anyOf" in field
                field.update({"anyOf": [time, {"type": "null"}]} if optional else time)
    return schema


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
