"""Whose a partition is, move by move: what the threads do is called here in the order that would hurt."""

from __future__ import annotations

import pytest
from prometheus_client import REGISTRY

from gradwatch.monitor.judging.state import JudgeState
from gradwatch.monitor.worker.ownership import Custody
from gradwatch.monitor.worker.stored_state import Found, StoredState, dump
from gradwatch.streams.transport.producer import Delivery


class Holder:
    def __init__(self):
        self.held, self.released, self.coming = {}, [], 0

    def assign(self, *partitions):
        self.coming += 1
        self.held |= dict.fromkeys(partitions, self.coming)

    def release(self, partitions):
        self.released += sorted(partitions)
        for partition in partitions:
            self.held.pop(partition, None)
        return {partition: 100 + partition for partition in partitions}


class Topic:
    """State topic: source and store in one; what was sent counts at once, and is delivered unless `silent`."""

    def __init__(self):
        self.values, self.started, self.steps, self.silent = {}, [], 1, False

    def start(self, partitions):
        self.started.append(sorted(partitions))
        self._left = self.steps

    def step(self, timeout_s):
        self._left -= 1
        return None if self._left > 0 else {p: dict(self.values.get(p, {})) for p in self.started[-1]}

    def close(self):
        pass

    def try_write(self, partition, key, value, version=0):
        self.values.setdefault(partition, {})[key] = value
        delivery = Delivery()
        if not self.silent:
            delivery.finish(0)
        return delivery


class Pipeline:
    """Keeps states as the real one does, without judging."""

    def __init__(self):
        self.states, self.calibrations, self.calls, self.adopts_from = {}, {}, [], {}

    def take_up(self, found: Found):
        self.calls.append(("take up", found.stream_id))
        self.states[found.stream_id] = found.stored.state

    def forget(self, stream_id):
        self.calls.append(("forget", stream_id))
        self.states.pop(stream_id, None)

    def bind(self, state, next_offset, published_ns):
        return StoredState(next_offset, published_ns, "models", "configuration", "", 0, state)


@pytest.fixture
def custody():
    made = Custody(Pipeline(), Topic(), None, interval_s=1.0)
    made._store = made._source
    return made


def opened(custody, holder, *partitions):
    holder.assign(*partitions)
    while custody.take_up(holder, 0.0):
        pass
    custody.tick(0.0)


def judge(custody, offset, partition=0, stream="town"):
    """One frame from its coming to its end."""
    custody.arrive(partition, stream, offset, offset)
    return judge_arrived(custody, offset, partition, stream)


def judge_arrived(custody, offset, partition=0, stream="town"):
    covers = []
    if custody.owns(partition):
        custody._pipeline.states[stream] = JudgeState(stream, "run", next_seq=offset + 1)
        covers = custody.finish(partition, offset, True, [])
    custody.passed(partition)
    return covers


def stored_at(next_offset, seq):
    state = StoredState(next_offset, next_offset, "models", "configuration", "", 0, JudgeState("town", "run", seq))
    return {"town": dump(state)}


def test_frames_wait_until_the_state_is_read_and_go_on_from_it(custody):
    holder = Holder()
    custody._source.values[2] = stored_at(10, seq=7)
    custody._source.steps = 3
    holder.assign(2)
    waits = [custody.take_up(holder, 0.0) for _ in range(3)]
    assert (waits, holder.released) == ([True, True, False], [2])
    custody.tick(0.0)
    assert custody._pipeline.states["town"].next_seq == 7
    assert custody._pipeline.adopts_from == {2: 102}
    assert custody.already_judged(2, "town", 9, 9)
    assert not custody.already_judged(2, "town", 10, 10)
    assert not custody.already_judged(2, "gate", 9, 9)


def test_a_partition_that_went_and_came_while_its_state_was_read_is_read_again(custody):
    holder = Holder()
    custody._source.steps = 2
    holder.assign(0, 1)
    assert custody.take_up(holder, 0.0)
    custody.leave({1})
    holder.held.pop(1)
    holder.assign(1)
    assert custody.take_up(holder, 0.0)
    assert (holder.released, custody.owns(0), custody.owns(1)) == ([0], True, False)
    while custody.take_up(holder, 0.0):
        pass
    assert (custody._source.started, holder.released) == ([[0, 1], [1]], [0, 1])


