"""A stream that moves to another partition: its newest state wins over all partitions and workers, others go."""

from __future__ import annotations

import itertools

import pytest

from gradwatch.monitor.judging.state import JudgeState
from gradwatch.monitor.worker import ledgers, ownership
from gradwatch.monitor.worker.moved_streams import MovedStreams
from gradwatch.monitor.worker.ownership import Ownership
from gradwatch.monitor.worker.stored_state import StoredState, dump, load

from ...builders import frame_stamp
from .test_ownership import Holder, Pipeline, Topic, judge, judge_arrived, opened, stamp, stored_state

CLOCK = itertools.count(1000.0)


@pytest.fixture(autouse=True)
def moved_at_once(monkeypatch):
    for module in (ledgers, ownership):
        monkeypatch.setattr(module, "MOVED_AFTER_S", -1.0)


def worker(topic: Topic, *partitions: int, count: int = 2) -> tuple[Ownership, Holder]:
    """A worker that owns these of `count` partitions; workers share the topic."""
    made = Ownership(Pipeline(), topic.client(), topic, 0.0, MovedStreams(topic.client()))
    holder = Holder()
    holder.partitions = frozenset(range(count))
    opened(made, holder, *partitions)
    made.look_for_moved(holder)
    return made, holder


def versions(topic: Topic, stream: str = "town") -> dict[int, int]:
    """The version of a stream's state by partition."""
    found = {p: values.get(stream) for p, values in topic.values.items()}
    return {p: load(value, StoredState).version for p, value in found.items() if value is not None}


def tick(made: Ownership) -> None:
    for _ in range(3):
        made.tick(next(CLOCK))


def put(topic: Topic, partition: int, version: int, seq: int) -> None:
    topic.values.setdefault(partition, {})["town"] = dump(stored_state(5, seq, version))


def test_a_stream_goes_on_in_its_new_partition_and_leaves_nothing_behind():
    topic = Topic()
    made, _ = worker(topic, 0, 1)
    for offset in range(5):
        judge(made, offset)
    tick(made)
    assert versions(topic) == {0: 5}
    judge(made, 0, partition=1)
    tick(made)
    assert versions(topic) == {1: 6}
    assert made._pipeline.calls == []  # the state in memory went on


@pytest.mark.parametrize("newest", [0, 1])
def test_after_a_restart_the_highest_version_wins_wherever_it_lies(newest):
    topic = Topic()
    put(topic, newest, version=70, seq=7)
    put(topic, 1 - newest, version=60, seq=6)
    made, _ = worker(topic, 0, 1)
    tick(made)
    assert made._pipeline.states["town"].next_seq == 7
    assert versions(topic) == {newest: 70}
    judge(made, 9, partition=1 - newest)  # whatever partition its frames come in now
    tick(made)
    assert versions(topic) == {1 - newest: 71}


def test_a_partition_that_is_taken_over_later_brings_the_newer_state_or_none():
    topic = Topic()
    put(topic, 0, version=60, seq=6)
    made, holder = worker(topic, 0)
    put(topic, 1, version=70, seq=7)
    opened(made, holder, 1)
    assert made._pipeline.states["town"].next_seq == 7
    put(topic, 2, version=65, seq=5)
    opened(made, holder, 2)
    assert made._pipeline.states["town"].next_seq == 7


def test_a_damaged_state_hides_neither_an_older_one_nor_those_to_come():
    topic = Topic()
    topic.values[0] = {"town": b"damaged"}
    put(topic, 1, version=60, seq=6)
    made, _ = worker(topic, 0, 1)
    assert made._pipeline.states["town"].next_seq == 6
    tick(made)
    assert topic.values[0]["town"] is None


def test_the_new_owner_finds_the_state_that_another_worker_stored():
    topic = Topic()
    first, _ = worker(topic, 0)
    for offset in range(5):
        judge(first, offset)
    tick(first)
    second, holder = worker(topic, 1)
    moved = stamp(0, partition=1)
    assert second.must_wait(moved)
    assert second.must_wait(stamp(1, partition=1))
    assert not second.must_wait(frame_stamp("topic.1", 0, "bare", partition=1))  # it is at home there
    assert not second.is_settled({1})
    assert second.look_for_moved(holder)
    assert (holder.aside, second.is_settled({1})) == (set(), True)
    second.tick(0.0)
    assert second._pipeline.states["town"].next_seq == 5
    assert not second.must_wait(moved)
    second.note_arrival(moved)
    judge_arrived(second, 0, partition=1)
    tick(second)
    assert versions(topic) == {1: 6}


def test_a_new_stream_is_looked_for_once():
    topic = Topic()
    made, holder = worker(topic, 0)
    assert made.must_wait(stamp(0))
    assert made.look_for_moved(holder)
    assert not made.must_wait(stamp(0))
    assert made._pipeline.states == {}
    started = len(topic.started)
    judge(made, 0)
    assert not made.must_wait(stamp(1))
    assert not made.look_for_moved(holder)
    assert len(topic.started) == started


def test_a_worker_that_owns_all_partitions_looks_nowhere():
    made, _ = worker(Topic(), 0, 1)
    assert not made.must_wait(stamp(0))


def test_a_stream_that_comes_back_goes_on_from_where_it_was_meanwhile():
    topic = Topic()
    made, holder = worker(topic, 0)
    assert made.must_wait(stamp(0))
    made.look_for_moved(holder)
    judge(made, 0)
    tick(made)
    put(topic, 1, version=500, seq=77)  # it went on in another worker
    again = frame_stamp("town", 0, "next", partition=0, offset=1)
    assert made.must_wait(again)
    assert made.look_for_moved(holder)
    tick(made)
    assert made._pipeline.states["town"].next_seq == 77
    made.note_arrival(again)
    made._pipeline.states["town"] = JudgeState("town", "next", next_seq=1)
    made.finish(0, 1, True, [])
    made.note_done(0)
    tick(made)
    assert versions(topic) == {0: 501}


def test_a_search_that_takes_time_keeps_its_partition_closed_and_no_other():
    topic = Topic()
    made, holder = worker(topic, 0, 2, count=3)
    topic.steps = 3
    assert made.must_wait(stamp(0))
    assert [made.look_for_moved(holder) for _ in range(2)] == [False, False]
    assert holder.aside == {0}
    made.on_revoked({0})  # it is taken away meanwhile
    assert made.look_for_moved(holder)
    assert (holder.aside, made.is_settled({0})) == (set(), True)
