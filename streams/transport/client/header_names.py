"""Reads header names that are not UTF-8, with the wrong bytes escaped.

Kafka's protocol demands UTF-8, but no broker checks it. kafka-python raises on such a record and never gets past it,
so one record of a careless producer would block its partition for every consumer.
"""

from __future__ import annotations

from typing import Any, SupportsIndex

from kafka.record.default_records import DefaultRecordBatch

_strict_read = DefaultRecordBatch._read_msg


class _Lenient(bytearray):
    """Bytes whose parts decode to text in any case: 0xff becomes the four characters `\\xff`."""

    def __getitem__(self, index: SupportsIndex | slice) -> Any:
        part = super().__getitem__(index)
        return _Lenient(part) if isinstance(part, bytearray) else part

    def decode(self, encoding: str = "utf-8", errors: str = "backslashreplace") -> str:
        return bytes(self).decode(encoding, errors)


def read_any_header_name() -> None:
    """Patches kafka-python so that every consumer of this process reads such records. Idempotent."""
    DefaultRecordBatch._read_msg = _read


def _read(batch: Any) -> Any:
    try:
        return _strict_read(batch)
    except UnicodeDecodeError:
        # the batch advances only past a whole record, so the same one is read again
        batch._buffer = _Lenient(batch._buffer)
        return _strict_read(batch)
