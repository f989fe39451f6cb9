"""A member of the consumer group on the frames topic; commits only what is finished.

A frame is finished when its report and alerts are acknowledged. Frames finish in any order; per partition the
longest finished prefix is committed, so a crash may judge frames twice but never skips one.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from kafka import ConsumerRebalanceListener, KafkaConsumer, TopicPartition
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.errors import KafkaError, KafkaTimeoutError, RebalanceInProgressError
from kafka.structs import OffsetAndMetadata

from ..codec import Record
from ..telemetry import CONSUMER_PAUSED, CONSUMER_UNFINISHED
from ..topics import MAX_RECORD_BYTES
from .producer import BrokerUnavailable, Settings

log = logging.getLogger(__name__)

COMMIT_EVERY_S = 1.0


class DeliveryFailed(RuntimeError):
    """A finished frame's report or alert could not be delivered; its frame must be judged again."""


class Awaited(Protocol):
    """What `FinishedOffsets` asks of a delivery."""

    @property
    def exception(self) -> BaseException | None:
        """Why it failed, None unless it has."""

    def done(self) -> bool:
        """Whether it is delivered or has failed."""


@dataclass(slots=True)
class _Entry:
    offset: int
    size: int
    deliveries: Sequence[Awaited] | None = None  # None until the frame is finished


class FinishedOffsets:
    """Which offsets may be committed. Pure and thread-safe: knows no broker and no clock.

    Offsets of a partition need not be consecutive (compaction and transactions leave gaps); their order of arrival
    counts.
    """

    def __init__(self) -> None:
        self._arrived: dict[int, deque[_Entry]] = {}
        self._by_offset: dict[tuple[int, int], _Entry] = {}
        self._next: dict[int, int] = {}
        self._unfinished_bytes = 0
        self._lock = threading.Lock()

    @property
    def unfinished(self) -> int:
        """Number of records that arrived and can't be committed yet."""
        return len(self._by_offset)

    @property
    def unfinished_bytes(self) -> int:
        """Bytes of the records that arrived and for which `finish` was not called yet."""
        return self._unfinished_bytes

    @property
    def awaiting(self) -> int:
        """Number of records that need nothing more than their deliveries."""
        with self._lock:
            return sum(entry.deliveries is not None for entry in self._by_offset.values())

    def arrive(self, partition: int, offset: int, size: int = 0) -> None:
        """Notes a record of `size` bytes that was polled."""
        with self._lock:
            entry = _Entry(offset, size)
            self._arrived.setdefault(partition, deque()).append(entry)
            self._by_offset[partition, offset] = entry
            self._unfinished_bytes += size

    def finish(self, partition: int, offset: int, deliveries: Iterable[Awaited] = ()) -> None:
        """Notes that the record needs nothing more than its `deliveries`; unknown (revoked) records are ignored."""
        with self._lock:
            entry = self._by_offset.get((partition, offset))
            if entry is not None and entry.deliveries is None:
                entry.deliveries = tuple(deliveries)
                self._unfinished_bytes -= entry.size

    def committable(self) -> dict[int, int]:
        """The next offset to read, by partition. Raises `DeliveryFailed` where a delivery ended in an error."""
        with self._lock:
            for partition, entries in self._arrived.items():
                while entries and _delivered(partition, entries[0]):
                    entry = entries.popleft()
                    del self._by_offset[partition, entry.offset]
                    self._next[partition] = entry.offset + 1
            return dict(self._next)

    def forget(self, partitions: Collection[int]) -> None:
        """Drops everything about partitions that now belong to another member."""
        with self._lock:
            for partition in partitions:
                for entry in self._arrived.pop(partition, ()):
                    del self._by_offset[partition, entry.offset]
                    self._unfinished_bytes -= entry.size if entry.deliveries is None else 0
                self._next.pop(partition, None)

    def unfinished_in(self, partitions: Collection[int]) -> int:
        """Number of records of these partitions that can't be committed yet."""
        with self._lock:
            return sum(len(self._arrived.get(partition, ())) for partition in partitions)


