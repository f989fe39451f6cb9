"""Sends what must not be lost: reports, alerts, and the states of streams.

A record that its topic does not take (it is missing, too small, read-only, or lacks replicas) waits here, with all
later ones of its topic, and is sent again until it is taken. Other topics go on.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from .transport.connection import BrokerUnavailableError
from .transport.producer import BoundedProducer, Delivery, RecordTooLargeError, size_in_memory
from .wire.records import Headers

log = logging.getLogger(__name__)

BLOCKED_S = 10.0  # a topic that has taken nothing for so long is blocked
RETRY_S = 0.5


class _Record(NamedTuple):
    arguments: tuple[str, bytes | None, bytes | None, Headers | None, int | None]  # of `send`
    size: int
    delivery: Delivery


@dataclass(slots=True)
class _Topic:
    """The records of one topic that were not acknowledged. While it is closed, only its first record is tried."""

    since_s: float  # when it took a record last, or had none to take
    waiting: deque[_Record] = field(default_factory=deque)
    unacknowledged: int = 0
    closed: bool = False
    probe: _Record | None = None
    reason: str = ""


class Outbox:
    """Holds at most `max_bytes` of records that their topics have not acknowledged. Thread-safe.

    A delivery fails only when the outbox is closed. `clock` returns monotonic seconds.
    """

    def __init__(
        self,
        producer: BoundedProducer,
        max_bytes: int = 64 * 1024 * 1024,
        timeout_s: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.max_bytes, self.timeout_s, self._clock = max_bytes, timeout_s, clock
        self._producer = producer
        self._pending_bytes = 0
        self._topics: dict[str, _Topic] = {}
        self._room = threading.Condition(threading.RLock())
        self._wake, self._closed = threading.Event(), False
        self._thread = threading.Thread(target=self._run, name="outbox", daemon=True)
        self._thread.start()

    def send(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        headers: Headers | None = None,
        partition: int | None = None,
    ) -> Delivery:
        """Sends as soon as there is room. Raises `BrokerUnavailableError` if there is none within `timeout_s`.

        Raises `RecordTooLargeError` for a record larger than any topic of ours should take.
        """
        delivery = self._put((topic, key, value, headers, partition), self.timeout_s)
        if delivery is None:
            raise BrokerUnavailableError(
                f"expected room for a record of {topic} within {self.timeout_s} s, got {self._pending_bytes} of "
                f"{self.max_bytes} bytes unacknowledged: {self.blocked() or 'the broker is slow'}"
            )
        return delivery

    def try_send(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        headers: Headers | None = None,
        partition: int | None = None,
    ) -> Delivery | None:
        """The same, or returns None if there is no room now."""
        return self._put((topic, key, value, headers, partition), 0.0)

    def blocked(self) -> str:
        """The topics that have taken none of the records that wait for them for `BLOCKED_S`, and why; else ""."""
        with self._room:
            found = {name: topic for name, topic in self._topics.items() if self._silent_s(topic) > BLOCKED_S}
            return "; ".join(
                f"topic {name} has taken no record for {self._silent_s(topic):.0f} s, {topic.unacknowledged} wait: "
                f"{topic.reason or 'no answer of the broker'}"
                for name, topic in found.items()
            )

    def flush(self, timeout_s: float) -> bool:
        """Waits until nothing is pending; returns whether that happened within `timeout_s`."""
        with self._room:
            return self._room.wait_for(lambda: self._pending_bytes == 0, timeout_s)

    def close(self, timeout_s: float = 5.0) -> bool:
        """Waits for at most `timeout_s` for what is left, then gives it up; returns whether all was delivered."""
        deadline_s = time.monotonic() + timeout_s
        delivered = self.flush(timeout_s)
        with self._room:
            self._closed = True
            left = [record for topic in self._topics.values() for record in topic.waiting]
        self._wake.set()
        self._thread.join()
        for record in left:
            record.delivery.finish(exception=BrokerUnavailableError(f"{record.arguments[0]} did not take it in time"))
        self._producer.close(max(0.1, deadline_s - time.monotonic()))
        return delivered

    def _put(
        self, arguments: tuple[str, bytes | None, bytes | None, Headers | None, int | None], wait_s: float
    ) -> Delivery | None:
        name, key, value, headers, _ = arguments
        size = size_in_memory(key, value, headers)
        record = _Record(arguments, size, Delivery())
        with self._room:
            if not self._room.wait_for(lambda: self._pending_bytes + size <= self.max_bytes, wait_s):
                return None
            self._pending_bytes += size
            topic = self._topics.setdefault(name, _Topic(self._clock()))
            if not topic.unacknowledged:
                topic.since_s = self._clock()
            topic.unacknowledged += 1
            if topic.closed or topic.waiting:
                topic.waiting.append(record)
                return record.delivery
        try:
            self._hand_over(topic, record)
        except RecordTooLargeError:
            with self._room:
                self._forget(topic, record)
            raise
        return record.delivery

    def _hand_over(self, topic: _Topic, record: _Record) -> None:
        """Gives a record to the client. Raises `RecordTooLargeError` where it is larger than the client allows."""
        try:
            handed = self._producer.try_send(*record.arguments)
        except BrokerUnavailableError as error:
            self._keep(topic, record, error)
            return
        if handed is None:
            self._keep(topic, record, None)
        else:
            handed.add_done_callback(lambda done: self._done(topic, record, done))

    def _done(self, topic: _Topic, record: _Record, handed: Delivery) -> None:
        """On the client's thread."""
        if handed.exception is not None and not self._closed:
            self._keep(topic, record, handed.exception)
            return
        with self._room:
            self._forget(topic, record)
            if handed.exception is None:
                topic.since_s = self._clock()
                if record is topic.probe:
                    log.warning("topic %s takes records again, %d waited", record.arguments[0], topic.unacknowledged)
                    topic.closed, topic.probe, topic.reason = False, None, ""
                    self._wake.set()
        record.delivery.finish(handed.offset, handed.exception)

    def _keep(self, topic: _Topic, record: _Record, error: BaseException | None) -> None:
        """Lets a record wait that its topic has not taken; None: the client has no room."""
        with self._room:
            if error is not None and not topic.reason:
                log.warning("topic %s takes no records, what must not be lost waits: %s", record.arguments[0], error)
            topic.closed, topic.reason = True, str(error) if error is not None else topic.reason
            if record is topic.probe:
                topic.waiting.appendleft(record)
                topic.probe = None
            else:
                topic.waiting.append(record)

    def _forget(self, topic: _Topic, record: _Record) -> None:
        topic.unacknowledged -= 1
        self._pending_bytes -= record.size
        self._room.notify_all()

    def _silent_s(self, topic: _Topic) -> float:
        return self._clock() - topic.since_s if topic.unacknowledged else 0.0

    def _run(self) -> None:
        while not self._closed:
            self._wake.wait(RETRY_S)
            self._wake.clear()
            with self._room:
                topics = [topic for topic in self._topics.values() if topic.waiting]
            for topic in topics:
                self._retry(topic)

    def _retry(self, topic: _Topic) -> None:
        """Sends what waits for a topic; while it is closed, its first record alone."""
        while not self._closed:
            with self._room:
                if topic.probe is not None or not topic.waiting:
                    return
                record = topic.waiting.popleft()
                topic.probe = record if topic.closed else None
            self._hand_over(topic, record)
            if topic.closed:
                return
