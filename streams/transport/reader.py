"""Reads whole topics without a group: every record from a start on, or now and then the newest ones alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping

from ..wire.records import Record
from .client.settings import NO_SETTINGS, Settings
from .partitions import PartitionReader, topic_id

Place = tuple[str, int]  # topic, partition
LOOK_TIMEOUT_S = 2.0


class TopicReader(PartitionReader):
    """`with TopicReader(servers, topics) as reader:` reads every partition from its first record on.

    `offsets` sets the start of some partitions (where that record is gone: the oldest left); with `since_ms` all
    others start at the first record published then or later. Partitions that are added later, and topics that are made
    anew, are read from their first record on, once the client knows of them (`METADATA_AGE_MS`). Raises
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
        super().__init__(bootstrap_servers, client_settings)
        self._topics = list(topics)
        with self.closed_on_error():
            partitions = [partition for topic in self._topics for partition in self.partitions(topic)]
            given = {partition: offset for partition, offset in (offsets or {}).items() if partition in partitions}
            starts = self.first_offsets(partitions) if since_ms is None else self.offsets_at(partitions, since_ms)
            self.seek(starts | given)
            self._read = {place: topic_id(self.client, place.topic) for place in partitions}

    def poll(self, timeout_s: float) -> list[Record]:
        """The records that have arrived; waits at most `timeout_s` for the first."""
        new = self.new_partitions(self._topics, self._read)
        if new:
            read_on = {place: self.position(place) for place in self._read if place not in new}
            self.seek(read_on | self.first_offsets(new))
            self._read |= new
        return super().poll(timeout_s)


class NewestRecords(PartitionReader):
    """Reads the last records of a topic whenever asked, and never fetches others. Raises as `TopicReader`."""

    def __init__(self, bootstrap_servers: str, topic: str, client_settings: Settings = NO_SETTINGS) -> None:
        super().__init__(bootstrap_servers, client_settings)
        self._topic = topic
        with self.closed_on_error():
            self._read_to = dict.fromkeys(self.partitions(topic), 0)
            self._read = {place: topic_id(self.client, topic) for place in self._read_to}

    def look(self, depth: Callable[[int], int]) -> list[Record]:
        """The last `depth(partition)` records of each partition that are newer than those of the last look.

        Only those that arrive within `LOOK_TIMEOUT_S`; the next look starts at the end again.
        """
        read_to = self._read_to
        new = self.new_partitions([self._topic], self._read)
        self._read |= new
        read_to |= dict.fromkeys(new, 0)
        ends = {place: end for place, end in self.end_offsets(read_to).items() if end > read_to[place]}
        if not ends:
            return []
        self.seek({place: max(read_to[place], end - depth(place.partition), 0) for place, end in ends.items()})
        found: list[Record] = []
        deadline_s = time.monotonic() + LOOK_TIMEOUT_S
        while self.missing(ends) and time.monotonic() <= deadline_s:
            found += self.poll(0.1)
        read_to.update({place: max(end, self.position(place)) for place, end in ends.items()})
        self.seek({})
        return found
