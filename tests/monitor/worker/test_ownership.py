"""Whose a partition is, move by move: what the threads do is called here in the order that would hurt."""

from __future__ import annotations

import time
from types import SimpleNamespace

import pytest
from msgspec.structs import replace
from prometheus_client import REGISTRY

from gradwatch.monitor.judging.state import JudgeState
from gradwatch.monitor.worker.moved_streams import MovedStreams
from gradwatch.monitor.worker.ownership import Ownership
from gradwatch.monitor.worker.stored_state import Found, StoredState, dump, load
from gradwatch.monitor.worker.stream_health import StreamHealth
from gradwatch.streams.transport.producer import Delivery

from ...builders import SECOND_NS, frame_stamp


class Holder:
    topic, topic_id = "frames", "first"
    partitions = frozenset({0, 1})

    def __init__(self):
        self.held, self.released, self.coming, self.begun_anew = {}, [], 0, set()

    def assign(self, *partitions):
        self.coming += 1
        self.held |= dict.fromkeys(partitions, self.coming)

    def set_aside(self, partitions):
        self.aside = partitions

    def release(self, partitions):
        self.released += sorted(partitions)
        for partition in partitions:
            self.held.pop(partition, None)
        return {partition: 100 + partition for partition in partitions}


class Topic:
    """State topic: source and store in one; what was sent counts at once, and is delivered unless `silent`."""

    def __init__(self):
        self.values, self.started, self.steps, self.silent = {}, [], 1, False

    def client(self):
        """Another client of the same topic."""
        made = Topic()
        made.__dict__ = self.__dict__
        return made

    def start(self, partitions):
        self.started.append(sorted(partitions))
        self._left = self.steps

    def step(self, timeout_s):
        self._left -= 1
        present = {p: self.values.get(p, {}) for p in self.started[-1]}
        kept = {p: {key: value for key, value in keys.items() if value is not None} for p, keys in present.items()}
        return None if self._left > 0 else kept

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
        self.records = []
        self.health = StreamHealth(self.records.append)

    def take_up(self, found: Found):
        self.calls.append(("take up", found.stream_id))
        self.states.pop(found.stream_id, None)
        if found.stored is not None:
            self.states[found.stream_id] = found.stored.state

    def begin_anew(self, stream_id, error):
        self.calls.append(("begin anew", stream_id, str(error)))
        self.states[stream_id] = JudgeState(stream_id, "anew")
        return []

    def forget(self, stream_id):
        self.calls.append(("forget", stream_id))
        self.states.pop(stream_id, None)

    def bind(self, state, covered):
        place = {"topic_id": covered.topic_id, "seen_run": covered.run_id, "seen_seq": covered.seq}
        return StoredState(covered.next_offset, covered.version, "models", "configuration", "", 0, state, **place)


@pytest.fixture
def ownership():
    made = Ownership(Pipeline(), Topic(), None, interval_s=1.0)
    made._store = made._source
    return made


def opened(ownership, holder, *partitions):
    holder.assign(*partitions)
    while ownership.load_states(holder, 0.0):
        pass
    ownership.tick(0.0)


def stamp(offset, partition=0, stream="town"):
    return frame_stamp(stream, offset, partition=partition, offset=offset)


def judge(ownership, offset, partition=0, stream="town"):
    """One frame from its coming to its end."""
    ownership.note_arrival(stamp(offset, partition, stream))
    return judge_arrived(ownership, offset, partition, stream)


def judge_arrived(ownership, offset, partition=0, stream="town"):
    covers = []
    if ownership.owns(partition):
        ownership._pipeline.states[stream] = JudgeState(stream, "run", next_seq=offset + 1)
        covers = ownership.finish(partition, offset, True, [])
    ownership.note_done(partition)
    return covers


def stored_at(next_offset, seq):
    return {"town": dump(stored_state(next_offset, seq))}


def stored_state(next_offset, seq, version=0, topic_id="first"):
    judged = JudgeState("town", "run", seq)
    return StoredState(next_offset, version, "models", "configuration", "", 0, judged, topic_id, "run", seq - 1)


def test_frames_wait_until_the_state_is_read_and_go_on_from_it(ownership):
    holder = Holder()
    ownership._source.values[2] = stored_at(10, seq=7)
    ownership._source.steps = 3
    holder.assign(2)
    waits = [ownership.load_states(holder, 0.0) for _ in range(3)]
    assert (waits, holder.released) == ([True, True, False], [2])
    ownership.tick(0.0)
    assert ownership._pipeline.states["town"].next_seq == 7
    assert ownership._pipeline.adopts_from == {2: 102}
    assert ownership.already_judged(stamp(9, 2, "town"))
    assert not ownership.already_judged(stamp(10, 2, "town"))
    assert not ownership.already_judged(stamp(9, 2, "gate"))


