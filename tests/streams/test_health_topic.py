from __future__ import annotations

import json

import pytest

from gradwatch.streams import health_topic
from gradwatch.streams.health_topic import HealthTopic
from gradwatch.streams.observability.metrics import SOURCE_HEALTH_RECORDS
from gradwatch.streams.transport.connection import BrokerUnavailableError
from gradwatch.streams.transport.producer import Delivery
from gradwatch.streams.wire.messages import Disturbance, DisturbanceState, HealthRecord
from gradwatch.streams.wire.outputs import decode_health
from gradwatch.streams.wire.topics import Topics


class Producer:
    """Accepts `room` records; the test finishes their deliveries."""

    def __init__(self) -> None:
        self.room, self.is_there = 10**9, True
        self.sent: list[tuple[str, bytes, bytes, dict[str, bytes]]] = []
        self.deliveries: list[Delivery] = []

    def try_send(self, topic, key, value, headers) -> Delivery | None:
        if not self.is_there:
            raise BrokerUnavailableError("no such topic")
        if self.room <= 0:
            return None
        self.room -= 1
        self.sent.append((topic, key, value, dict(headers)))
        self.deliveries.append(Delivery())
        return self.deliveries[-1]


def record(stream_id: str, number: int = 0) -> HealthRecord:
    return HealthRecord(stream_id, "run", Disturbance.GAP, DisturbanceState.MOMENT, 10**18 + number, 10**18, 4, "1.2 s")


def counted(stream_id: str, outcome: str, cause: str = "") -> float:
    return SOURCE_HEALTH_RECORDS.labels(stream_id, outcome, cause)._value.get()


def test_a_record_is_json_with_its_stream_as_key() -> None:
    producer = Producer()
    HealthTopic(producer, Topics("p.")).put(record("north"))
    ((topic, key, value, headers),) = producer.sent
    assert (topic, key) == ("p.health", b"north")
    assert json.loads(value)["at_ns"] == str(10**18)
    assert decode_health(value) == record("north")
    assert headers["ce_type"] == b"gradwatch.health"
    assert headers["content-type"] == b"application/json"


def test_without_room_the_newest_wait_and_the_others_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health_topic, "MAX_WAITING", 3)
    producer = Producer()
    producer.room = 0
    records = HealthTopic(producer, Topics())
    for number in range(5):
        records.put(record("crowded", number))
    assert counted("crowded", "dropped", "broker_unavailable") == 2
    producer.room = 10
    records.drain()
    assert [decode_health(value).at_ns - 10**18 for _, _, value, _ in producer.sent] == [2, 3, 4]


def test_each_record_is_counted_by_its_outcome() -> None:
    producer = Producer()
    records = HealthTopic(producer, Topics())
    records.put(record("counted"))
    records.put(record("counted"))
    producer.deliveries[0].finish(offset=1)
    producer.deliveries[1].finish(exception=BrokerUnavailableError("gone"))
    assert counted("counted", "published") == 1
    assert counted("counted", "dropped", "broker_unavailable") == 1


def test_records_wait_for_a_topic_that_is_missing() -> None:
    producer = Producer()
    producer.is_there = False
    records = HealthTopic(producer, Topics())
    records.put(record("early"))
    producer.is_there = True
    records.drain()
    assert len(producer.sent) == 1
