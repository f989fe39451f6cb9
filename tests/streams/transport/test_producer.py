from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType

from gradwatch.streams.transport.connection import BrokerUnavailableError
from gradwatch.streams.transport.embedded import EmbeddedBroker
from gradwatch.streams.transport.producer import BoundedProducer, RecordTooLargeError, TopicUnavailableError
from gradwatch.streams.wire.topics import Topics

from ...brokers import make_topics
from ...waiting import LIMIT_S, wait_until

FRAME = bytes(200_000)


def rss_bytes() -> int:
    """Resident memory of this process; 0, so no test, where there is no /proc."""
    statm = Path("/proc/self/statm")
    return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") if statm.exists() else 0


def test_what_is_sent_is_delivered_in_order(broker: str, topics: Topics) -> None:
    with BoundedProducer(broker) as producer:
        deliveries = [producer.send(topics.frames, b"cam", FRAME, [("n", b"1")], partition=1) for _ in range(20)]
        assert producer.flush(10)
        assert [delivery.offset for delivery in deliveries] == list(range(20))
        assert producer.pending_bytes == 0


def test_a_record_above_the_limit_is_refused_at_once(broker: str, topics: Topics) -> None:
    with BoundedProducer(broker) as producer:
        with pytest.raises(RecordTooLargeError, match=topics.frames):
            producer.send(topics.frames, b"cam", bytes(8 * 1024 * 1024 + 1))
        assert producer.pending_bytes == 0
    with (
        BoundedProducer(broker, max_bytes=1000) as producer,
        pytest.raises(RecordTooLargeError, match=r"1000 bytes \(bud"),
    ):
        producer.try_send(topics.frames, b"cam", bytes(1001))


def test_no_broker_is_said_with_its_address() -> None:
    with pytest.raises(BrokerUnavailableError, match=r"127\.0\.0\.1:1\b"):
        BoundedProducer("127.0.0.1:1", {"bootstrap_timeout_ms": 300})


def test_a_broker_that_dies_costs_no_more_than_the_budget() -> None:
    """kafka-python alone would take hundreds of megabytes a second."""
    settings = {"delivery_timeout_ms": 4_000, "request_timeout_ms": 1_000}
    with EmbeddedBroker() as embedded:
        producer = BoundedProducer(embedded.bootstrap_servers, settings, max_bytes=8 * 1024 * 1024, timeout_s=0.5)
        assert producer.send("frames", b"cam", b"x").wait(5)
    before_bytes, refused, deliveries = rss_bytes(), 0, []
    for _ in range(2_000):  # 400 MB in all
        delivery = producer.try_send("frames", b"cam", FRAME)
        refused += delivery is None
        deliveries += [delivery] if delivery is not None else []
    assert refused > 1_900
    assert producer.pending_bytes <= producer.max_bytes
    assert rss_bytes() - before_bytes < 100 * 1024 * 1024
    with pytest.raises(BrokerUnavailableError, match="expected room for"):
        producer.send("frames", b"cam", FRAME)
    for delivery in deliveries:
        assert delivery.wait(10)
        assert isinstance(delivery.exception, BrokerUnavailableError)
    assert producer.pending_bytes == 0
    started_s = time.monotonic()
    assert producer.close(1.0)
    assert time.monotonic() - started_s < LIMIT_S


def test_close_gives_up_what_a_dead_broker_does_not_take() -> None:
    with EmbeddedBroker() as embedded:
        producer = BoundedProducer(embedded.bootstrap_servers)
        assert producer.send("frames", b"cam", b"x").wait(5)
    delivery = producer.send("frames", b"cam", FRAME)
    started_s = time.monotonic()
    assert not producer.close(0.5)
    assert time.monotonic() - started_s < LIMIT_S
    assert delivery.wait(5)
    assert delivery.exception is not None


def test_a_source_goes_on_after_a_frame_that_its_topic_does_not_take(kafka: str) -> None:
    """For kafka-python such an error is the end of an idempotent producer."""
    topic = make_topics(kafka, 1).frames
    resource = ConfigResource(ConfigResourceType.TOPIC, topic, configs={"max.message.bytes": "1000"})
    with KafkaAdminClient(bootstrap_servers=kafka) as admin:
        admin.alter_configs([resource])
    with BoundedProducer(kafka) as producer:
        wait_until(lambda: _refused(producer, topic), what="the new limit")
        small = [producer.send(topic, b"cam", b"small") for _ in range(3)]
        assert producer.flush(LIMIT_S)
        assert [delivery.exception for delivery in small] == [None] * 3


def _refused(producer: BoundedProducer, topic: str) -> bool:
    delivery = producer.send(topic, b"cam", bytes(5000))
    assert delivery.wait(LIMIT_S)
    return isinstance(delivery.exception, RecordTooLargeError)


def test_a_missing_topic_never_makes_try_send_wait_and_is_named(kafka: str) -> None:
    with BoundedProducer(kafka) as producer:
        producer.learn("none.such", 0.5)
        with pytest.raises(TopicUnavailableError, match=r"none\.such.*gradwatch topics --create") as raised:
            producer.try_send("none.such", b"cam", b"x")
        assert raised.value.cause == "topic_missing"


def test_no_topic_takes_more_than_its_share_of_the_budget() -> None:
    with EmbeddedBroker() as embedded:
        producer = BoundedProducer(embedded.bootstrap_servers, max_bytes=1_000_000, share=0.3)
        assert producer.send("frames", b"cam", b"x").wait(5)
        assert producer.send("others", b"cam", b"x").wait(5)
    while producer.try_send("frames", b"cam", bytes(50_000)) is not None:
        pass
    assert producer.pending_bytes <= 300_000
    assert producer.try_send("others", b"cam", bytes(50_000)) is not None
    producer.close(0.1)
