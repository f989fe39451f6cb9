"""Health records on their way to the health topic: a bounded number waits while the broker is away."""

from __future__ import annotations

from collections import deque

import msgspec

from .observability.metrics import SOURCE_HEALTH_RECORDS
from .transport.connection import BrokerUnavailableError
from .transport.producer import BoundedProducer, Delivery
from .wire.messages import HealthRecord, OutcomeCause
from .wire.outputs import encode_health
from .wire.records import cloud_event_headers
from .wire.topics import Topics

MAX_WAITING = 1000  # of a few hundred bytes each


class HealthTopic:
    """Publishes health records in their order; of one source and on its thread.

    While the broker takes nothing the newest `MAX_WAITING` wait and older ones are dropped and counted.
    """

    def __init__(self, producer: BoundedProducer, topics: Topics) -> None:
        self._producer, self._topic = producer, topics.health
        self._waiting: deque[HealthRecord] = deque()
        self._number = 0

    def put(self, record: HealthRecord) -> None:
        """Takes a record and sends it as soon as there is room."""
        self._waiting.append(record)
        if len(self._waiting) > MAX_WAITING:
            _dropped(self._waiting.popleft())
        self.drain()

    def drain(self) -> None:
        """Sends what waits, as far as there is room."""
        while self._waiting and self._send(self._waiting[0]):
            self._waiting.popleft()

    def _send(self, record: HealthRecord) -> bool:
        """Whether the record is off our hands."""
        event_id = f"{record.run_id}/{self._number}"
        headers = cloud_event_headers("health", record.stream_id, event_id, record.at_ns)
        headers.append(("content-type", b"application/json"))
        value = encode_health(msgspec.to_builtins(record))
        try:
            delivery = self._producer.try_send(self._topic, record.stream_id.encode(), value, headers)
        except BrokerUnavailableError:  # the topic is not there: frames are worth more than waiting for it
            _dropped(record)
            return True
        if delivery is None:
            return False
        self._number += 1
        delivery.add_done_callback(lambda done: _delivered(record, done))
        return True


def _delivered(record: HealthRecord, delivery: Delivery) -> None:
    if delivery.exception is None:
        SOURCE_HEALTH_RECORDS.labels(record.stream_id, "published", "").inc()
    else:
        _dropped(record)


def _dropped(record: HealthRecord) -> None:
    SOURCE_HEALTH_RECORDS.labels(record.stream_id, "dropped", OutcomeCause.BROKER_UNAVAILABLE).inc()
