"""Records of topics, and the headers of all of ours: CloudEvents attributes and the schema version."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

from .messages import OutcomeCause
from .pixels import BadRecordError

Headers = list[tuple[str, bytes]]

SCHEMA_MAJOR = 1
SCHEMA_VERSIONS = {"report": "1.2", "alert": "1.1", "health": "1.1"}  # "1" where absent; see docs/wire.md
MAX_TIME_NS = 2**63 - 1  # in the year 2262
INTEGER = re.compile(r"-?[0-9]{1,19}")
SCHEMA = re.compile(r"([0-9]{1,6})(\.[0-9]{1,6})?")


@dataclass(frozen=True, slots=True)
class Record:
    """One record as read from a topic; `timestamp_ms` is wall clock, key and value are unchecked."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...] = ()

    @property
    def published_ns(self) -> int:
        """The timestamp in ns, clipped to 0 .. 64 bits: a producer may write any number, -1 means none."""
        return min(max(self.timestamp_ms, 0) * 1_000_000, MAX_TIME_NS)

    @property
    def size(self) -> int:
        """Bytes of key, value and headers."""
        headers = sum(len(name.encode()) + len(value or b"") for name, value in self.headers)
        return len(self.key or b"") + len(self.value or b"") + headers

    def text_header(self, name: str) -> str | None:
        """The last value of a header as text; None where it is absent or null."""
        values = [value for header, value in self.headers if header == name and value is not None]
        return values[-1].decode("utf-8", "replace") if values else None


class WireRecord(NamedTuple):
    """What a producer sends."""

    key: bytes
    value: bytes
    headers: Headers


def check_schema(headers: Iterable[tuple[str, bytes | None]]) -> None:
    """Raises `BadRecordError` (bad_schema) unless `gw_schema` is a supported version: "1" or "1.x"."""
    version = (dict(headers).get("gw_schema") or b"").decode("ascii", "replace")
    match = SCHEMA.fullmatch(version)
    if match is None or int(match[1]) != SCHEMA_MAJOR:
        hint = "; a newer gradwatch reads it" if match is not None and int(match[1]) > SCHEMA_MAJOR else ""
        raise BadRecordError(
            OutcomeCause.BAD_SCHEMA,
            f"header gw_schema: expected {SCHEMA_MAJOR} or {SCHEMA_MAJOR}.x, got {version[:80]!r}{hint}",
        )


def cloud_event_headers(kind: str, stream_id: str, event_id: str, time_ns: int) -> Headers:
    """CloudEvents 1.0 in Kafka's binary mode, and our schema version; source and id together identify the event."""
    seconds, rest_ns = divmod(time_ns, 1_000_000_000)
    moment = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return [
        ("ce_specversion", b"1.0"),
        ("ce_type", f"gradwatch.{kind}".encode()),
        ("ce_source", stream_id.encode()),
        ("ce_id", event_id.encode()),
        ("ce_time", f"{moment}.{rest_ns:09d}Z".encode()),
        ("gw_schema", SCHEMA_VERSIONS.get(kind, str(SCHEMA_MAJOR)).encode()),
    ]


def int64(text: str) -> int | None:
    """`text` as a decimal number; None unless it is one of 64 bits."""
    # int() alone accepts " 1_0", other scripts' digits and any length.
    value = int(text) if INTEGER.fullmatch(text) else 2**63
    return value if -(2**63) <= value < 2**63 else None
