"""What brokers of both kinds say of themselves."""

from __future__ import annotations

import time

import pytest
from kafka import KafkaAdminClient

from gradwatch.streams.transport.broker_probe import broker_clock_ahead_ms, describe_cluster, newest_record_age_ms
from gradwatch.streams.transport.connection import BrokerUnavailableError
from gradwatch.streams.transport.producer import BoundedProducer
from gradwatch.streams.wire.topics import Topics


def is_apache(request: pytest.FixtureRequest) -> bool:
    return bool(request.node.callspec.params["every_broker"] == "kafka")


def test_a_broker_tells_how_many_and_how_new(broker: str) -> None:
    answer = describe_cluster(broker)
    assert answer.brokers == 1
    assert answer.protocol is not None
    assert int(answer.protocol.split(".")[0]) >= 3
    assert 0 < answer.answer_ms < 10_000


def test_no_broker_is_said_in_time() -> None:
    begun_s = time.monotonic()
    with pytest.raises(BrokerUnavailableError, match=r"127\.0\.0\.1:1"):
        describe_cluster("127.0.0.1:1", {"bootstrap_timeout_ms": 1000})
    assert time.monotonic() - begun_s < 3


def test_the_newest_timestamp_is_held_against_this_clock(
    broker: str, topics: Topics, request: pytest.FixtureRequest
) -> None:
    assert newest_record_age_ms(broker, topics.frames) is None
    now_ms = int(time.time() * 1000)
    with BoundedProducer(broker) as producer:
        for partition, stamp_ms in enumerate((now_ms - 90_000, now_ms - 60_000)):
            producer.send(topics.frames, b"k", b"v", partition=partition, timestamp_ms=stamp_ms)
        assert producer.flush(10)
    age_ms = newest_record_age_ms(broker, topics.frames)
    if is_apache(request):
        assert age_ms is not None
        assert 59_000 < age_ms < 90_000
    else:
        assert age_ms is None or 59_000 < age_ms < 90_000


def test_the_brokers_clock_is_read_from_a_record_and_the_topic_is_gone(
    broker: str, request: pytest.FixtureRequest
) -> None:
    ahead_ms = broker_clock_ahead_ms(broker)
    if is_apache(request):
        assert ahead_ms is not None
        assert abs(ahead_ms) < 2_000  # one machine: what is left is the time of the answer
    else:
        assert ahead_ms is None
    with KafkaAdminClient(bootstrap_servers=broker) as admin:
        assert not [name for name in admin.list_topics() if name.startswith("gradwatch-clock-")]
