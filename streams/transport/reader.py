"""Reads topics without a group, from wherever one likes: for those who look on and own nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import Any, Self

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from ..wire.records import Record
from ..wire.topics import MAX_RECORD_BYTES
from .connection import BrokerUnavailableError, Settings, connect
from .records import record_of

Place = tuple[str, int]  # topic, partition


class TopicReader:
    """`with TopicReader(servers, topics) as reader:` reads every partition from its first record on.

    `offsets` says where to begin in some of them instead (where that record is gone: from the first that is left);
    with `since_ms` all others begin at the first record that was published then or later. Partitions are looked up
    once, so the topics must exist. Raises BrokerUnavailableError, BrokerRefusedError, and ValueError for a missing topic.
    """

    def __init__(
        self,
        bootstrap_servers: str,
        topics: Iterable[str],
        client_settings: Settings = {},  # noqa: B006 (only read)
        offsets: Mapping[Place, int] = {},
        since_ms: int | None = None,
    ) -> None:
        self._client = _client(bootstrap_servers, client_settings)
        try:
            partitions = _partitions(self._client, bootstrap_servers, topics)
            self._client.assign(partitions)
            self._client.seek_to_beginning(*partitions)
            if since_ms is not None:
                self._seek_to_time(partitions, since_ms)
            for partition in partitions:
                if (offset := offsets.get((partition.topic, partition.partition))) is not None:
                    self._client.seek(partition, offset)
        except BaseException:
            self._client.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def poll(self, timeout_s: float) -> list[Record]:
        """What has come, waiting for at most `timeout_s`."""
        return _records(self._client.poll(timeout_ms=max(0, int(timeout_s * 1000))))

    def _seek_to_time(self, partitions: list[TopicPartition], since_ms: int) -> None:
        try:
            found = self._client.offsets_for_times(dict.fromkeys(partitions, since_ms))
        except KafkaError as error:
            raise BrokerUnavailableError(f"expected offsets of {since_ms} ms, got none: {error}") from error
        late = [partition for partition in partitions if found.get(partition) is None]
        for partition in partitions:
            if (at := found.get(partition)) is not None:
                self._client.seek(partition, at.offset)
        if late:
            self._client.seek_to_end(*late)


class NewestRecords:
    """Looks at the last records of a topic now and then and passes over all others, which are never fetched.

    For those who need to see where things stand and can't afford to read everything. Raises as `TopicReader`.
    """

    def __init__(
        self,
        bootstrap_servers: str,
        topic: str,
        client_settings: Settings = {},  # noqa: B006 (only read)
    ) -> None:
        self._client = _client(bootstrap_servers, client_settings)
        try:
            self._partitions = _partitions(self._client, bootstrap_servers, [topic])
        except BaseException:
            self._client.close()
            raise
        self._seen: dict[TopicPartition, int] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def look(self, depth: Callable[[int], int], timeout_s: float = 2.0) -> list[Record]:
        """The last `depth(partition)` records of each partition that were not there at the last look.

        Where they do not all come within `timeout_s`, those that did.
        """
        try:
            ends = self._client.end_offsets(self._partitions)
        except KafkaError as error:
            raise BrokerUnavailableError(f"expected the ends of the topic, got none: {error}") from error
        moved = [partition for partition in self._partitions if ends[partition] > self._seen.get(partition, 0)]
        if not moved:
            return []
        self._client.assign(moved)
        for partition in moved:
            first = max(self._seen.get(partition, 0), ends[partition] - depth(partition.partition), 0)
            self._client.seek(partition, first)
        found: list[Record] = []
        deadline_s = time.monotonic() + timeout_s
        while any(self._client.position(partition) < ends[partition] for partition in moved):
            if time.monotonic() > deadline_s:
                break
            found += _records(self._client.poll(timeout_ms=100))
        # of those that have not come up, the next look begins at the end again
        self._seen |= {partition: max(ends[partition], self._client.position(partition)) for partition in moved}
        self._client.assign([])
        return found


def _client(bootstrap_servers: str, client_settings: Settings) -> Any:
    settings = {
        "group_id": None,
        "enable_auto_commit": False,
        "auto_offset_reset": "earliest",
        "max_partition_fetch_bytes": MAX_RECORD_BYTES,
        "reconnect_backoff_max_ms": 2_000,
    }
    return connect(KafkaConsumer, bootstrap_servers, settings | dict(client_settings))


def _partitions(client: Any, bootstrap_servers: str, topics: Iterable[str]) -> list[TopicPartition]:
    partitions = []
    for topic in topics:
        numbers = client.partitions_for_topic(topic)
        if not numbers:
            raise ValueError(f"expected topic {topic} at {bootstrap_servers}, got none of that name")
        partitions += [TopicPartition(topic, number) for number in sorted(numbers)]
    return partitions


def _records(polled: Mapping[TopicPartition, Iterable[Any]]) -> list[Record]:
    return [record_of(raw) for batch in polled.values() for raw in batch]
