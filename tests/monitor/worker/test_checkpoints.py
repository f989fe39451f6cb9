"""The order: outputs delivered, then the state sent and delivered, then the offset; with deliveries at our command."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradwatch.monitor.alarms.calibration import CleanFrame
from gradwatch.monitor.judging.state import JudgeState
from gradwatch.monitor.worker.checkpoints import StateNotStoredError, StreamLedger
from gradwatch.monitor.worker.stored_state import CHUNK, Found, Shelf, StoredState
from gradwatch.streams.transport.producer import Delivery

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


def bind(state, next_offset, published_ns):
    return StoredState(next_offset, published_ns, "models", "configuration", "", len(state.clean), state)


def state(clean=0):
    return JudgeState("town", "run", clean=tuple(CleanFrame(i, plain_observation(), {}) for i in range(clean)))


def judged(ledger, *offsets):
    """Frames that came and were judged; their reports, and what their offsets wait for."""
    reports, covers = [], []
    for offset in offsets:
        ledger.arrive(offset)
        reports.append(Delivery())
        covers += ledger.finish(offset, True, offset * 1000, [reports[-1]])
    return reports, covers


def test_outputs_then_state_then_offset():
    ledger, topic = StreamLedger(), Topic()
    (report,), (cover,) = judged(ledger, 7)
    assert ledger.begin(state(), bind)
    ledger.advance(topic.write)
    assert topic.sent == []  # the report is not delivered
    report.finish(0)
    ledger.advance(topic.write)
    assert [(part.key, part.version) for part in topic.sent] == [("town", 7000)]
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
    ledger.arrive(1)
    judged(ledger, 2)
    assert not ledger.begin(state(), bind)
    ledger.finish(1, False, 0, [])
    assert ledger.begin(state(), bind)


def test_drops_and_rejects_advance_but_not_past_what_is_under_way():
    ledger = StreamLedger()
    judged(ledger, 1)
    for offset in (2, 3, 4):
        ledger.arrive(offset)
    (cover,) = ledger.finish(4, False, 0, [])
    assert ledger.next_offset == 2
    assert not cover.done()
    ledger.finish(2, False, 0, [])
    assert ledger.next_offset == 3


def test_a_stream_that_was_never_judged_waits_for_no_state():
    ledger = StreamLedger()
    ledger.arrive(1)
    assert ledger.finish(1, False, 0, []) == []
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


def taken_up(next_offset=10, published_ns=5000):
    stored = StoredState(next_offset, published_ns, "models", "configuration", "", 0, state())
    return StreamLedger(Found("town", stored, None, Shelf()))


def test_frames_below_the_stored_state_are_known():
    ledger = taken_up()
    assert ledger.already_judged(9, 5000)
    assert not ledger.already_judged(10, 5000)
    assert not ledger.behind


def test_a_topic_made_anew_counts_from_zero_and_is_no_old_one():
    ledger = taken_up()
    assert not ledger.already_judged(0, 5001)
    assert not ledger.arrive(0)
    assert ledger.arrive(1)
    (cover,) = ledger.finish(0, True, 5001, [])
    assert not cover.done()
    assert (ledger.stored, ledger.next_offset) == (0, 1)


STEP = st.sampled_from(["arrive", "finish", "deliver", "store", "acknowledge"])


@given(st.lists(STEP, max_size=60), st.randoms(use_true_random=False))
def test_whatever_happens_no_offset_is_free_before_what_covers_it(steps, random):
    """Whenever the process dies, all reports below the stored offset are out, and no offset above it is free."""
    ledger, topic = StreamLedger(), Topic()
    waiting, reports, covers, came = [], {}, {}, 0
    for step in steps:
        if step == "arrive":
            ledger.arrive(came)
            waiting.append(came)
            came += 1
        elif step == "finish" and waiting:
            # the first is judged or dropped; one behind it can only be dropped
            place = random.choice([0, 0, len(waiting) - 1])
            offset = waiting.pop(place)
            reports[offset] = Delivery()
            for cover in ledger.finish(offset, place == 0 and random.random() < 0.7, 0, [reports[offset]]):
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
