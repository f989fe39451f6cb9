"""Looking back on a topic, on every broker there is."""

from __future__ import annotations

import pytest

from gradwatch.streams.transport import history as history_module
from gradwatch.streams.transport.connection import TopicMissingError
from gradwatch.streams.transport.history import TopicHistory
from gradwatch.streams.transport.producer import BoundedProducer
from gradwatch.streams.wire.records import Record
from gradwatch.streams.wire.topics import Topics


def fill(broker: str, topics: Topics, count: int, partitions: int = 1) -> None:
    with BoundedProducer(broker) as producer:
        for i in range(count):
            partition, timestamp_ms = i % partitions, 1_790_000_000_000 + i
            producer.send(topics.frames, None, b"%d" % i, [], partition=partition, timestamp_ms=timestamp_ms)
        assert producer.flush(10)


def number(record: Record) -> int:
    return int(record.value or b"-1")


def test_newest_first_over_all_partitions_and_windows(
    broker: str, topics: Topics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history_module, "WINDOW", 7)
    fill(broker, topics, 40, partitions=3)
    with TopicHistory(broker, topics.frames) as history:
        kept = list(history.newest_first(lambda record: record if number(record) % 2 else None))
        assert [number(record) for record in kept] == list(range(39, 0, -2))
        assert sorted(number(record) for record in history.oldest_first()) == list(range(40))
        only = history.at(1, 3)
        assert only is not None
        assert (number(only), only.partition, only.offset) == (10, 1, 3)


def test_places_where_nothing_is(broker: str, topics: Topics) -> None:
    with TopicHistory(broker, topics.frames) as history:
        assert list(history.oldest_first()) == []
        assert list(history.newest_first(lambda record: record)) == []
    fill(broker, topics, 2)
    with TopicHistory(broker, topics.frames) as history:
        fill(broker, topics, 2)  # came after the look
        assert [history.at(*place) is None for place in ((0, 1), (0, 2), (0, -1), (9, 0))] == [False, True, True, True]
        assert len(list(history.oldest_first())) == 2


def test_a_missing_topic_is_said(broker: str) -> None:
    with pytest.raises(TopicMissingError, match="expected topic no-such-topic at 127"):
        TopicHistory(broker, "no-such-topic")
