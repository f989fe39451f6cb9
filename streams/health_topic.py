"""Publishes health records of streams, best effort; a bounded number waits while their topic takes none."""

from __future__ import annotations

from collections import deque

import msgspec

from .observability.metrics import SOURCE_HEALTH_RECORDS
from .transport.connection import BrokerUnavailableError
from .transport.producer import BoundedProducer, RecordTooLargeError, cause_of
from .wire.messages import HealthRecord
from .wire.outputs import encode_health
from .wire.records import cloud_event_headers
from .wire.topics import Topics

MAX_WAITING = 1000  # of a few hundred bytes each


class HealthTopic:
    """Publishes the health records of one process in order; one thread uses it, and it never waits.

    While the topic takes nothing the newest `MAX_WAITING` wait; older ones are dropped and counted.
    """

    def __init__(self, producer: BoundedProducer, topics: Topics) -> None:
        self._producer, self._topic = producer, topics.health
        self._waiting: deque[HealthRecord] = deque()
        self._number = 0

    def put(self, record: HealthRecord) -> None:
        """Queues a record and sends it as soon as the producer has room."""
        self._waiting.append(record)
        if len(self._waiting) > MAX_WAITING:
            _count(self._waiting.popleft(), BrokerUnavailableError())
        self.drain()

    def drain(self) -> None:
        """Sends queued records while the producer has room."""
        while self._waiting and self._send(self._waiting[0]):
            self._waiting.popleft()

    def _send(self, record: HealthRecord) -> bool:
        """Returns whether the record needs no more sending: it was sent or dropped."""
        event_id = f"{record.run_id}/{self._number}"
        headers = cloud_event_headers("health", record.stream_id, event_id, record.at_ns)
        headers.append(("content-type", b"application/json"))
        value = encode_health(msgspec.to_builtins(record))
        try:
            delivery = self._producer.try_send(self._topic, record.stream_id.encode(), value, headers)
        except BrokerUnavailableError:  # the topic is missing, for instance
            return False
        except RecordTooLargeError as error:
            _count(record, error)
            return True
        if delivery is None:
            return False
        self._number += 1
        delivery.add_done_callback(lambda done: _count(record, done.exception))
        return True


def _count(record: HealthRecord, failure: BaseException | None) -> None:
    outcome = ("published", "") if failure is None else ("dropped", cause_of(failure))
    SOURCE_HEALTH_RECORDS.labels(record.stream_id, *outcome).inc()
