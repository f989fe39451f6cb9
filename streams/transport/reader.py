"""Reads whole topics without a group: every record from a start on, or now and then the newest ones alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Self

from kafka import TopicPartition

from ..wire.records import Record
from .connection import NO_SETTINGS, Settings
from .partitions import PartitionReader

Place = tuple[str, int]  # topic, partition
LOOK_TIMEOUT_S = 2.0


class TopicReader:
    """`with TopicReader(servers, topics) as reader:` reads every partition from its first record on.

    `offsets` sets the start of some partitions (where that record is gone: the oldest left); with `since_ms` all
    others start at the first record published then or later. Partitions are looked up once. Raises
    `TopicMissingError`, `BrokerUnavailableError`, `BrokerRefusedError`.
    """

    def __init__(
        self,
        bootstrap_servers: str,
        topics: Iterable[str],
        client_settings: Settings = NO_SETTINGS,
        offsets: Mapping[Place, int] | None = None,
        since_ms: int | None = None,
    ) -> None:
        self._reader = reader = PartitionReader(bootstrap_servers, client_settings)
        with reader.closed_on_error():
            partitions = [partition for topic in topics for partition in reader.partitions(topic)]
            given = {partition: offset for partition, offset in (offsets or {}).items() if partition in partitions}
            starts = reader.first_offsets(partitions) if since_ms is None else reader.offsets_at(partitions, since_ms)
            reader.seek(starts | given)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._reader.close()

    def poll(self, timeout_s: float) -> list[Record]:
        """The records that have arrived; waits at most `timeout_s` for the first."""
        return self._reader.poll(timeout_s)


class NewestRecords:
    """Reads the last records of a topic whenever asked, and never fetches others. Raises as `TopicReader`."""

    def __init__(self, bootstrap_servers: str, topic: str, client_settings: Settings = NO_SETTINGS) -> None:
        self._reader = PartitionReader(bootstrap_servers, client_settings)
        with self._reader.closed_on_error():
            self._partitions = self._reader.partitions(topic)
        self._read_to: dict[TopicPartition, int] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._reader.close()

    def look(self, depth: Callable[[int], int]) -> list[Record]:
        """The last `depth(partition)` records of each partition that are newer than those of the last look.

        Only those that arrive within `LOOK_TIMEOUT_S`; the next look starts at the end again.
        """
        ends = {
            partition: end
            for partition, end in self._reader.end_offsets(self._partitions).items()
            if end > self._read_to.get(partition, 0)
        }
        if not ends:
            return []
        self._reader.seek(
            {
                partition: max(self._read_to.get(partition, 0), end - depth(partition.partition), 0)
                for partition, end in ends.items()
            }
        )
        found: list[Record] = []
        deadline_s = time.monotonic() + LOOK_TIMEOUT_S
        while self._reader.missing(ends) and time.monotonic() <= deadline_s:
            found += self._reader.poll(0.1)
        self._read_to |= {partition: max(end, self._reader.position(partition)) for partition, end in ends.items()}
        self._reader.seek({})
        return found
