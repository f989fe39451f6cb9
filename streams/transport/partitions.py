"""Reads partitions without a consumer group: finds offsets, seeks, polls, and translates the client's errors.

Every reader of topics in this folder is a `PartitionReader` or holds one, except for `FrameConsumer`, which is a group
member.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Self

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from ..wire.records import Record
from ..wire.topics import MAX_RECORD_BYTES
from .client.settings import Settings
from .client.unreadable import UnreadableBatchError, pass_over
from .connection import BrokerUnavailableError, TopicMissingError, connect

# After so long partitions that were added, and a topic that was made anew, are noticed; a request costs a millisecond.
METADATA_AGE_MS = 10_000
SETTINGS: Settings = {
    "group_id": None,
    "enable_auto_commit": False,
    "auto_offset_reset": "earliest",
    "isolation_level": "read_committed",  # what a producer took back is not judged
    "allow_auto_create_topics": False,
    "max_partition_fetch_bytes": MAX_RECORD_BYTES,
    "metadata_max_age_ms": METADATA_AGE_MS,
    "reconnect_backoff_max_ms": 2_000,
}
POLL_S = 0.2
SILENCE_S = 15.0  # a broker that sends nothing for longer counts as unavailable


class PartitionReader:
    """A client of `bootstrap_servers`; one thread uses it. It reads from the partitions of the last `seek`.

    Closed by `close` or at the end of a `with` block.
    `settings` extend `SETTINGS`; the user's `client_settings` win over both. Every method raises
    `BrokerUnavailableError` where the broker does not answer, the constructor also `BrokerRefusedError`.
    """

    def __init__(self, bootstrap_servers: str, client_settings: Settings, **settings: object) -> None:
        self.bootstrap_servers = bootstrap_servers
        self._silent_since_s: float | None = None
        self.client: Any = connect(KafkaConsumer, bootstrap_servers, {**SETTINGS, **settings, **client_settings})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the client's connections."""
        self.client.close()

    @contextmanager
    def closed_on_error(self) -> Iterator[None]:
        """Closes the client if the block raises."""
        try:
            yield
        except BaseException:
            self.close()
            raise

    def partitions(self, topic: str) -> list[TopicPartition]:
        """The partitions of a topic, by number. Raises `TopicMissingError`."""
        with self._translated_errors():
            numbers = self.client.partitions_for_topic(topic)
        if not numbers:
            raise TopicMissingError(f"expected topic {topic} at {self.bootstrap_servers}, got none of that name")
        return [TopicPartition(topic, number) for number in sorted(numbers)]

    def new_partitions(self, topics: Iterable[str], known: Mapping[TopicPartition, str]) -> dict[TopicPartition, str]:
        """Partitions that are not `known`, or known under another identity of their topic; each with its identity.

        As of the latest metadata: asks nobody.
        """
        found = {}
        for topic in topics:
            identity = topic_id(self.client, topic)
            for number in self.client._cluster.partitions_for_topic(topic) or ():
                place = TopicPartition(topic, number)
                if place not in known or (identity and known[place] and identity != known[place]):
                    found[place] = identity
        return found

    def first_offsets(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        """The oldest offset that each partition still holds."""
        with self._translated_errors():
            return dict(self.client.beginning_offsets(list(partitions)))

    def end_offsets(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        """The offset that the next record of each partition will get."""
        with self._translated_errors():
            return dict(self.client.end_offsets(list(partitions)))

    def offsets_at(self, partitions: Collection[TopicPartition], timestamp_ms: int) -> dict[TopicPartition, int]:
        """The offset of each partition's first record of that time or later; the end offset where there is none yet.

        Tansu can't search by time and returns the first offset it holds.
        """
        with self._translated_errors():
            found = self.client.offsets_for_times(dict.fromkeys(partitions, timestamp_ms))
        offsets = {partition: at.offset for partition, at in found.items() if at is not None and at.offset >= 0}
        later = [partition for partition in partitions if partition not in offsets]
        return offsets | (self.end_offsets(later) if later else {})

    def seek(self, offsets: Mapping[TopicPartition, int]) -> None:
        """From now on `poll` reads these partitions alone, from these offsets on (or from the oldest that is left)."""
        self._silent_since_s = None
        with self._translated_errors():
            self.client.assign(list(offsets))
            for partition, offset in offsets.items():
                self.client.seek(partition, offset)

    def poll(self, timeout_s: float) -> list[Record]:
        """The records that have arrived; waits at most `timeout_s` for the first."""
        began_s = time.monotonic()
        with self._translated_errors():
            try:
                polled = self.client.poll(timeout_ms=max(0, int(timeout_s * 1000)))
            except UnreadableBatchError as error:
                pass_over(self.client, error)
                return []
        self._silent_since_s = None if polled else self._silent_since_s or began_s
        return records_of(polled)

    def position(self, partition: TopicPartition) -> int:
        """The offset of the next record that `poll` will return of this partition."""
        with self._translated_errors():
            return int(self.client.position(partition) or 0)

    def high_watermark(self, partition: TopicPartition) -> int | None:
        """The end offset as of the last fetch; None before the first one."""
        offset: int | None = self.client.highwater(partition)
        return offset

    def missing(self, ends: Mapping[TopicPartition, int]) -> dict[TopicPartition, int]:
        """How many offsets each partition's position is below its end, without those that have reached it."""
        missing = {partition: end - self.position(partition) for partition, end in ends.items() if end}
        return {partition: count for partition, count in missing.items() if count > 0}

    def check_silence(self, limit_s: float, expected: str) -> None:
        """Raises `BrokerUnavailableError` if polls have returned nothing for more than `limit_s`."""
        if self._silent_since_s is not None and time.monotonic() - self._silent_since_s > limit_s:
            message = f"expected {expected} from {self.bootstrap_servers}, got nothing for {limit_s:g} s"
            raise BrokerUnavailableError(message)

    def read(self, partition: TopicPartition, begin: int, end: int | None, to_newest: bool = False) -> Iterator[Record]:
        """Yields records of offsets `begin` to below `end` (None: no end); offsets may be missing.

        With `to_newest` it also ends behind the newest record; without, `end` must have been there. It seeks, so of
        its iterators only the latest may be used.
        """
        self.seek({partition: begin})
        position = begin
        while end is None or position < end:
            for record in self.poll(POLL_S):
                if end is not None and record.offset >= end:
                    return
                yield record
            position = self.position(partition)
            newest = self.high_watermark(partition) if to_newest else None
            if newest is not None and position >= newest:
                return
            self.check_silence(SILENCE_S, f"{partition.topic}[{partition.partition}] from offset {position} on")

    @contextmanager
    def _translated_errors(self) -> Iterator[None]:
        try:
            yield
        except KafkaError as error:
            raise BrokerUnavailableError(f"{self.bootstrap_servers} did not answer: {error}") from error


def topic_id(client: Any, topic: str) -> str:
    """The identity of a topic, as of the client's latest metadata: one made anew under the same name has another.

    "" where the broker tells none, or the topic is gone.
    """
    known = client._cluster.topic_id(topic)  # no public method of the client tells it
    return str(known) if known else ""


def records_of(polled: Mapping[TopicPartition, Collection[Any]]) -> list[Record]:
    """What the client's `poll` returned, as records of ours; nothing in them is checked."""
    return [
        Record(raw.topic, raw.partition, raw.offset, raw.timestamp, raw.key, raw.value, tuple(raw.headers or ()))
        for batch in polled.values()
        for raw in batch
    ]
