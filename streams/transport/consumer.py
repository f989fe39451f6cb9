"""A member of the consumer group on the frames topic; commits only what is finished.

A frame is finished when its report and alerts, and the state that covers it, are acknowledged. Frames finish in any
order; per partition the longest finished prefix is committed, so a crash may judge frames twice but never skips one.

A `Tenant` decides when the frames of a partition that came may flow, and hears of one that goes before it is gone.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Protocol

from kafka import ConsumerRebalanceListener, KafkaConsumer, TopicPartition
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.errors import KafkaError, RebalanceInProgressError
from kafka.structs import OffsetAndMetadata

from ..observability.metrics import CONSUMER_PAUSED, CONSUMER_UNFINISHED
from ..wire.records import Record
from ..wire.topics import MAX_RECORD_BYTES
from .connection import Settings, connect
from .offsets import Awaited, DeliveryError, FinishedOffsets
from .partitions import records_of

__all__ = ["Awaited", "DeliveryError", "FinishedOffsets", "FrameConsumer", "Tenant"]

log = logging.getLogger(__name__)

COMMIT_EVERY_S = 1.0


class Tenant(Protocol):
    """Who must be ready before frames of a partition come, and done before it goes. Called on the client's thread."""

    def prepare(self, partitions: Collection[int]) -> None:
        """Hears that `partitions` are about to go, and finishes what it has begun."""

    def settled(self, partitions: Collection[int]) -> bool:
        """Whether it has; for a bounded time this is waited for."""

    def leave(self, partitions: Collection[int]) -> None:
        """Lets go of `partitions`: another member may have them now, or has them already."""


class FrameConsumer:
    """Polls a topic as a member of `group_id` (cooperative-sticky, so a rebalance stops only what moves).

    One thread calls everything but `finish`, which any thread may call. `client_settings` go to
    `kafka.KafkaConsumer` as they are and win over ours. `revoke_wait_s` is how long a partition that is taken away
    may still finish what was polled from it. With a `tenant`, frames of a partition that came are held until
    `release`. `instance_id` makes this a static member, which gets its partitions back after a quick restart (Apache
    Kafka). Raises `BrokerUnavailableError` if no broker answers, `BrokerRefusedError` if one refuses.
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
        *,
        instance_id: str | None = None,
        tenant: Tenant | None = None,
    ) -> None:
        self.topic = topic
        self.offsets = FinishedOffsets()
        self._committed: dict[int, int] = {}
        self._commit_at_s = 0.0
        self._commit_pending_until_s = 0.0
        self._paused = False
        self._closing = False
        self._revoke_wait_s = revoke_wait_s
        self._tenant = tenant
        self._held: dict[int, int] = {}
        self._comings = 0
        settings: dict[str, Any] = {
            "group_id": group_id,
            "group_instance_id": instance_id,
            "partition_assignment_strategy": (CooperativeStickyAssignor,),
            "enable_auto_commit": False,
            "auto_offset_reset": "earliest" if from_beginning else "latest",
            "allow_auto_create_topics": False,
            "max_partition_fetch_bytes": MAX_RECORD_BYTES,
            "fetch_max_bytes": 2 * MAX_RECORD_BYTES,
            "max_poll_records": 64,
            "session_timeout_ms": int(session_timeout_s * 1000),
            "heartbeat_interval_ms": int(session_timeout_s * 1000 / 3),
            "reconnect_backoff_max_ms": 2_000,
        }
        self._client = connect(KafkaConsumer, bootstrap_servers, settings | dict(client_settings))
        self._client.subscribe([topic], listener=_Rebalance(self))
        # Known before the group is joined: else the first assignment is empty, and the group rebalances again.
        self._client.partitions_for_topic(topic)

    @property
    def assigned(self) -> frozenset[int]:
        """Partitions that this member owns now."""
        return frozenset(partition.partition for partition in self._client.assignment())

    @property
    def joined(self) -> bool:
        """Whether this member has joined its group, with or without a partition; any thread may ask."""
        return bool(self._client.group_metadata().generation_id >= 0)

    @property
    def held(self) -> Mapping[int, int]:
        """Partitions whose frames wait for `release`, and for each a number that grows with every coming."""
        return self._held

    def release(self, partitions: Collection[int]) -> dict[int, int]:
        """Lets the frames of `partitions` come; begins anew what is known of their offsets.

        Returns the end of each partition: what lies before it another worker may have reported already. Empty where
        the broker does not say.
        """
        self.offsets.forget(partitions)
        for partition in partitions:
            self._held.pop(partition, None)
        if not self._paused:
            self.resume()
        return self._ends(partitions)

    def _ends(self, partitions: Collection[int]) -> dict[int, int]:
        if not partitions:
            return {}
        try:
            told = self._client.end_offsets([TopicPartition(self.topic, partition) for partition in partitions])
        except KafkaError as error:
            log.warning("ends of partitions %s are unknown: %s", sorted(partitions), error)
            return {}
        return {place.partition: int(end) for place, end in told.items()}

    def poll(self, timeout_s: float) -> list[Record]:
        """Records that have come, waiting for at most `timeout_s`; also commits what is finished each second.

        While paused it returns nothing but must still be called: membership of the group hangs on it.
        """
        records = records_of(self._client.poll(timeout_ms=max(0, int(timeout_s * 1000))))
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
        then merely read again. Raises `DeliveryError` for a frame whose outputs were lost.
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
        """Fetches again, but for partitions that are held."""
        self._paused = False
        self._client.resume(*(paused for paused in self._client.paused() if paused.partition not in self._held))

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

    def _settled(self, partitions: Collection[int]) -> bool:
        """Whether nothing of `partitions` is under way: a tenant need not finish what it has not begun."""
        self.offsets.committable()
        if self._tenant is not None:
            return self._tenant.settled(partitions)
        return not self.offsets.unfinished_in(partitions)

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
        consumer = self._consumer
        if consumer._tenant is not None:
            consumer._comings += 1
            consumer._held |= {partition.partition: consumer._comings for partition in assigned}
        if consumer._paused or consumer._tenant is not None:
            consumer._client.pause(*assigned)

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
        if consumer._tenant is not None:
            consumer._tenant.prepare(partitions)
        while not consumer._settled(partitions) and time.monotonic() < deadline_s:
            time.sleep(0.01)
        if consumer._tenant is not None:
            consumer._tenant.leave(partitions)
        finished = consumer.offsets.committable()
        due = consumer._due({p: offset for p, offset in finished.items() if p in partitions})
        if due:
            consumer._client.commit_async(consumer._as_commit(due), callback=consumer._commit_answered)

    def _forget(self, partitions: Collection[int]) -> None:
        consumer = self._consumer
        if consumer._tenant is not None:
            consumer._tenant.leave(partitions)
        consumer.offsets.forget(partitions)
        for partition in partitions:
            consumer._committed.pop(partition, None)
            consumer._held.pop(partition, None)


def _size(record: Record) -> int:
    return len(record.key or b"") + len(record.value or b"")
