"""Parts of topics, by partition and offset or by time: for those who come back to what was around a moment.

Like `history.py` it belongs to no group; unlike it, it keeps one client for all topics, and sees what has
come since. One reading at a time: an iterator ends when another one begins.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any

from kafka import KafkaConsumer, TopicPartition
from kafka.partitioner.default import murmur2

from ..wire.records import Record
from .connection import Settings, answer_of, connect
from .history import TopicMissingError
from .records import records_between

FETCH_BYTES = 1024 * 1024  # little is read beyond a range; a larger record comes all the same, alone
WAIT_MS = 50  # that a broker waits for records where there are none


class TopicRanges:
    """`with TopicRanges(servers) as ranges:`. Every verb raises `BrokerUnavailableError`, and `TopicMissingError`."""

    def __init__(
        self,
        bootstrap_servers: str,
        client_settings: Settings = {},  # noqa: B006 (only read)
    ) -> None:
        settings = {
            "group_id": None,
            "enable_auto_commit": False,
            "auto_offset_reset": "earliest",
            "max_partition_fetch_bytes": FETCH_BYTES,
            "fetch_max_bytes": FETCH_BYTES,
            "fetch_max_wait_ms": WAIT_MS,
            "max_poll_records": 64,
            "allow_auto_create_topics": False,
            "reconnect_backoff_max_ms": 2_000,
        }
        self._servers = bootstrap_servers
        self._client: Any = connect(KafkaConsumer, bootstrap_servers, settings | dict(client_settings))

    def __enter__(self) -> TopicRanges:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Gives the connections back."""
        self._client.close()

    def partition_of(self, topic: str, key: str) -> int:
        """The partition where our producers put records of `key` that name none."""
        partitions = sorted(self._partitions(topic))
        return partitions[int(murmur2(key.encode()) & 0x7FFFFFFF) % len(partitions)]

    def first_offset(self, topic: str, partition: int) -> int:
        """The oldest offset that is kept; 0 where there is no such partition."""
        where = TopicPartition(topic, partition)
        if partition not in self._partitions(topic):
            return 0
        return int(self._asked(topic, lambda: self._client.beginning_offsets([where]))[where])

    def offset_at(self, topic: str, partition: int, timestamp_ms: int) -> int:
        """The first offset of a record of that wall time or later; where none has come yet, that of the next one.

        Tansu knows no times and tells the first offset that it keeps.
        """
        where = TopicPartition(topic, partition)
        if partition not in self._partitions(topic):
            return 0
        found = self._asked(topic, lambda: self._client.offsets_for_times({where: max(timestamp_ms, 0)}))[where]
        if found is not None and found.offset >= 0:
            return int(found.offset)
        return int(self._asked(topic, lambda: self._client.end_offsets([where]))[where])

    def between(self, topic: str, partition: int, begin: int, end: int | None = None) -> Iterator[Record]:
        """Records of offsets `begin` to below `end`, or to the last one there is; offsets may be missing."""
        if partition not in self._partitions(topic):
            return
        where = TopicPartition(topic, partition)
        begin = max(begin, self.first_offset(topic, partition))
        yield from records_between(self._client, self._servers, where, begin, end, to_newest=True)

    def _partitions(self, topic: str) -> set[int]:
        numbers: set[int] | None = self._asked(topic, lambda: self._client.partitions_for_topic(topic))
        if not numbers:
            raise TopicMissingError(f"expected topic {topic} at {self._servers}, got none of that name")
        return numbers

    def _asked(self, topic: str, question: Callable[[], Any]) -> Any:
        return answer_of(self._servers, topic, question)
