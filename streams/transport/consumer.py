"""A member of the consumer group on the frames topic; commits only finished frames.

A frame is finished when its report and alerts, and the state that covers it, are acknowledged. Frames finish in any
order; per partition the longest finished prefix is committed, so a crash may judge frames twice but never skips one.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Iterable, Mapping, Set
from contextlib import suppress
from typing import Any, Protocol

from kafka import ConsumerRebalanceListener, KafkaConsumer, TopicPartition
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.errors import InconsistentGroupProtocolError, KafkaError, RebalanceInProgressError
from kafka.structs import OffsetAndMetadata

from ..observability.metrics import CONSUMER_PAUSED, CONSUMER_UNFINISHED
from ..wire.records import Record
from ..wire.topics import MAX_RECORD_BYTES
from .admin import has_members_of_new_protocol
from .client.settings import NO_SETTINGS, Settings
from .connection import (
    GROUP_REFUSALS,
    BrokerRefusedError,
    BrokerUnavailableError,
    GroupRefusedError,
    connect,
)
from .offsets import Awaited, FinishedOffsets, Loss
from .partitions import METADATA_AGE_MS
from .positions import Positions

log = logging.getLogger(__name__)

COMMIT_EVERY_S = 1.0
COMMIT_TIMEOUT_MS = 5_000
REVOKE_WAIT_S = 1.0  # in which a partition that is being revoked may finish what was polled from it
DELETED_WAIT_S = 20.0  # the same where the topic is deleted: nobody else can read what is left


class PartitionOwner(Protocol):
    """Prepares partitions before their frames flow, and is told of their revocation on the client's thread."""

    def on_revoking(self, partitions: Collection[int]) -> None:
        """`partitions` are about to be revoked: finishes what it has begun."""

    def is_settled(self, partitions: Collection[int]) -> bool:
        """Whether it has finished that; the consumer waits for it, within a bound."""

    def on_revoked(self, partitions: Collection[int]) -> None:
        """Releases `partitions`: another member may own them now, or owns them already."""


