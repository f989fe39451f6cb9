"""The order: outputs delivered, then the state sent and delivered, then the offset; with deliveries at our command."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradwatch.monitor.alarms.calibration import CleanFrame
from gradwatch.monitor.judging.state import JudgeState
from gradwatch.monitor.worker.checkpoints import StateNotStoredError, StreamLedger
from gradwatch.monitor.worker.stored_state import CHUNK, Covered, Shelf, StoredState, load
from gradwatch.streams.transport.producer import Delivery
from gradwatch.streams.wire.messages import FrameIdentity

from ...builders import plain_observation


class Topic:
    """Takes records while it has room; they are delivered when the test says so."""

    def __init__(self):
        self.sent, self.deliveries, self.room = [], [], 1 << 30

    def write(self, part):
        if len(self.sent) >= self.room:
            return None
        self.sent.append(part)
        self.deliveries.append(Delivery())
        return self.deliveries[-1]

    def deliver(self):
        for delivery in self.deliveries:
            delivery.finish(0)


def bind(state, covered):
    place = {"topic_id": covered.topic_id, "seen_run": covered.run_id, "seen_seq": covered.seq}
    rest = ("models", "configuration", "", len(state.clean), state)
    return StoredState(covered.next_offset, covered.version, *rest, **place)


def frame(seq, run="run"):
    return FrameIdentity("town", run, seq)


def state(clean=0):
    return JudgeState("town", "run", clean=tuple(CleanFrame(i, plain_observation(), {}) for i in range(clean)))


def judged(ledger, *offsets):
    """Frames that came and were judged; their reports, and what their offsets wait for."""
    reports, covers = [], []
    for offset in offsets:
        ledger.arrive(offset, frame(offset))
        reports.append(Delivery())
        covers += ledger.finish(offset, True, [reports[-1]])
    return reports, covers


def test_outputs_then_state_then_offset():
    ledger, topic = StreamLedger(), Topic()
    (report,), (cover,) = judged(ledger, 7)
    assert ledger.begin(state(), bind)
    ledger.advance(topic.write)
    assert topic.sent == []  # the report is not delivered
    report.finish(0)
    ledger.advance(topic.write)
    assert [(part.key, part.version) for part in topic.sent] == [("town", 1)]
    ledger.advance(topic.write)
    assert (cover.done(), ledger.stored, ledger.behind) == (False, 0, True)  # the state is not delivered
    topic.deliver()
    ledger.advance(topic.write)
    assert (cover.done(), cover.exception, ledger.stored, ledger.behind) == (True, None, 8, False)


def test_a_state_covers_what_was_finished_when_it_was_taken():
    ledger, topic = StreamLedger(), Topic()
    (early,), (covered,) = judged(ledger, 1)
    early.finish(0)
    assert ledger.begin(state(), bind)
    _, (not_yet,) = judged(ledger, 2)
    assert not ledger.begin(state(), bind)  # one at a time
    for _ in range(2):
        ledger.advance(topic.write)
        topic.deliver()
    assert (covered.done(), not_yet.done(), ledger.stored) == (True, False, 2)
    assert ledger.begin(state(), bind)


def test_a_drop_that_is_reported_late_holds_the_state_back():
    """Else the frame that was dropped would be skipped after a crash, and have no report."""
    ledger = StreamLedger()
    ledger.arrive(1, frame(1))
    judged(ledger, 2)
    assert not ledger.begin(state(), bind)
    ledger.finish(1, False, [])
    assert ledger.begin(state(), bind)


def test_drops_and_rejects_advance_but_not_past_what_is_under_way():
    ledger = StreamLedger()
    judged(ledger, 1)
    for offset in (2, 3, 4):
        ledger.arrive(offset, frame(offset))
    (cover,) = ledger.finish(4, False, [])
    assert ledger.next_offset == 2
    assert not cover.done()
    ledger.finish(2, False, [])
    assert ledger.next_offset == 3


def test_a_stream_that_was_never_judged_waits_for_no_state():
    ledger = StreamLedger()
    ledger.arrive(1, frame(1))
    assert ledger.finish(1, False, []) == []
    assert not ledger.behind


@pytest.mark.parametrize("what", ["report", "state"])
def test_a_failed_delivery_ends_it(what):
    ledger, topic = StreamLedger(), Topic()
    (report,), (cover,) = judged(ledger, 1)
    ledger.begin(state(), bind)
    report.finish(exception=RuntimeError("gone") if what == "report" else None)
    ledger.advance(topic.write)
    if what == "state":
        topic.deliveries[0].finish(exception=RuntimeError("gone"))
        ledger.advance(topic.write)
    assert cover.done()
    assert isinstance(cover.exception, StateNotStoredError)
    assert "gone" in str(cover.exception)


def test_without_room_the_rest_is_sent_later_and_the_state_last():
    ledger, topic = StreamLedger(), Topic()
    topic.room = 2
    (report,), _ = judged(ledger, 1)
    report.finish(0)
    ledger.begin(state(clean=2 * CHUNK + 1), bind)
    ledger.advance(topic.write)
    topic.deliver()
    ledger.advance(topic.write)
    assert [part.key for part in topic.sent] == ["town/clean/run/0", "town/clean/run/1"]
    assert ledger.stored == 0
    topic.room = 9
    ledger.advance(topic.write)
    assert [part.key for part in topic.sent[2:]] == ["town/clean/run/2", "town"]


def test_only_the_chunk_that_grew_is_written_again_and_all_go_at_last():
    ledger, topic = StreamLedger(), Topic()

    def store(offset, clean):
        topic.sent.clear()
        (report,), _ = judged(ledger, offset)
        report.finish(0)
        ledger.begin(state(clean), bind)
        for _ in range(3):
            ledger.advance(topic.write)
            topic.deliver()
        return [(part.key, part.value is None) for part in topic.sent]

    assert len(store(1, 3 * CHUNK)) == 4
    assert store(2, 3 * CHUNK) == [("town", False)]
    assert store(3, 3 * CHUNK + 1) == [("town/clean/run/3", False), ("town", False)]
    assert store(4, 3 * CHUNK + 2) == [("town/clean/run/3", False), ("town", False)]
    written = store(5, 0)
    assert written[0] == ("town", False)  # first what no longer needs them
    assert sorted(written[1:]) == [(f"town/clean/run/{i}", True) for i in range(4)]


def test_frames_below_the_stored_state_are_known():
    ledger = StreamLedger(Covered(next_offset=10))
    assert ledger.already_judged(9)
    assert not ledger.already_judged(10)
    assert not ledger.behind


def stored_states(ledger, topic):
    """Stores the state, and returns those that were stored so far."""
    ledger.begin(state(), bind)
    for _ in range(2):
        ledger.advance(topic.write)
        topic.deliver()
    return [load(part.value, StoredState) for part in topic.sent]


def test_a_state_says_what_it_covers_and_its_version_counts_frames():
    ledger, topic = StreamLedger(Covered(5, 1000, "topic", "earlier", 70)), Topic()
    for offset, (run, seq) in {6: ("earlier", 71), 7: ("run", 0), 9: ("run", 1), 10: ("run", 0)}.items():
        ledger.arrive(offset, frame(seq, run))
        ledger.finish(offset, True, [])
    ledger.arrive(11, frame(2))
    (stored,) = stored_states(ledger, topic)
    assert stored.covered == Covered(11, 1004, "topic", "run", 1)  # a frame that is sent back (10) leads nobody back


def test_a_frame_that_overtakes_another_is_no_part_of_what_a_state_covers():
    """Else the numbers after it would be taken for lost by the next worker, or those before it not be missed."""
    ledger, topic = StreamLedger(), Topic()
    for offset in (0, 1, 2):
        ledger.arrive(offset, frame(offset))
    ledger.finish(0, True, [])
    ledger.finish(2, False, [])
    (stored,) = stored_states(ledger, topic)
    assert (stored.next_offset, stored.version, stored.seen_seq) == (1, 1, 0)


def test_the_state_of_a_stream_that_moved_is_newer_than_the_one_it_left():
    ledger, topic = StreamLedger(), Topic()
    ledger.arrive(0, frame(0))
    ledger.finish(0, True, [])
    ledger.follow(500)
    ledger.begin(state(), bind)
    ledger.advance(topic.write)
    assert topic.sent[-1].version == 501


def test_all_that_is_left_behind_is_removed_the_state_first():
    ledger, topic = StreamLedger(shelf=Shelf("calibration", {"town/clean/run/0": 8})), Topic()
    ledger.remove_all("town")
    ledger.advance(topic.write)
    assert [part.key for part in topic.sent] == ["town", "town/calibration", "town/clean/run/0"]
    assert {part.value for part in topic.sent} == {None}
    assert ledger.removed


STEP = st.sampled_from(["arrive", "finish", "deliver", "store", "acknowledge"])


@given(st.lists(STEP, max_size=60), st.randoms(use_true_random=False))
def test_whatever_happens_no_offset_is_free_before_what_covers_it(steps, random):
    """Whenever the process dies, all reports below the stored offset are out, and no offset above it is free."""
    ledger, topic = StreamLedger(), Topic()
    waiting, reports, covers, came = [], {}, {}, 0
    for step in steps:
        if step == "arrive":
            ledger.arrive(came, frame(came))
            waiting.append(came)
            came += 1
        elif step == "finish" and waiting:
            # the first is judged or dropped; one behind it can only be dropped
            place = random.choice([0, 0, len(waiting) - 1])
            offset = waiting.pop(place)
            reports[offset] = Delivery()
            for cover in ledger.finish(offset, place == 0 and random.random() < 0.7, [reports[offset]]):
                covers[offset] = cover
        elif step == "deliver" and reports:
            reports[random.choice(sorted(reports))].finish(0)
        elif step == "store":
            ledger.begin(state(), bind)
            ledger.advance(topic.write)
        elif step == "acknowledge":
            topic.deliver()
            ledger.advance(topic.write)
        assert all(reports[offset].done() for offset in range(ledger.stored))
        assert all(offset < ledger.stored for offset, cover in covers.items() if cover.done())
