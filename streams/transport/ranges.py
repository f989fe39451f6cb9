"""Parts of any topic, by offset or by time, with one client for all of them; sees what has arrived since."""

from __future__ import annotations

from collections.abc import Iterator

from kafka import TopicPartition
from kafka.partitioner.default import murmur2

from ..wire.records import Record
from .client.settings import NO_SETTINGS, Settings
from .partitions import PartitionReader

FETCH_BYTES = 1024 * 1024  # little is read beyond a range; a larger record is still fetched, alone
WAIT_MS = 50  # how long a broker waits for records where there are none


class TopicRanges(PartitionReader):
    """`with TopicRanges(servers) as ranges:`. Every method raises `BrokerUnavailableError` and `TopicMissingError`.

    One reading at a time: an iterator of `between` ends when another one begins.
    """

    def __init__(self, bootstrap_servers: str, client_settings: Settings = NO_SETTINGS) -> None:
        super().__init__(
            bootstrap_servers,
            client_settings,
            max_partition_fetch_bytes=FETCH_BYTES,
            fetch_max_bytes=FETCH_BYTES,
            fetch_max_wait_ms=WAIT_MS,
            max_poll_records=64,
        )

    def partition_of(self, topic: str, key: str) -> int:
        """The partition where our producers put records of `key` that name none."""
        partitions = self.partitions(topic)
        return int(partitions[(murmur2(key.encode()) & 0x7FFFFFFF) % len(partitions)].partition)

    def first_offset(self, topic: str, partition: int) -> int:
        """The oldest offset that is kept; 0 where there is no such partition."""
        found = self._find(topic, partition)
        return 0 if found is None else self.first_offsets([found])[found]

    def offset_at(self, topic: str, partition: int, timestamp_ms: int) -> int:
        """The first offset of a record of that wall time or later; the end offset where there is none yet.

        0 where there is no such partition. Tansu can't search by time and returns the first offset it holds.
        """
        found = self._find(topic, partition)
        return 0 if found is None else self.offsets_at([found], max(timestamp_ms, 0))[found]

    def between(self, topic: str, partition: int, begin: int, end: int | None = None) -> Iterator[Record]:
        """Records of offsets `begin` to below `end`, or to the last one there is; offsets may be missing."""
        found = self._find(topic, partition)
        if found is not None:
            begin = max(begin, self.first_offsets([found])[found])
            yield from self.read(found, begin, end, to_newest=True)

    def _find(self, topic: str, partition: int) -> TopicPartition | None:
        found = TopicPartition(topic, partition)
        return found if found in self.partitions(topic) else None
