"""What kafka-python hands out, as records of ours; and a span of one partition, read without a group."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from kafka import TopicPartition

from ..wire.records import Record
from .connection import BrokerUnavailableError, answer_of

POLL_MS = 200
SILENCE_S = 15.0  # after which a broker counts as gone


def record_of(raw: Any) -> Record:
    """A record of the client's as one of ours; nothing in it is looked at."""
    return Record(raw.topic, raw.partition, raw.offset, raw.timestamp, raw.key, raw.value, tuple(raw.headers or ()))


def records_between(
    client: Any, bootstrap_servers: str, where: TopicPartition, begin: int, end: int | None, *, to_newest: bool
) -> Iterator[Record]:
    """Records of offsets `begin` to below `end` (None: no end); offsets may be missing (transactions, retention).

    With `to_newest` it also ends behind the newest record there is; without, `end` must be one that has been there,
    and a broker that does not come to it within `SILENCE_S` is `BrokerUnavailableError`. The client's partitions and place
    change, so of its iterators only the latest may be used.
    """
    client.assign([where])
    client.seek(where, begin)
    heard_s, position = time.monotonic(), begin
    while end is None or position < end:
        polled = answer_of(bootstrap_servers, where.topic, lambda: client.poll(timeout_ms=POLL_MS))
        for raw in polled.get(where, ()):
            if end is not None and raw.offset >= end:
                return
            yield record_of(raw)
        before, position = position, client.position(where)
        newest = client.highwater(where) if to_newest else None
        if newest is not None and position >= newest:
            return
        if position != before:
            heard_s = time.monotonic()
        elif time.monotonic() - heard_s > SILENCE_S:
            raise BrokerUnavailableError(
                f"{bootstrap_servers} gave nothing of {where.topic}[{where.partition}] from offset {position} on "
                f"for {SILENCE_S:.0f} s"
            )