def test_a_partition_that_went_and_came_while_its_state_was_read_is_read_again(ownership):
    holder = Holder()
    ownership._source.steps = 2
    holder.assign(0, 1)
    assert ownership.load_states(holder, 0.0)
    ownership.on_revoked({1})
    holder.held.pop(1)
    holder.assign(1)
    assert ownership.load_states(holder, 0.0)
    assert (holder.released, ownership.owns(0), ownership.owns(1)) == ([0], True, False)
    while ownership.load_states(holder, 0.0):
        pass
    assert (ownership._source.started, holder.released) == ([[0, 1], [1]], [0, 1])


def test_regained_only_once_nothing_of_before_is_under_way(ownership):
    """A frame that was in the networks when its partition went must not be judged after it came back."""
    holder = Holder()
    opened(ownership, holder, 0)
    judge(ownership, 1)
    ownership.tick(0.0)
    ownership.tick(1.0)
    ownership.note_arrival(stamp(2, 0, "town"))
    ownership.on_revoked({0})
    holder.assign(0)
    assert ownership.load_states(holder, 0.0)
    assert holder.released == [0]
    assert judge_arrived(ownership, 2) == []  # seen by the judge at last, and left to whoever owns it now
    assert not ownership.load_states(holder, 0.0)
    ownership.tick(2.0)
    assert holder.released == [0, 0]
    assert ownership._pipeline.calls == [("forget", "town"), ("take up", "town")]
    assert ownership._pipeline.states["town"].next_seq == 2  # offset 1 was covered, offset 2 was not


def test_what_was_never_stored_is_forgotten_before_the_partition_comes_back(ownership):
    holder = Holder()
    opened(ownership, holder, 0)
    judge(ownership, 1)
    ownership.on_revoked({0})
    opened(ownership, holder, 0)
    assert ownership._pipeline.states == {}


def test_after_leaving_nothing_is_sent(ownership):
    holder = Holder()
    opened(ownership, holder, 0, 1)
    judge(ownership, 5)
    judge(ownership, 6, partition=1, stream="gate")
    ownership.on_revoked({0})
    for now_s in (0.0, 5.0, 10.0):
        ownership.tick(now_s)
    assert set(ownership._source.values) == {1}
    assert set(ownership._pipeline.states) == {"gate"}


def test_leaving_lets_what_was_begun_be_finished_and_stored(ownership):
    holder = Holder()
    opened(ownership, holder, 0)
    judge(ownership, 1)
    ownership.tick(0.0)
    ownership.note_arrival(stamp(2, 0, "town"))
    ownership.on_revoking({0})
    assert ownership.is_leaving(0)
    assert not ownership.is_settled({0})
    (cover,) = judge_arrived(ownership, 2)
    assert not ownership.is_settled({0})
    ownership.tick(0.1)  # long before the state would be due
    ownership.tick(0.1)
    assert ownership.is_settled({0})
    assert cover.done()
    ownership.on_revoked({0})
    ownership.tick(0.1)
    assert ownership._pipeline.states == {}


def test_what_is_not_delivered_is_not_settled(ownership):
    holder = Holder()
    opened(ownership, holder, 0)
    ownership._source.silent = True
    (cover,) = judge(ownership, 1)
    ownership.on_revoking({0})
    ownership.tick(0.0)
    assert (ownership.is_settled({0}), cover.done()) == (False, False)


def test_states_are_stored_when_due_and_at_once_in_a_hurry(ownership):
    holder = Holder()
    opened(ownership, holder, 0)
    versions = []
    write = ownership._store.try_write
    ownership._store.try_write = lambda p, k, v, version=0: versions.append(version) or write(p, k, v, version)
    for offset in range(1, 101):
        judge(ownership, offset)
        ownership.tick(offset * 0.1)  # 10 Hz for 10 s
        ownership.tick(offset * 0.1 + 0.05)
    assert 9 <= len(versions) <= 11
    judge(ownership, 101)
    assert not ownership.store_now()
    ownership.tick(10.01)
    ownership.tick(10.02)
    assert ownership.store_now()
    assert versions == sorted(set(versions))
    assert versions[-1] == 101


def test_a_stream_in_two_partitions_keeps_its_state_until_both_are_gone(ownership):
    holder = Holder()
    opened(ownership, holder, 0, 1)
    judge(ownership, 1, partition=0)
    judge(ownership, 1, partition=1)
    ownership.on_revoked({0})
    ownership.tick(0.0)
    assert "town" in ownership._pipeline.states
    ownership.on_revoked({1})
    ownership.tick(0.0)
    assert ownership._pipeline.states == {}


def test_what_is_skipped_is_counted_by_stream_and_cause(ownership):
    holder = Holder()
    ownership._source.values[0] = {"counted": stored_at(10, seq=7)["town"]}
    opened(ownership, holder, 0)
    ownership.already_judged(stamp(3, 0, "counted"))
    ownership.note_arrival(stamp(12, 0, "counted"))
    ownership.leave_to_next_owner(0, "counted")
    for cause in ("already_judged", "partition_moved"):
        labels = {"stream_id": "counted", "cause": cause}
        assert REGISTRY.get_sample_value("gradwatch_frames_skipped_total", labels) == 1


