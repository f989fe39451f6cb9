"""Records of the frames topic <-> frames.

Whatever was not written by us is checked here, once: after decoding, a stream id, a run id and a sequence number
are safe to use as path, label and URL. A producer's clock may be wrong by years: times are any number from 0 of 64
bits, and nothing but their differences within a run is used.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from .messages import (
    BARE_RUN,
    STREAM_ID,
    EncodedFrame,
    FrameIdentity,
    FrameStamp,
    OutcomeCause,
    StreamIdError,
    check_stream_id,
)
from .pixels import BadRecordError, picture_encoding, without_exif
from .records import Record, WireRecord, check_schema, cloud_event_headers, int64
from .topics import MAX_RECORD_BYTES
from .tracing import valid_traceparent

READ_HEADERS = frozenset(("gw_schema", "gw_run", "gw_seq", "gw_capture_ns", "gw_clock", "content-type", "ce_source"))


def encode_frame(frame: EncodedFrame) -> WireRecord:
    """Key, value and headers of a frame; its `published_ns` is the record's timestamp, which the producer sets."""
    stamp, identity = frame.stamp, frame.stamp.identity
    event_ns = stamp.capture_ns if stamp.clock == "utc" else stamp.published_ns
    headers = cloud_event_headers("frame", identity.stream_id, f"{identity.run_id}/{identity.seq}", event_ns)
    headers += [
        ("content-type", frame.encoding.encode()),
        ("gw_run", identity.run_id.encode()),
        ("gw_seq", str(identity.seq).encode()),
        ("gw_capture_ns", str(stamp.capture_ns).encode()),
        ("gw_clock", stamp.clock.encode()),
    ]
    if stamp.traceparent is not None:
        headers.append(("traceparent", stamp.traceparent.encode()))
    return WireRecord(check_stream_id(identity.stream_id).encode(), frame.content, headers)


def decode_frame(record: Record) -> EncodedFrame:
    """The frame in a record of the frames topic: ours, or a bare JPEG or PNG of any other producer.

    Raises `BadRecordError`: bad_schema for headers that aren't as `docs/wire.md` says or are of a newer major version,
    too_large for a record above the size that all agree on, undecodable for a value that is no picture. Headers that
    we don't know are ignored. The picture loses its EXIF, so that no later reader turns it by its orientation.
    """
    headers = _text_headers(record)
    stamp = _stamped(record, headers)
    if record.size > MAX_RECORD_BYTES:
        message = f"{_where(record)}: expected at most {MAX_RECORD_BYTES} bytes, got {record.size}"
        raise BadRecordError(OutcomeCause.TOO_LARGE, message)
    if record.value is None:
        raise BadRecordError(OutcomeCause.UNDECODABLE, f"{_where(record)}: expected a JPEG or PNG, got a null value")
    encoding = picture_encoding(record.value)
    declared = headers.get("content-type", encoding)
    if _is_ours(headers) and declared != encoding:
        raise _bad(record, "content-type", f"{encoding}, which the first bytes say", declared)
    return EncodedFrame(stamp, without_exif(record.value), encoding)


def rejected_stamp(record: Record) -> FrameStamp:
    """The stamp under which a record that is no frame is reported.

    Identity and times come from its headers where these are valid, else from its place in the topic.
    """
    try:
        return _stamped(record, _text_headers(record))
    except BadRecordError:
        return _placed(record)


def bare_identity(record: Record) -> FrameIdentity:
    """The identity of a record without our headers (or with broken ones): stream `topic.partition`, seq = offset."""
    return FrameIdentity(bare_stream_id(record.topic, record.partition), run_id=BARE_RUN, seq=record.offset)


def bare_stream_id(topic: str, partition: int) -> str:
    """The stream `topic.partition`, of records that name none.

    A topic name may be longer than a stream id and begin with a dot; what does not fit is cut from its front.
    """
    suffix = f".{partition}"
    stem = topic[-(63 - len(suffix)) :].lstrip("._-") or "topic"
    return check_stream_id(stem + suffix)


def _text_headers(record: Record) -> dict[str, str]:
    """Headers by name. Raises `BadRecordError` where one that we read is there twice and says two things."""
    texts: dict[str, str] = {}
    for name, value in record.headers:
        if value is None:  # Kafka allows a header without a value; it says nothing, so it counts as absent.
            continue
        text = value.decode("utf-8", "replace")
        if name in READ_HEADERS and texts.get(name, text) != text:
            raise _bad(record, name, f"one value, {texts[name][:80]!r}", text)
        texts[name] = text
    return texts


def _is_ours(headers: Mapping[str, str]) -> bool:
    return any(name.startswith("gw_") for name in headers)


def _stamped(record: Record, headers: dict[str, str]) -> FrameStamp:
    """Identity, times and place of a record. Raises `BadRecordError` (bad_schema)."""
    placed = replace(_placed(record), traceparent=valid_traceparent(headers.get("traceparent")))
    if not _is_ours(headers):
        return placed
    check_schema((name, value) for name, value in record.headers if value is not None)
    identity = _identity(record, headers)
    capture_ns = _natural(record, headers, "gw_capture_ns")
    clock = headers.get("gw_clock", "")
    if clock not in {"utc", "media"}:
        raise _bad(record, "gw_clock", "utc or media", clock)
    return replace(placed, identity=identity, capture_ns=capture_ns, clock=clock)


def _placed(record: Record) -> FrameStamp:
    """The stamp of a record without usable headers: its place is its identity, its timestamp its capture time."""
    return FrameStamp(
        bare_identity(record),
        capture_ns=record.published_ns,
        published_ns=record.published_ns,
        partition=record.partition,
        offset=record.offset,
        size_bytes=len(record.value or b""),
    )


def _identity(record: Record, headers: dict[str, str]) -> FrameIdentity:
    key = (record.key or b"").decode("utf-8", "replace")
    run_id = headers.get("gw_run", "")
    try:
        check_stream_id(key)
    except StreamIdError as error:
        raise BadRecordError(OutcomeCause.BAD_SCHEMA, f"key of {_where(record)}: {error}") from error
    if STREAM_ID.fullmatch(run_id) is None:  # it becomes part of paths too
        raise _bad(record, "gw_run", STREAM_ID.pattern, run_id)
    if headers.get("ce_source", key) != key:
        raise _bad(record, "ce_source", f"the stream of the key, {key}", headers["ce_source"])
    return FrameIdentity(stream_id=key, run_id=run_id, seq=_natural(record, headers, "gw_seq"))


def _natural(record: Record, headers: dict[str, str], name: str) -> int:
    value = int64(headers.get(name, ""))
    if value is None or value < 0:
        raise _bad(record, name, "a decimal number from 0 of 64 bits", headers.get(name, ""))
    return value


def _bad(record: Record, name: str, expected: str, got: str) -> BadRecordError:
    message = f"header {name} of {_where(record)}: expected {expected}, got {got[:80]!r}"
    return BadRecordError(OutcomeCause.BAD_SCHEMA, message)


def _where(record: Record) -> str:
    return f"{record.topic}[{record.partition}] offset {record.offset}"
