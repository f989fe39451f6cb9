"""Reading back on a topic: its history, and ranges by offset and time; on every broker there is."""

from __future__ import annotations

import time
from collections.abc import Iterable

import pytest

from gradwatch.streams.transport import history as history_module
from gradwatch.streams.transport.connection import TopicMissingError
from gradwatch.streams.transport.history import TopicHistory
from gradwatch.streams.transport.producer import BoundedProducer
from gradwatch.streams.transport.ranges import FETCH_BYTES, TopicRanges
from gradwatch.streams.wire.records import Record
from gradwatch.streams.wire.topics import Topics

BEGIN_MS = int(time.time() * 1000) - 60_000  # neither old enough to be deleted nor so far ahead as to be refused


def fill(broker: str, topics: Topics, count: int, partitions: tuple[int, ...] = (1,), size: int = 0) -> None:
    """Record i is the number i and `size` zeros, 100 ms after the one before."""
    sent = []
    with BoundedProducer(broker) as producer:
        for i in range(count):
            value, partition = b"%d" % i + bytes(size), partitions[i % len(partitions)]
            at_ms = BEGIN_MS + 100 * i
            sent.append(producer.send(topics.frames, None, value, partition=partition, timestamp_ms=at_ms))
            if i % 7 == 6:  # several batches: a broker finds times by them
                assert producer.flush(10)
        assert producer.flush(10)
    assert [delivery.exception for delivery in sent] == [None] * count


def numbers(records: Iterable[Record]) -> list[int]:
    return [int((record.value or b"-1").rstrip(b"\0")) for record in records]


def test_history_is_read_newest_first_over_all_partitions_and_windows(
    broker: str, topics: Topics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history_module, "WINDOW", 7)
    fill(broker, topics, 40, partitions=(0, 1, 2))
    with TopicHistory(broker, topics.frames) as history:
        kept = history.newest_first(lambda record: record if numbers([record])[0] % 2 else None)
        assert numbers(kept) == list(range(39, 0, -2))
        assert sorted(numbers(history.oldest_first())) == list(range(40))
        only = history.at(1, 3)
        assert only is not None
        assert (numbers([only]), only.partition, only.offset) == ([10], 1, 3)


def test_history_ends_where_it_was_opened(broker: str, topics: Topics) -> None:
    with TopicHistory(broker, topics.frames) as history:
        assert list(history.oldest_first()) == []
        assert list(history.newest_first(lambda record: record)) == []
    fill(broker, topics, 2)
    with TopicHistory(broker, topics.frames) as history:
        fill(broker, topics, 2)
        assert [history.at(*place) is None for place in ((1, 1), (1, 2), (1, -1), (9, 0))] == [False, True, True, True]
        assert len(list(history.oldest_first())) == 2


def test_a_missing_topic_is_named(broker: str) -> None:
    with pytest.raises(TopicMissingError, match="expected topic no-such-topic at 127"):
        TopicHistory(broker, "no-such-topic")
    with TopicRanges(broker) as ranges, pytest.raises(TopicMissingError, match="expected topic no-such-topic at 127"):
        ranges.first_offset("no-such-topic", 0)


def test_ranges_are_exact(broker: str, topics: Topics) -> None:
    fill(broker, topics, 200)
    with TopicRanges(broker) as ranges:
        assert numbers(ranges.between(topics.frames, 1, 30, 171)) == list(range(30, 171))
        assert numbers(ranges.between(topics.frames, 1, 195)) == list(range(195, 200))
        assert numbers(ranges.between(topics.frames, 1, 150, 10**6)) == list(range(150, 200))
        assert list(ranges.between(topics.frames, 1, 30, 30)) == []
        assert list(ranges.between(topics.frames, 1, 200)) == []
        assert list(ranges.between(topics.frames, 0, 0)) == []
        fill(broker, topics, 1)
        assert len(list(ranges.between(topics.frames, 1, 200))) == 1  # what has come since is seen


def test_a_reading_may_be_abandoned(broker: str, topics: Topics) -> None:
    fill(broker, topics, 100)
    with TopicRanges(broker) as ranges:
        assert numbers([next(ranges.between(topics.frames, 1, 40))]) == [40]
        assert numbers(ranges.between(topics.frames, 1, 20, 23)) == [20, 21, 22]


def test_records_larger_than_a_fetch(broker: str, topics: Topics) -> None:
    fill(broker, topics, 4, size=3 * FETCH_BYTES)
    with TopicRanges(broker) as ranges:
        assert numbers(ranges.between(topics.frames, 1, 1, 3)) == [1, 2]


def test_offsets_by_time(request: pytest.FixtureRequest, broker: str, topics: Topics) -> None:
    fill(broker, topics, 50)
    with TopicRanges(broker) as ranges:
        kind = request.node.callspec.params["every_broker"]
        times_ms = (-(10**6), 0, 2000, 2050, 4900, 10**6)
        found = [ranges.offset_at(topics.frames, 1, BEGIN_MS + at_ms) for at_ms in times_ms]
        # Tansu knows no times and returns the first offset: reading from there misses nothing
        assert found == ([0] * 6 if kind == "tansu" else [0, 0, 20, 21, 49, 50])


def test_ranges_without_records(broker: str, topics: Topics) -> None:
    with TopicRanges(broker) as ranges:
        assert ranges.first_offset(topics.frames, 1) == ranges.first_offset(topics.frames, 99) == 0
        assert ranges.offset_at(topics.frames, 99, 0) == ranges.offset_at(topics.frames, 1, 0) == 0
        assert list(ranges.between(topics.frames, 99, 0)) == []
        assert list(ranges.between(topics.frames, -1, -1, 0)) == []


def test_keys_are_found_where_the_producer_puts_them(broker: str, topics: Topics) -> None:
    keys = [f"camera-{number}" for number in range(12)]
    with BoundedProducer(broker) as producer:
        for key in keys:
            producer.send(topics.reports, key.encode(), key.encode())
        assert producer.flush(10)
    with TopicRanges(broker) as ranges:
        for key in keys:
            partition = ranges.partition_of(topics.reports, key)
            assert key.encode() in [record.key for record in ranges.between(topics.reports, partition, 0)]
