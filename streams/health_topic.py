"""Publishes health records of cameras; a bounded number waits while the broker is unavailable."""

from __future__ import annotations

from collections import deque

import msgspec

from .observability.metrics import SOURCE_HEALTH_RECORDS
from .transport.connection import BrokerUnavailableError
from .transport.producer import BoundedProducer
from .wire.messages import HealthRecord, OutcomeCause
from .wire.outputs import encode_health
from .wire.records import cloud_event_headers
from .wire.topics import Topics

MAX_WAITING = 1000  # of a few hundred bytes each


class HealthTopic:
    """Publishes the health records of one source in order, on the source's thread.

    While the broker accepts nothing the newest `MAX_WAITING` wait; older ones are dropped and counted.
    """

    def __init__(self, producer: BoundedProducer, topics: Topics) -> None:
        self._producer, self._topic = producer, topics.health
        self._waiting: deque[HealthRecord] = deque()
        self._number = 0

    def put(self, record: HealthRecord) -> None:
        """Queues a record and sends it as soon as the producer has room."""
        self._waiting.append(record)
        if len(self._waiting) > MAX_WAITING:
            _count(self._waiting.popleft(), published=False)
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
        except BrokerUnavailableError:  # the topic is missing: waiting for it would hold up frames
            _count(record, published=False)
            return True
        if delivery is None:
            return False
        self._number += 1
        delivery.add_done_callback(lambda done: _count(record, published=done.exception is None))
        return True


def _count(record: HealthRecord, published: bool) -> None:
    outcome = ("published", "") if published else ("dropped", OutcomeCause.BROKER_UNAVAILABLE)
    SOURCE_HEALTH_RECORDS.labels(record.stream_id, *outcome).inc()