class FrameConsumer(ConsumerRebalanceListener):  # type: ignore[misc]
    """Polls a topic as a member of `group_id` (cooperative-sticky, so a rebalance stops only what moves).

    One thread calls everything but `finish` and `joined`, which any thread may call. `client_settings` win over ours.
    With an `owner`, frames of an assigned partition are held back until `release`. `instance_id` makes this a static
    member, which gets its partitions back after a quick restart (Apache Kafka). Raises `BrokerUnavailableError` if no
    broker answers, `BrokerRefusedError` if one refuses.

    Records that are gone are noted in `losses`; a topic that was made anew is read from its beginning, after what was
    polled of the old one is finished.
    """

    def __init__(
        self,
        bootstrap_servers: str,
        topic: str,
        group_id: str,
        client_settings: Settings = NO_SETTINGS,
        session_timeout_s: float = 10.0,
        *,
        instance_id: str | None = None,
        owner: PartitionOwner | None = None,
    ) -> None:
        self.topic = topic
        self.offsets = FinishedOffsets()
        self._servers, self._group_id, self._client_settings = bootstrap_servers, group_id, client_settings
        self._generation = -1  # of the group, when its members were looked at
        self._committed: dict[int, int] = {}
        self._polled_to: dict[int, int] = {}
        self._commit_at_s = 0.0
        self._commit_pending_until_s = 0.0
        self._paused = False
        self._closing = False
        self._owner = owner
        self._aside: Set[int] = frozenset()
        self.begun_anew: set[int] = set()  # partitions whose offsets count anew since they were held last
        self.held: dict[int, int] = {}  # partitions that wait for `release`, each with the number of its assignment
        self._assignments = 0  # so far, the number of the latest
        settings: dict[str, Any] = {
            "group_id": group_id,
            "group_instance_id": instance_id,
            "partition_assignment_strategy": (CooperativeStickyAssignor,),
            "enable_auto_commit": False,
            "auto_offset_reset": "none",
            "isolation_level": "read_committed",  # what a producer took back is not judged
            "metadata_max_age_ms": METADATA_AGE_MS,
            "allow_auto_create_topics": False,
            "max_partition_fetch_bytes": MAX_RECORD_BYTES,
            "fetch_max_bytes": 2 * MAX_RECORD_BYTES,
            "max_poll_records": 64,
            "session_timeout_ms": int(session_timeout_s * 1000),
            "heartbeat_interval_ms": int(session_timeout_s * 1000 / 3),
            "reconnect_backoff_max_ms": 2_000,
        }
        self._client = connect(KafkaConsumer, bootstrap_servers, settings | dict(client_settings))
        self._positions = Positions(self._client, topic)
        self._client.subscribe([topic], listener=self)
        # Looked up before joining: else the first assignment is empty, and the group rebalances again.
        self._client.partitions_for_topic(topic)

    @property
    def assigned(self) -> frozenset[int]:
        """Partitions that this member owns now."""
        return frozenset(partition.partition for partition in self._client.assignment())

    @property
    def joined(self) -> bool:
        """Whether this member has joined its group, with or without a partition."""
        return bool(self._client.group_metadata().generation_id >= 0)

    @property
    def topic_id(self) -> str:
        """The identity of the topic, "" where it is unknown: see `Positions`."""
        return self._positions.topic_id

    @property
    def partitions(self) -> frozenset[int]:
        """All partitions of the topic, as of the latest metadata."""
        return self._positions.partitions

    @property
    def losses(self) -> list[Loss]:
        """What is gone and was not read, as noticed so far; the caller takes it out."""
        return self._positions.losses

    def release(self, partitions: Collection[int]) -> dict[int, int] | None:
        """Lets the frames of `partitions` flow, and resets their offsets.

        Returns the end offset of each: another worker may have reported what lies before it. None where the broker
        does not answer: then they stay held.
        """
        try:
            ends = self._positions.prepare(partitions) if partitions else {}
        except KafkaError as error:
            log.warning("offsets of partitions %s are unknown, will ask again: %s", sorted(partitions), error)
            return None
        self.offsets.forget(partitions)
        for partition in partitions:
            self.held.pop(partition, None)
        self.begun_anew -= set(partitions)
        if not self._paused:
            self.resume()
        return ends

    def poll(self, timeout_s: float) -> list[Record]:
        """Records that have arrived, waiting for at most `timeout_s`; also commits what is finished each second.

        While paused it returns nothing but must still be called, or the group drops this member. Raises
        `GroupRefusedError`.
        """
        self._begin_anew()
        records = self._poll(timeout_s)
        for record in records:
            self.offsets.arrive(record.partition, record.offset, len(record.key or b"") + len(record.value or b""))
            self._polled_to[record.partition] = record.offset + 1
        CONSUMER_UNFINISHED.set(self.offsets.unfinished_bytes)
        CONSUMER_PAUSED.set(self._paused)
        self.commit_finished()
        return records

    def finish(self, partition: int, offset: int, deliveries: Iterable[Awaited] = ()) -> None:
        """Notes that a record is finished once its `deliveries` have succeeded."""
        self.offsets.finish(partition, offset, deliveries)

    def commit_finished(self, force: bool = False) -> None:
        """Commits the longest finished prefix of each partition, without waiting and at most once a second.

        With `force` it commits now and waits for the answer; a failure is only logged, since it means that the records
        are read again. Raises `DeliveryError` for a frame whose outputs were lost.
        """
        now_s = time.monotonic()
        if not force and now_s < self._commit_at_s:
            return
        self._commit_at_s = now_s + COMMIT_EVERY_S
        due = self._due(self.offsets.committable() | self._passed())
        if due and force:
            try:
                self._client.commit(self._as_commit(due), timeout_ms=COMMIT_TIMEOUT_MS)
                self._committed.update(due)
            except KafkaError as error:
                log.warning("commit of %s failed, its frames will be read again: %s", due, error)
        elif due and now_s >= self._commit_pending_until_s:
            # One commit at a time, so that none queue up for a silent broker; its response clears this.
            self._commit_pending_until_s = now_s + 30.0
            self._client.commit_async(self._as_commit(due), callback=self._on_commit)

    def pause(self, max_bytes: int = 0) -> bool:
        """Stops fetching if more than `max_bytes` of polled records are unfinished; returns whether paused now.

        0 always stops. The client buffers what it has fetched already, up to `fetch_max_bytes`.
        """
        if max_bytes == 0 or self.offsets.unfinished_bytes > max_bytes:
            self._paused = True
            self._client.pause(*self._client.assignment())
        return self._paused

    def resume(self) -> None:
        """Fetches again, except from partitions that are held."""
        self._paused = False
        closed = self._positions.ending | self._aside | set(self.held)
        self._client.resume(*(paused for paused in self._client.paused() if paused.partition not in closed))

    def set_aside(self, partitions: Set[int]) -> None:
        """Fetches nothing from these partitions, until they are left out in a later call."""
        if partitions != self._aside:
            self._aside = partitions
            self._client.pause(*(TopicPartition(self.topic, partition) for partition in partitions & self.assigned))
            if not self._paused:
                self.resume()

    def close(self, drain_s: float = 5.0) -> None:
        """Stops fetching, waits up to `drain_s` for deliveries of finished frames, commits, and leaves the group."""
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

    def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        """Holds the partitions back for their owner. As all `on_…`: called by the client while `poll` waits."""
        if self._owner is not None:
            self._assignments += 1
            self.held |= {partition.partition: self._assignments for partition in assigned}
        if self._paused or self._owner is not None:
            self._client.pause(*assigned)

    def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        """Waits, within the bound, until what was begun is finished, and commits it: the next owner starts there.

        The commit is only sent: it precedes the request that gives the partitions up, on the same connection.
        """
        partitions = {partition.partition for partition in revoked}
        try:
            if not self._closing:
                self._settle(partitions)
                if self._positions.is_gone:
                    first = self.offsets.first_unfinished
                    self._positions.end_deleted({p: first(p, self._polled_to.get(p)) for p in partitions})
                due = self._due({p: offset for p, offset in self.offsets.committable().items() if p in partitions})
                if due and not self._positions.is_gone:
                    self._client.commit_async(self._as_commit(due), callback=self._on_commit)
        finally:
            self._forget(partitions)

    def on_partitions_lost(self, lost: Collection[TopicPartition]) -> None:
        """Another member owns them already: nothing may be committed."""
        self._forget({partition.partition for partition in lost})

    def _poll(self, timeout_s: float) -> list[Record]:
        try:
            records = self._positions.poll(timeout_s)
            generation = self._client.group_metadata().generation_id
            if generation > self._generation:
                self._generation = generation
                self._check_group()
        except tuple(GROUP_REFUSALS) as error:
            reason = GROUP_REFUSALS[type(error)].format(group=self._group_id)
            raise GroupRefusedError(f"group {self._group_id} {reason}") from None
        return records

    def _check_group(self) -> None:
        """The broker lets members of the new protocol share partitions with this one, which would not be judged."""
        try:
            mixed = has_members_of_new_protocol(self._servers, self._group_id, self._client_settings)
        except (BrokerUnavailableError, BrokerRefusedError) as error:
            log.warning("can't look who else is in group %s: %s", self._group_id, error)
            return
        if mixed:
            raise InconsistentGroupProtocolError

    def _begin_anew(self) -> None:
        """Follows the topic; where it was made anew, reads it from its beginning once what was polled is finished."""
        positions = self._positions
        positions.follow(self.assigned)
        if not positions.ending:
            return
        self._client.pause(*(TopicPartition(self.topic, partition) for partition in positions.ending))
        self.offsets.committable()
        settled = self._owner is None or self._owner.is_settled(positions.ending)
        if settled and not self.offsets.unfinished_in(positions.ending) and (begun := positions.begin_anew()):
            self._forget(begun)
            self.begun_anew |= begun
            self.on_partitions_assigned([TopicPartition(self.topic, partition) for partition in begun])
            if not self._paused:
                self.resume()

    def _passed(self) -> dict[int, int]:
        """The positions of partitions with nothing unfinished.

        They lie behind their last record where the markers of transactions follow, or frames that were taken back.
        """
        positions = {}
        for place in self._client.assignment():
            end = self._client.highwater(place)
            behind = end is not None and end > self._committed.get(place.partition, -1)
            if behind and not self.offsets.unfinished_in([place.partition]):
                with suppress(KafkaError):
                    positions[place.partition] = int(self._client.position(place, timeout_ms=100) or 0)
        return positions

    def _settle(self, partitions: Collection[int]) -> None:
        deadline_s = time.monotonic() + (DELETED_WAIT_S if self._positions.is_gone else REVOKE_WAIT_S)
        if self._owner is not None and not self._positions.is_gone:
            self._owner.on_revoking(partitions)
        while not self._is_settled(partitions) and time.monotonic() < deadline_s:
            time.sleep(0.01)
        if self._owner is not None:
            self._owner.on_revoked(partitions)

    def _is_settled(self, partitions: Collection[int]) -> bool:
        self.offsets.committable()
        if self._owner is not None:  # it need not finish what was polled but not begun
            return self._owner.is_settled(partitions)
        return not self.offsets.unfinished_in(partitions)

    def _forget(self, partitions: Collection[int]) -> None:
        if self._owner is not None:
            self._owner.on_revoked(partitions)
        self.offsets.forget(partitions)
        for partition in partitions:
            self._committed.pop(partition, None)
            self._polled_to.pop(partition, None)
            self.held.pop(partition, None)

    def _due(self, committable: Mapping[int, int]) -> dict[int, int]:
        return {p: offset for p, offset in committable.items() if offset > self._committed.get(p, -1)}

    def _as_commit(self, due: Mapping[int, int]) -> dict[TopicPartition, OffsetAndMetadata]:
        read_id = self._positions.read_id  # tells the next owner whether the offset is one of the topic that it reads
        return {TopicPartition(self.topic, p): OffsetAndMetadata(offset, read_id, -1) for p, offset in due.items()}

    def _on_commit(self, offsets: dict[TopicPartition, OffsetAndMetadata], response: object) -> None:
        self._commit_pending_until_s = 0.0
        if isinstance(response, BaseException):
            # No commit is accepted while the group rebalances, which is normal.
            level = logging.DEBUG if isinstance(response, RebalanceInProgressError) else logging.WARNING
            log.log(level, "commit failed, will be tried again: %s", response)
            return
        owned = self._client.assignment()
        self._committed.update({tp.partition: entry.offset for tp, entry in offsets.items() if tp in owned})
