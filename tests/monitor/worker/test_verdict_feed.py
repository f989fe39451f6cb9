"""Verdicts from a real topic to the judge's book."""

from __future__ import annotations

import pytest

from gradwatch.monitor.worker.verdict_feed import VerdictFeed
from gradwatch.streams.transport.connection import BrokerUnavailableError
from gradwatch.streams.transport.producer import BoundedProducer
from gradwatch.streams.transport.reader import TopicReader
from gradwatch.streams.wire.messages import RegionMute
from gradwatch.streams.wire.outputs import encode_correction

from ...brokers import make_topics
from ...waiting import wait_until

MUTE = RegionMute("v1", "town", "ada", 1, [(0.0, 0.0), (9.0, 0.0), (9.0, 9.0)])


def test_verdicts_come_hold_and_are_taken_back(embedded: str) -> None:
    topics = make_topics(embedded, 2)
    feed = VerdictFeed(lambda: TopicReader(embedded, [topics.verdicts]))
    with BoundedProducer(embedded) as producer:
        producer.send(topics.verdicts, b"town/v1", encode_correction(MUTE), partition=1)
        producer.send(topics.verdicts, b"town/v2", b"no verdict", partition=1)
        feed.start()
        wait_until(lambda: feed.book.of("town") == (MUTE,) and feed.book.refused == 1)
        producer.send(topics.verdicts, b"town/v1", None, partition=1)
        wait_until(lambda: feed.book.of("town") == ())
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
    wait_until(lambda: len(asked) > 2)
    feed.stop()
    feed.join(10.0)
    assert not feed.is_alive()
