"""Header names that are not UTF-8: read with the wrong bytes escaped, where kafka-python would stop for ever.

Kafka's protocol asks for UTF-8 and no broker checks it. kafka-python raises when it reads such a record and never gets
past it, so that one record of a careless producer would hold up its partition for good, whoever takes it over.
"""

from __future__ import annotations

from typing import Any, SupportsIndex

from kafka.record.default_records import DefaultRecordBatch

_strict_read = DefaultRecordBatch._read_msg


class _Lenient(bytearray):
    """Bytes whose parts become text whatever they hold: 0xff becomes the four characters `\\xff`."""

    def __getitem__(self, index: SupportsIndex | slice) -> Any:
        part = super().__getitem__(index)
        return _Lenient(part) if isinstance(part, bytearray) else part

    def decode(self, encoding: str = "utf-8", errors: str = "backslashreplace") -> str:
        return bytes(self).decode(encoding, errors)


def read_any_header_name() -> None:
    """From now on every consumer of this process reads such records. May be called again."""
    DefaultRecordBatch._read_msg = _read


def _read(batch: Any) -> Any:
    try:
        return _strict_read(batch)
    except UnicodeDecodeError:
        # the batch moves on only behind a whole record, so the same one is read again
        batch._buffer = _Lenient(batch._buffer)
        return _strict_read(batch)