def test_a_change_without_a_frame_is_stored_over_what_was_loaded(ownership):
    holder = Holder()
    ownership._source.values = {0: {"town": dump(stored_state(next_offset=10, seq=4))}}
    opened(ownership, holder, 0)
    assert ownership.idle_s(ownership._ledgers.get((0, "town"))._arrived_s + 7.0) == {"town": 7.0}
    published = Delivery()
    ownership._pipeline.states["town"] = JudgeState("town", "run", next_seq=5)
    ownership.note_change("town", [published])
    ownership.tick(5.0)
    assert load(ownership._source.values[0]["town"], StoredState).state.next_seq == 4
    assert ownership.idle_s(1e9) == {"town": 0.0}
    published.finish(0)
    ownership.tick(6.0)
    stored = load(ownership._source.values[0]["town"], StoredState)
    assert (stored.next_offset, stored.state.next_seq) == (10, 5)


class TestForgetting:
    @pytest.fixture
    def source(self):
        return Topic()

    @pytest.fixture
    def owner(self, source):
        made = Ownership(Pipeline(), source, None, interval_s=1.0, moved=MovedStreams(source), keep_s=100.0)
        made._store = source
        opened(made, Holder(), 0)
        for stream in ("town", "city"):
            judge(made, 5, stream=stream)
        made.tick(10.0)
        assert source.values[0].keys() == {"town", "city"}
        return made

    @staticmethod
    def forget(owner, stream="town", is_kept=True):
        owner._pipeline.is_worth_keeping = lambda stream_id: is_kept
        owner.forget(stream, time.monotonic() + 1)
        owner.tick(20.0)

    def test_a_stream_that_calibrated_itself_comes_back_as_it_was_stored(self, owner, source):
        self.forget(owner)
        assert "town" not in owner._pipeline.states
        assert owner.idle_s(0.0).keys() == {"city"}
        assert not owner.must_wait(stamp(6, stream="city"))
        assert owner.must_wait(stamp(6))
        assert owner.must_wait(stamp(7))
        holder = Holder()
        holder.partitions = frozenset({0})  # no other worker has one
        while not owner.look_for_moved(holder):
            pass
        assert source.started[-1] == [0]
        owner.tick(21.0)
        assert owner._pipeline.states["town"].next_seq == 6
        assert not owner.must_wait(stamp(6))
        assert owner.already_judged(stamp(5))
        judge(owner, 6)
        owner.tick(30.0)
        assert load(source.values[0]["town"], StoredState).next_offset == 7

    def test_what_is_not_worth_keeping_is_removed(self, owner, source):
        self.forget(owner, is_kept=False)
        assert source.values[0]["town"] is None
        assert source.values[0]["city"] is not None
        assert not owner.must_wait(stamp(6))

    def test_a_stream_under_way_is_not_forgotten(self, owner):
        owner.note_arrival(stamp(6))
        self.forget(owner)
        assert "town" in owner._pipeline.states

    def test_the_next_owner_of_the_partition_takes_up_the_forgotten(self, owner):
        self.forget(owner)
        owner.on_revoking([0])
        owner.on_revoked([0])
        opened(owner, Holder(), 0)
        assert owner._pipeline.states["town"].next_seq == 6
        assert not owner.must_wait(stamp(6))

    def test_a_state_that_was_stored_long_ago_is_removed(self, owner, source):
        states = source.values[0]
        states["town"] = dump(replace(load(states["town"], StoredState), stored_ns=time.time_ns() - 101 * SECOND_NS))
        states["city"] = dump(replace(load(states["city"], StoredState), stored_ns=time.time_ns() - 50 * SECOND_NS))
        owner.on_revoked([0])
        opened(owner, Holder(), 0)
        owner.tick(40.0)
        assert owner._pipeline.states.keys() == {"city"}
        assert states["town"] is None


def test_a_state_that_can_not_be_written_is_given_up_and_the_stream_begins_anew(ownership, monkeypatch):
    holder = Holder()
    opened(ownership, holder, 0)
    write = ownership._store.try_write

    def refusing(partition, key, value, version=0):
        if key == "town" and load(value, StoredState).state.run_id == "run":
            raise TypeError("no array")
        return write(partition, key, value, version)

    ownership._store = SimpleNamespace(try_write=refusing)
    (cover,), (other,) = judge(ownership, 5), judge(ownership, 6, stream="gate")
    for second in range(1, 6):
        ownership.tick(float(second))
    assert ("begin anew", "town", "no array") in ownership._pipeline.calls
    assert cover.done()
    assert other.done()
    assert load(ownership._source.values[0]["town"], StoredState).state.run_id == "anew"
