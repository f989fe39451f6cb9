"""What a topic holds: single records by their place, all from the oldest to the newest or the other way round.

For those who look back; it belongs to no group and keeps no record longer than the caller does.
"""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, Protocol, TypeVar

from kafka import KafkaConsumer, TopicPartition

from gradwatch import GradwatchError

from ..wire.records import Record
from ..wire.topics import MAX_RECORD_BYTES
from .connection import Settings, connect
from .records import records_between

WINDOW = 500  # records that are read at a time on the way back
LOOK_S = 1.0  # for the end of a partition


class TopicMissingError(GradwatchError, LookupError):
    """There is no topic of that name."""


class Timed(Protocol):
    """What `TopicHistory.newest_first` orders by."""

    @property
    def timestamp_ms(self) -> int:
        """Wall clock of the record."""


Kept = TypeVar("Kept", bound=Timed)


class TopicHistory:
    """`with TopicHistory(servers, topic) as history:`; ends are looked up once, what comes later is not seen.

    Raises TopicMissingError, BrokerUnavailableError, BrokerRefusedError.
    """

    def __init__(
        self,
        bootstrap_servers: str,
        topic: str,
        client_settings: Settings = {},  # noqa: B006 (only read)
    ) -> None:
        settings = {
            "group_id": None,
            "enable_auto_commit": False,
            "max_partition_fetch_bytes": MAX_RECORD_BYTES,
            "fetch_max_bytes": 2 * MAX_RECORD_BYTES,
            "max_poll_records": 64,
            "allow_auto_create_topics": False,
        }
        self._servers, self._topic = bootstrap_servers, topic
        self._client: Any = connect(KafkaConsumer, bootstrap_servers, settings | dict(client_settings))
        partitions = [TopicPartition(topic, number) for number in self._client.partitions_for_topic(topic) or ()]
        if not partitions:
            self._client.close()
            raise TopicMissingError(f"expected topic {topic} at {bootstrap_servers}, got none of that name")
        self._begins: dict[TopicPartition, int] = self._client.beginning_offsets(partitions)
        self._ends = {partition: self._end(partition) for partition in partitions}

    def __enter__(self) -> TopicHistory:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def at(self, partition: int, offset: int) -> Record | None:
        """The record at that place, None where there is none (any more)."""
        where = TopicPartition(self._topic, partition)
        if where not in self._begins or not self._begins[where] <= offset < self._ends[where]:
            return None
        return next((record for record in self._between(where, offset, offset + 1)), None)

    def oldest_first(self) -> Iterator[Record]:
        """Every record, partition after partition."""
        for partition in sorted(self._begins):
            yield from self._between(partition, self._begins[partition], self._ends[partition])

    def newest_first(self, keep: Callable[[Record], Kept | None]) -> Iterator[Kept]:
        """What `keep` makes of the records, None left out; all partitions merged by time.

        Records are read in windows from the end, so whoever stops early reads little; only what `keep` returns is held.
        """
        backwards = [self._backwards(partition, keep) for partition in self._begins]
        return heapq.merge(*backwards, key=lambda kept: -kept.timestamp_ms)

    def _end(self, partition: TopicPartition) -> int:
        """The offset behind the last record."""
        told = int(self._client.end_offsets([partition])[partition])
        if told <= self._begins[partition]:
            return told
        # Tansu tells the beginning of the last batch, and the true end only beside records.
        self._client.assign([partition])
        self._client.seek(partition, told - 1)
        deadline_s = time.monotonic() + LOOK_S
        while self._client.highwater(partition) is None and time.monotonic() < deadline_s:
            self._client.poll(timeout_ms=100)
        return max(told, self._client.highwater(partition) or 0)

    def _backwards(self, partition: TopicPartition, keep: Callable[[Record], Kept | None]) -> Iterator[Kept]:
        begin, end = self._begins[partition], self._ends[partition]
        while begin < end:
            start = max(begin, end - WINDOW)
            kept = [made for record in self._between(partition, start, end) if (made := keep(record)) is not None]
            yield from reversed(kept)
            end = start

    def _between(self, partition: TopicPartition, begin: int, end: int) -> Iterator[Record]:
        return records_between(self._client, self._servers, partition, begin, end, to_newest=False)
