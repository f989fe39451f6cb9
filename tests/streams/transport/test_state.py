"""The state topic, and a consumer whose owner holds partitions, on every broker there is."""

from __future__ import annotations

import time
from collections.abc import Mapping

import pytest

from gradwatch.streams.transport.connection import BrokerUnavailableError
from gradwatch.streams.transport.consumer import FrameConsumer
from gradwatch.streams.transport.producer import BoundedProducer
from gradwatch.streams.transport.state import StateReader, StateTopic, Values
from gradwatch.streams.wire.topics import Topics

from ...waiting import LIMIT_S


def read(reader: StateReader, *partitions: int) -> Mapping[int, Mapping[str, bytes]]:
    reader.start(partitions)
    while (found := reader.step(0.05)) is None:
        pass
    return found


def test_the_highest_version_counts_and_among_equals_the_latest() -> None:
    values = Values()
    for value, version in ((b"1", 5), (b"2", 7), (b"late", 6), (b"3", 7)):
        values.put(b"town", value, [("gw_version", str(version).encode())])
    values.put(b"gate", b"x", [])
    values.put(b"gate", b"y", [("gw_version", b"nonsense")])
    assert values.by_key() == {"town": b"3", "gate": b"y"}
    values.put(b"town", None, [])
    values.put(b"town", b"4", [("gw_version", b"1")])
    assert values.by_key()["town"] == b"4"  # what was removed hides nothing


def test_what_was_written_is_found_in_its_partition(broker: str, topics: Topics) -> None:
    assert read(StateReader(broker, topics.state), 0, 1, 2) == {0: {}, 1: {}, 2: {}}
    large = bytes(3 << 20)
    with BoundedProducer(broker) as producer:
        assert producer.learn(topics.state)
        topic = StateTopic(producer, topics.state)
        for i in range(100):
            assert topic.try_write(1, "town", b"%d" % i, version=i) is not None
        topic.try_write(1, "town/calibration", large)
        topic.try_write(1, "town", b"old", version=3)
        topic.try_write(2, "gate/clean/run/0", b"frames")
        topic.try_write(2, "gate/clean/run/0", None)
        assert producer.flush(10)
    found = read(StateReader(broker, topics.state), 1, 2)
    assert found == {1: {"town": b"99", "town/calibration": large}, 2: {}}


def test_a_full_producer_takes_nothing_and_keeps_nobody_waiting(broker: str, topics: Topics) -> None:
    with BoundedProducer(broker, max_bytes=2000) as producer:
        assert producer.learn(topics.state)
        topic = StateTopic(producer, topics.state)
        first = topic.try_write(0, "a", b"x" * 800)
        started_s = time.monotonic()
        refused = [topic.try_write(0, "a", b"x" * 800) for _ in range(3)]
        assert first is not None
        assert None in refused
        assert time.monotonic() - started_s < LIMIT_S


def test_too_few_partitions_are_named(broker: str, topics: Topics) -> None:
    with pytest.raises(ValueError, match=rf"topic {topics.state}: .*\[2, 3\] among them, got 3 partitions"):
        StateReader(broker, topics.state).start({2, 3})


def test_a_silent_broker_is_waited_for_no_longer_than_said(broker: str, topics: Topics) -> None:
    with BoundedProducer(broker) as producer:
        assert producer.learn(topics.state)
        StateTopic(producer, topics.state).try_write(0, "a", b"x")
        assert producer.flush(5)
    reader = StateReader(broker, topics.state, timeout_s=0.2)
    reader.start({0})
    client = reader._reader.client
    client.pause(*client.assignment())
    assert reader.step(0.0) is None
    time.sleep(0.3)
    with pytest.raises(BrokerUnavailableError, match="expected 1 more records of"):
        reader.step(0.05)


class Owner:
    """Records which partitions were revoked."""

    def __init__(self) -> None:
        self.revoked: list[set[int]] = []

    def on_revoking(self, partitions: set[int]) -> None:
        raise AssertionError("closing waits before it gives the partitions up")

    def is_settled(self, partitions: set[int]) -> bool:
        return True

    def on_revoked(self, partitions: set[int]) -> None:
        self.revoked.append(set(partitions))


def test_frames_come_once_they_are_released_and_the_owner_is_told_of_the_end(broker: str, topics: Topics) -> None:
    with BoundedProducer(broker) as producer:
        for partition in range(3):
            producer.send(topics.frames, b"town", b"frame", partition=partition)
        assert producer.flush(5)
    owner = Owner()
    consumer = FrameConsumer(broker, topics.frames, topics.prefix + "g", session_timeout_s=2.0, owner=owner)
    deadline_s = time.monotonic() + 20
    while not consumer.held:
        assert consumer.poll(0.05) == []
        assert time.monotonic() < deadline_s
    assert set(consumer.held) == {0, 1, 2}
    consumer.pause()
    consumer.resume()  # what holds back everything does not let go of what is held
    assert consumer.poll(0.5) == []
    consumer.release({1})
    came = []
    while not came:
        came += consumer.poll(0.1)
    assert [record.partition for record in came] == [1]
    consumer.release({0, 2})
    while len(came) < 3:
        came += consumer.poll(0.1)
    assert owner.revoked == []
    consumer.close(0)
    assert owner.revoked == [{0, 1, 2}]
