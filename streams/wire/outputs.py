"""Encodes and decodes all messages but frames: reports, alerts, attachments, verdicts, health (`docs/wire.md`).

Every `decode_…` raises `BadRecordError` (bad_schema) for bytes that are no such message.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any, TypeVar

import msgspec
import numpy as np

from .checks import check_correction
from .messages import Alert, Attachment, Correction, FrameReport, HealthRecord, OutcomeCause
from .pixels import BadRecordError
from .records import int64

Message = TypeVar("Message")

# Beside its own DecodeError msgspec raises the others for text that is not UTF-8 and for deep nesting.
UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
MAX_CORRECTION_BYTES = 4096  # a thousand of them are part of a stream's state, which must fit into a record
DTYPES = {"float32": np.dtype("<f4"), "int32": np.dtype("<i4")}
DTYPE_NAMES = {dtype: name for name, dtype in DTYPES.items()}


# --- reports: MessagePack, arrays as {shape, dtype, data} ----------------------------------------------------------


def encode_report(report: FrameReport) -> bytes:
    """MessagePack; an array becomes {shape, dtype, data}, data its little-endian values in C order. NaN is legal."""
    return _REPORT_ENCODER.encode(report)


def decode_report(content: bytes) -> FrameReport:
    """The report in `content`; its arrays are read-only views."""
    try:
        return _REPORT_DECODER.decode(content)
    except UNREADABLE as error:
        raise _bad("a FrameReport", f"{len(content)} bytes", error) from error


def _array_to_wire(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        name = DTYPE_NAMES.get(value.dtype)  # numpy computes `dtype.name` each time: 5 µs, 36 arrays a report
        if name is None:
            little = value.dtype.newbyteorder("<")
            if little not in DTYPE_NAMES:
                raise TypeError(f"expected float32 or int32, got {value.dtype} of shape {value.shape}")
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
    except OverflowError as error:  # a huge dimension beside a 0
        raise ValueError(f"expected the shape of an array, got {shape}") from error


_REPORT_ENCODER = msgspec.msgpack.Encoder(enc_hook=_array_to_wire)
_REPORT_DECODER = msgspec.msgpack.Decoder(FrameReport, dec_hook=_array_from_wire)


# --- the others: JSON, times as decimal strings, since JavaScript's numbers lose the last digits ---------------------


def encode_alert(alert: Alert) -> bytes:
    """JSON. Raises ValueError for NaN and infinity, which JSON does not have."""
    for name, value in msgspec.to_builtins(alert).items():
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"field {name} of alert {alert.alert_id}: expected a finite number, got {value}")
    return _to_json(alert)


def decode_alert(content: bytes) -> Alert:
    """The alert in `content`."""
    return _from_json(content, Alert, "an Alert")


def encode_attachment(attachment: Attachment) -> bytes:
    """JSON."""
    return _to_json(attachment)


def decode_attachment(content: bytes) -> Attachment:
    """The attachment in `content`."""
    return _from_json(content, Attachment, "an Attachment")


def encode_correction(correction: Correction) -> bytes:
    """JSON. A correction is withdrawn by a record of its key without a value."""
    return _to_json(correction)


def decode_correction(content: bytes) -> Correction:
    """The correction in `content`, checked."""
    kind: Any = Correction
    correction: Correction = _from_json(content, kind, "a Correction", optional={"until_ns"})
    try:
        if len(content) > MAX_CORRECTION_BYTES:
            raise ValueError(f"expected at most {MAX_CORRECTION_BYTES} bytes, got {len(content)}")
        check_correction(correction)
    except ValueError as error:
        raise _bad("a Correction", repr(content[:80]), error) from error
    return correction


def encode_health(health: Mapping[str, object]) -> bytes:
    """JSON of a HealthRecord."""
    return _to_json(health)


def decode_health(content: bytes) -> HealthRecord:
    """The health record in `content`."""
    return _from_json(content, HealthRecord, "a HealthRecord")


def _to_json(message: object) -> bytes:
    return msgspec.json.encode(_times_as_text(msgspec.to_builtins(message)))


def _from_json(content: bytes, kind: type[Message], name: str, optional: Collection[str] = ()) -> Message:
    try:
        return msgspec.convert(_fields_with_times(content, optional), kind)
    except UNREADABLE as error:
        raise _bad(name, repr(content[:80]), error) from error


def _bad(expected: str, got: str, error: Exception) -> BadRecordError:
    return BadRecordError(OutcomeCause.BAD_SCHEMA, f"expected {expected}, got {got}: {error}")


def _times_as_text(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {
            name: str(inner) if str(name).endswith("_ns") and isinstance(inner, int) else _times_as_text(inner)
            for name, inner in value.items()
        }
    return [_times_as_text(inner) for inner in value] if isinstance(value, list | tuple) else value


def _fields_with_times(content: bytes, optional: Collection[str] = ()) -> dict[str, Any]:
    """A JSON object's fields, its `_ns` fields as numbers; `optional` ones may be null."""
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
    """JSON Schemas of the messages, by file name in `docs/schemas`; the report's describes its MessagePack."""
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