def test_regained_only_once_nothing_of_before_is_under_way(custody):
    """A frame that was in the networks when its partition went must not be judged after it came back."""
    holder = Holder()
    opened(custody, holder, 0)
    judge(custody, 1)
    custody.tick(0.0)
    custody.tick(1.0)
    custody.arrive(0, "town", 2, 2)
    custody.leave({0})
    holder.assign(0)
    assert custody.take_up(holder, 0.0)
    assert holder.released == [0]
    assert judge_arrived(custody, 2) == []  # seen by the judge at last, and left to whoever owns it now
    assert not custody.take_up(holder, 0.0)
    custody.tick(2.0)
    assert holder.released == [0, 0]
    assert custody._pipeline.calls == [("forget", "town"), ("take up", "town")]
    assert custody._pipeline.states["town"].next_seq == 2  # offset 1 was covered, offset 2 was not


def test_what_was_never_stored_is_forgotten_before_the_partition_comes_back(custody):
    holder = Holder()
    opened(custody, holder, 0)
    judge(custody, 1)
    custody.leave({0})
    opened(custody, holder, 0)
    assert custody._pipeline.states == {}


def test_after_leaving_nothing_is_sent(custody):
    holder = Holder()
    opened(custody, holder, 0, 1)
    judge(custody, 5)
    judge(custody, 6, partition=1, stream="gate")
    custody.leave({0})
    for now_s in (0.0, 5.0, 10.0):
        custody.tick(now_s)
    assert set(custody._source.values) == {1}
    assert set(custody._pipeline.states) == {"gate"}


def test_leaving_lets_what_was_begun_be_finished_and_stored(custody):
    holder = Holder()
    opened(custody, holder, 0)
    judge(custody, 1)
    custody.tick(0.0)
    custody.arrive(0, "town", 2, 2)
    custody.prepare({0})
    assert custody.leaving(0)
    assert not custody.settled({0})
    (cover,) = judge_arrived(custody, 2)
    assert not custody.settled({0})
    custody.tick(0.1)  # long before the state would be due
    custody.tick(0.1)
    assert custody.settled({0})
    assert cover.done()
    custody.leave({0})
    custody.tick(0.1)
    assert custody._pipeline.states == {}


def test_what_is_not_delivered_is_not_settled(custody):
    holder = Holder()
    opened(custody, holder, 0)
    custody._source.silent = True
    (cover,) = judge(custody, 1)
    custody.prepare({0})
    custody.tick(0.0)
    assert (custody.settled({0}), cover.done()) == (False, False)


def test_states_are_stored_when_due_and_at_once_in_a_hurry(custody):
    holder = Holder()
    opened(custody, holder, 0)
    versions = []
    write = custody._store.try_write
    custody._store.try_write = lambda p, k, v, version=0: versions.append(version) or write(p, k, v, version)
    for offset in range(1, 101):
        judge(custody, offset)
        custody.tick(offset * 0.1)  # 10 Hz for 10 s
        custody.tick(offset * 0.1 + 0.05)
    assert 9 <= len(versions) <= 11
    judge(custody, 101)
    assert not custody.hurry()
    custody.tick(10.01)
    custody.tick(10.02)
    assert custody.hurry()
    assert versions[-1] == 101


def test_a_stream_in_two_partitions_keeps_its_state_until_both_are_gone(custody):
    holder = Holder()
    opened(custody, holder, 0, 1)
    judge(custody, 1, partition=0)
    judge(custody, 1, partition=1)
    custody.leave({0})
    custody.tick(0.0)
    assert "town" in custody._pipeline.states
    custody.leave({1})
    custody.tick(0.0)
    assert custody._pipeline.states == {}


def test_what_is_skipped_is_counted_by_stream_and_cause(custody):
    holder = Holder()
    custody._source.values[0] = {"counted": stored_at(10, seq=7)["town"]}
    opened(custody, holder, 0)
    custody.already_judged(0, "counted", 3, 3)
    custody.arrive(0, "counted", 12, 12)
    custody.leave_out(0, "counted")
    for cause in ("already_judged", "partition_moved"):
        labels = {"stream_id": "counted", "cause": cause}
        assert REGISTRY.get_sample_value("gradwatch_frames_skipped_total", labels) == 1