def _delivered(partition: int, entry: _Entry) -> bool:
    if entry.deliveries is None or not all(delivery.done() for delivery in entry.deliveries):
        return False
    failed = next((delivery.exception for delivery in entry.deliveries if delivery.exception is not None), None)
    if failed is not None:
        message = f"outputs of the frame at partition {partition} offset {entry.offset} were not delivered: {failed}"
        raise DeliveryFailed(message) from failed
    return True


class FrameConsumer:
    """Polls a topic as a member of `group_id` (cooperative-sticky, so a rebalance stops only what moves).

    One thread calls everything but `finish`, which any thread may call. `client_settings` go to
    `kafka.KafkaConsumer` as they are and win over ours. `revoke_wait_s` is how long a partition that is taken away
    may still finish what was polled from it. Raises `BrokerUnavailable` if no broker answers.
    """

    def __init__(
        self,
        bootstrap_servers: str,
        topic: str,
        group_id: str,
        client_settings: Settings = {},  # noqa: B006 (only read)
        from_beginning: bool = True,
        session_timeout_s: float = 10.0,
        revoke_wait_s: float = 1.0,
    ) -> None:
        self.topic = topic
        self.offsets = FinishedOffsets()
        self._committed: dict[int, int] = {}
        self._commit_at_s = 0.0
        self._commit_pending_until_s = 0.0
        self._paused = False
        self._closing = False
        self._revoke_wait_s = revoke_wait_s
        settings: dict[str, Any] = {
            "group_id": group_id,
            "partition_assignment_strategy": (CooperativeStickyAssignor,),
            "enable_auto_commit": False,
            "auto_offset_reset": "earliest" if from_beginning else "latest",
            "allow_auto_create_topics": False,
            "max_partition_fetch_bytes": MAX_RECORD_BYTES,
            "fetch_max_bytes": 2 * MAX_RECORD_BYTES,
            "max_poll_records": 64,
            "session_timeout_ms": int(session_timeout_s * 1000),
            "heartbeat_interval_ms": int(session_timeout_s * 1000 / 3),
            "bootstrap_timeout_ms": 10_000,
            "reconnect_backoff_max_ms": 2_000,
        }
        try:
            self._client = KafkaConsumer(bootstrap_servers=bootstrap_servers, **(settings | dict(client_settings)))
        except KafkaTimeoutError as error:
            raise BrokerUnavailable(f"expected a Kafka broker at {bootstrap_servers}, got none: {error}") from error
        self._client.subscribe([topic], listener=_Rebalance(self))

    @property
    def assigned(self) -> frozenset[int]:
        """Partitions that this member owns now."""
        return frozenset(partition.partition for partition in self._client.assignment())

    def poll(self, timeout_s: float) -> list[Record]:
        """Records that have come, waiting for at most `timeout_s`; also commits what is finished each second.

        While paused it returns nothing but must still be called: membership of the group hangs on it.
        """
        polled = self._client.poll(timeout_ms=max(0, int(timeout_s * 1000)))
        records = [_record(raw) for batch in polled.values() for raw in batch]
        for record in records:
            self.offsets.arrive(record.partition, record.offset, _size(record))
        CONSUMER_UNFINISHED.set(self.offsets.unfinished_bytes)
        CONSUMER_PAUSED.set(self._paused)
        self.commit_finished()
        return records

    def finish(self, partition: int, offset: int, deliveries: Iterable[Awaited] = ()) -> None:
        """Says that a record needs nothing more than that its `deliveries` succeed."""
        self.offsets.finish(partition, offset, deliveries)

    def commit_finished(self, force: bool = False, timeout_s: float = 5.0) -> None:
        """Commits the longest finished prefix of each partition, without waiting and at most once a second.

        With `force` it commits now and waits for at most `timeout_s`; a failure is logged, because the records are
        then merely read again. Raises `DeliveryFailed` for a frame whose outputs were lost.
        """
        now_s = time.monotonic()
        if not force and now_s < self._commit_at_s:
            return
        self._commit_at_s = now_s + COMMIT_EVERY_S
        due = self._due(self.offsets.committable())
        if due and force:
            self._commit_and_wait(due, timeout_s)
        elif due and now_s >= self._commit_pending_until_s:
            # One commit at a time, so that a silent broker gets no queue of them; its answer clears this.
            self._commit_pending_until_s = now_s + 30.0
            self._client.commit_async(self._as_commit(due), callback=self._commit_answered)

    def pause(self, max_bytes: int = 0) -> bool:
        """Stops fetching if more than `max_bytes` of polled records are unfinished; returns whether paused now.

        0 always stops. What the client has fetched already, up to `fetch_max_bytes`, waits inside it.
        """
        if max_bytes == 0 or self.offsets.unfinished_bytes > max_bytes:
            self._paused = True
            self._client.pause(*self._client.assignment())
        return self._paused

    def resume(self) -> None:
        """Fetches again."""
        self._paused = False
        self._client.resume(*self._client.paused())

    def close(self, drain_s: float = 5.0) -> None:
        """Stops fetching, gives what is finished `drain_s` to be delivered, commits, and leaves the group."""
        deadline_s = time.monotonic() + drain_s
        try:
            self.pause()
            while self.offsets.awaiting and time.monotonic() < deadline_s:
                self._client.poll(timeout_ms=50)
                self.offsets.committable()
            self.commit_finished(force=True)
        finally:
            self._closing = True
            self._client.close(autocommit=False, timeout_ms=5_000)

    def _commit_and_wait(self, due: dict[int, int], timeout_s: float) -> None:
        try:
            self._client.commit(self._as_commit(due), timeout_ms=int(timeout_s * 1000))
        except KafkaError as error:
            log.warning("commit of %s failed, its frames will be read again: %s", due, error)
        else:
            self._committed.update(due)

    def _due(self, committable: Mapping[int, int]) -> dict[int, int]:
        return {p: offset for p, offset in committable.items() if offset > self._committed.get(p, -1)}

    def _as_commit(self, due: Mapping[int, int]) -> dict[TopicPartition, OffsetAndMetadata]:
        return {TopicPartition(self.topic, p): OffsetAndMetadata(offset, "", -1) for p, offset in due.items()}

    def _commit_answered(self, offsets: dict[TopicPartition, OffsetAndMetadata], response: object) -> None:
        self._commit_pending_until_s = 0.0
        if isinstance(response, BaseException):
            # While the group rebalances a commit can't be taken; that is no news.
            level = logging.DEBUG if isinstance(response, RebalanceInProgressError) else logging.WARNING
            log.log(level, "commit failed, will be tried again: %s", response)
            return
        owned = self._client.assignment()
        self._committed.update({tp.partition: entry.offset for tp, entry in offsets.items() if tp in owned})


