"""Where a group member reads on: from its commit, behind records that are gone, in a topic that was made anew.

The client is told to reset no offset by itself: it would pass over what is gone without a word.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any

from kafka import TopicPartition
from kafka.errors import KafkaError, LogTruncationError, NoOffsetForPartitionError, OffsetOutOfRangeError

from ..wire.records import Record
from .client.unreadable import UnreadableBatchError, pass_over
from .offsets import Loss
from .partitions import records_of, topic_id

log = logging.getLogger(__name__)

RETENTION, TOPIC_DELETED, UNREADABLE = "retention", "topic_deleted", "unreadable_batch"  # why records are gone
BEYOND = 2**63 - 1  # an offset that no topic has


class Positions:
    """The positions of `client`, a consumer subscribed to `topic`; notes in `losses` what it goes past.

    `ending` are partitions of a topic that was made anew, or whose end lies before what was read: they are to be
    paused, and `begin_anew` called once all that was polled of them is finished.
    """

    def __init__(self, client: Any, topic: str) -> None:
        self._client, self._topic = client, topic
        self.losses: list[Loss] = []
        self.ending: set[int] = set()
        self.read_id = ""  # the identity of the topic whose records were polled so far

    @property
    def topic_id(self) -> str:
        """The identity of the topic; "" where it is unknown."""
        return topic_id(self._client, self._topic)

    @property
    def partitions(self) -> frozenset[int]:
        """The partitions of the topic, as of the latest metadata."""
        return frozenset(self._client._cluster.partitions_for_topic(self._topic) or ())

    @property
    def is_gone(self) -> bool:
        """Whether the topic that was read does not exist now."""
        return bool(self.read_id) and not self.topic_id

    def poll(self, timeout_s: float) -> list[Record]:
        """What the client returns; nothing where it had to be set to another position."""
        try:
            return records_of(self._client.poll(timeout_ms=max(0, int(timeout_s * 1000))))
        except UnreadableBatchError as error:
            place, first = error.partition, int(self._client.position(error.partition))
            self._lose(place.partition, UNREADABLE, first, first + pass_over(self._client, error))
        except NoOffsetForPartitionError as error:  # a new group, or a new partition: from the oldest record on
            self._mend(self._seek_to_beginning, error.args[0])
        except OffsetOutOfRangeError as error:
            self._mend(self._leave_gap, error.args[0])
        except LogTruncationError as error:
            self._mend(self._leave_gap, dict.fromkeys(error.divergent_offsets, BEYOND))
        except KafkaError as error:
            if not error.retriable:
                raise
            time.sleep(timeout_s)  # the broker is away; the client has logged it
        return []

    def prepare(self, partitions: Collection[int]) -> dict[int, int]:
        """Moves to the beginning where the committed offset is one of an earlier topic; returns the end offsets.

        Raises `KafkaError`.
        """
        places = [TopicPartition(self._topic, partition) for partition in partitions]
        earlier = [place for place in places if self._is_of_earlier_topic(place)]
        if earlier:
            self._tell_made_anew([place.partition for place in earlier])
            self._seek_to_beginning(earlier)
        return {place.partition: int(end) for place, end in self._client.end_offsets(places).items()}

    def follow(self, assigned: Collection[int]) -> None:
        """Looks whether the topic is still the one that was read; if not, all assigned partitions are `ending`."""
        current = self.topic_id
        self.read_id = self.read_id or current
        if current and current != self.read_id:
            self.ending |= set(assigned)
            if not self.ending:
                self.read_id = current
        self.ending &= set(assigned)

    def begin_anew(self) -> set[int]:
        """Moves the `ending` partitions to their beginning and returns them; none where the broker does not answer."""
        begun = set(self.ending)
        if self.is_gone or not self._mend(self._seek_to_beginning, [TopicPartition(self._topic, p) for p in begun]):
            return set()
        self._tell_made_anew(begun)
        for partition in begun:
            self._lose(partition, TOPIC_DELETED, 0, 0)
        self.read_id, self.ending = self.topic_id, set()
        return begun

    def end_deleted(self, unfinished_from: Mapping[int, int | None]) -> None:
        """Gives up partitions of a topic that is gone, by the first offset that is not finished, if one was polled."""
        log.error("topic %s was deleted: nothing can be read until it is made again", self._topic)
        for partition, first in unfinished_from.items():
            place = TopicPartition(self._topic, partition)
            end = (self._client.highwater(place) if place in self._client.assignment() else None) or 0
            self._lose(partition, TOPIC_DELETED, end if first is None else first, end)

    def _seek_to_beginning(self, places: Collection[TopicPartition]) -> None:
        """Moves to the oldest records. Raises `KafkaError`."""
        for place, offset in self._client.beginning_offsets(list(places)).items():
            self._client.seek(place, offset)

    def _is_of_earlier_topic(self, place: TopicPartition) -> bool:
        committed = self._client.committed(place, metadata=True)
        read_id = committed.metadata if committed is not None else ""
        return bool(read_id and self.topic_id and read_id != self.topic_id)

    def _tell_made_anew(self, partitions: Collection[int]) -> None:
        log.warning("topic %s was made anew: %s is read from the beginning", self._topic, sorted(partitions))

    def _leave_gap(self, positions: Mapping[TopicPartition, int]) -> None:
        """Goes on behind records that are gone; a position beyond the end means that the offsets count anew."""
        begins = self._client.beginning_offsets(list(positions))
        for place, position in positions.items():
            if position < begins[place]:
                self._lose(place.partition, RETENTION, position, int(begins[place]))
                self._client.seek(place, begins[place])
            else:
                self.ending.add(place.partition)
        if self.ending:
            self._client.topics()  # asks for the topic's new identity

    def _lose(self, partition: int, cause: str, first: int, end: int) -> None:
        if end > first:
            where = f"{self._topic}[{partition}]"
            log.warning("%s: %d records from offset %d on are gone unread (%s)", where, end - first, first, cause)
        self.losses.append(Loss(partition, cause, first, max(first, end)))

    def _mend(self, mend: Callable[[Any], None], positions: Any) -> bool:
        try:
            mend(positions)
        except KafkaError as error:  # the next poll raises again what led here
            log.warning("can't find where to read on in %s, will ask again: %s", self._topic, error)
            return False
        return True
