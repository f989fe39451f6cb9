"""What a topic holds at one moment: single records, or all of them from the oldest or from the newest on."""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

from kafka import TopicPartition

from ..wire.records import Record
from ..wire.topics import MAX_RECORD_BYTES
from .client.settings import NO_SETTINGS, Settings
from .partitions import PartitionReader

WINDOW = 500  # records that are read at a time on the way back
END_TIMEOUT_S = 1.0  # for finding the end of a partition
Kept = TypeVar("Kept")


class TopicHistory(PartitionReader):
    """`with TopicHistory(servers, topic) as history:` reads what the topic holds now; later records are not seen.

    It keeps no record longer than the caller does. Raises `TopicMissingError`, `BrokerUnavailableError`,
    `BrokerRefusedError`.
    """

    def __init__(self, bootstrap_servers: str, topic: str, client_settings: Settings = NO_SETTINGS) -> None:
        self._topic = topic
        super().__init__(bootstrap_servers, client_settings, fetch_max_bytes=2 * MAX_RECORD_BYTES, max_poll_records=64)
        with self.closed_on_error():
            self._begins = self.first_offsets(self.partitions(topic))
            ends = self.end_offsets(self._begins)
            self._ends = {partition: self._true_end(partition, ends[partition]) for partition in ends}

    def at(self, partition: int, offset: int) -> Record | None:
        """The record at that place, None where there is none (any more)."""
        where = TopicPartition(self._topic, partition)
        if where not in self._begins or not self._begins[where] <= offset < self._ends[where]:
            return None
        return next(self.read(where, offset, offset + 1), None)

    def oldest_first(self) -> Iterator[Record]:
        """Every record, partition after partition."""
        for partition, begin in self._begins.items():
            yield from self.read(partition, begin, self._ends[partition])

    def newest_first(self, keep: Callable[[Record], Kept | None]) -> Iterator[Kept]:
        """What `keep` makes of the records, None left out; all partitions merged by time.

        Reads windows from the end, so stopping early costs little; only what `keep` returns is kept in memory.
        """
        backwards = [self._backwards(partition, keep) for partition in self._begins]
        return (kept for _, kept in heapq.merge(*backwards, key=lambda dated: -dated[0]))

    def _true_end(self, partition: TopicPartition, end: int) -> int:
        """Tansu reports the first offset of the last batch as the end; the true one comes with fetched records."""
        if end <= self._begins[partition]:
            return end
        self.seek({partition: end - 1})
        deadline_s = time.monotonic() + END_TIMEOUT_S
        while self.high_watermark(partition) is None and time.monotonic() < deadline_s:
            self.poll(0.1)
        return max(end, self.high_watermark(partition) or 0)

    def _backwards(
        self, partition: TopicPartition, keep: Callable[[Record], Kept | None]
    ) -> Iterator[tuple[int, Kept]]:
        """What `keep` makes of a partition's records, each after its record's time."""
        begin, end = self._begins[partition], self._ends[partition]
        while begin < end:
            start = max(begin, end - WINDOW)
            records = self.read(partition, start, end)
            kept = [(record.timestamp_ms, made) for record in records if (made := keep(record)) is not None]
            yield from reversed(kept)
            end = start