class _Rebalance(ConsumerRebalanceListener):  # type: ignore[misc]
    """Runs on the client's own thread while `poll` waits."""

    def __init__(self, consumer: FrameConsumer) -> None:
        self._consumer = consumer

    def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        if self._consumer._paused:
            self._consumer._client.pause(*assigned)

    def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        """Lets finish what can, within the bound, and commits it: the next owner starts there.

        The commit is only sent: it goes ahead of the request that gives the partitions up, on the same connection.
        """
        partitions = {partition.partition for partition in revoked}
        try:
            if not self._consumer._closing:
                self._commit_last(partitions)
        finally:
            self._forget(partitions)

    def on_partitions_lost(self, lost: Collection[TopicPartition]) -> None:
        """Another member has them already: nothing may be committed."""
        self._forget({partition.partition for partition in lost})

    def _commit_last(self, partitions: Collection[int]) -> None:
        consumer = self._consumer
        deadline_s = time.monotonic() + consumer._revoke_wait_s
        finished = consumer.offsets.committable()
        while consumer.offsets.unfinished_in(partitions) and time.monotonic() < deadline_s:
            time.sleep(0.01)
            finished = consumer.offsets.committable()
        due = consumer._due({p: offset for p, offset in finished.items() if p in partitions})
        if due:
            consumer._client.commit_async(consumer._as_commit(due), callback=consumer._commit_answered)

    def _forget(self, partitions: Collection[int]) -> None:
        self._consumer.offsets.forget(partitions)
        for partition in partitions:
            self._consumer._committed.pop(partition, None)


def _record(raw: Any) -> Record:
    return Record(raw.topic, raw.partition, raw.offset, raw.timestamp, raw.key, raw.value, tuple(raw.headers or ()))


def _size(record: Record) -> int:
    return len(record.key or b"") + len(record.value or b"")
