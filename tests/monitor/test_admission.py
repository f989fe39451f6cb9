from __future__ import annotations

import threading
import time
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradwatch.monitor.admission import EveryFrame, Live
from gradwatch.streams.messages import EncodedFrame, FrameIdentity

NOW_NS = 10**18


def frame(stream, seq, age_s=0.0, size=10):
    return EncodedFrame(FrameIdentity(stream, "run", seq), 0, NOW_NS - round(age_s * 1e9), b"x" * size)


def names(frames):
    return [(f.identity.stream_id, f.identity.seq) for f in frames]


def taken(admission, count):
    return names(admission.take(NOW_NS, 0.0)[0] for _ in range(count))


@pytest.fixture
def live():
    return Live(max_pending=2, max_age_s=0.5)


class TestLive:
    def test_the_newest_two_stay_and_the_oldest_is_superseded(self, live):
        superseded = [names(live.put(frame("a", seq))) for seq in range(4)]
        assert superseded == [[], [], [("a", 0)], [("a", 1)]]
        assert len(live) == 2
        assert taken(live, 2) == [("a", 2), ("a", 3)]

    def test_streams_supersede_only_their_own_frames(self, live):
        for seq in range(3):
            live.put(frame("a", seq))
        assert live.put(frame("b", 0)) == []
        assert len(live) == 3

    def test_streams_are_served_in_turn(self, live):
        for stream in "abc":
            for seq in range(2):
                live.put(frame(stream, seq))
        assert taken(live, 6) == [("a", 0), ("b", 0), ("c", 0), ("a", 1), ("b", 1), ("c", 1)]

    def test_a_fast_stream_takes_no_turn_from_a_slow_one(self, live):
        """Of two streams that always have a frame waiting each gets half, whatever their rates."""
        served, waiting = Counter(), {"fast": 0, "slow": 0}
        for _ in range(50):
            for stream, rate in (("fast", 10), ("slow", 1)):
                for _ in range(rate):
                    live.put(frame(stream, waiting[stream]))
                    waiting[stream] += 1
            served[live.take(NOW_NS, 0.0)[0].identity.stream_id] += 1
        assert served == {"fast": 25, "slow": 25}

    def test_what_waited_too_long_is_stale(self, live):
        live.put(frame("a", 0, age_s=0.6))
        live.put(frame("a", 1, age_s=0.5))
        live.put(frame("b", 0, age_s=9.0))
        found, stale = live.take(NOW_NS, 0.0)
        assert (names([found]), names(stale)) == ([("a", 1)], [("a", 0)])
        found, stale = live.take(NOW_NS, 0.0)
        assert (found, names(stale)) == (None, [("b", 0)])
        assert len(live) == 0

    def test_a_clock_ahead_of_ours_makes_nothing_stale(self, live):
        live.put(frame("a", 0, age_s=-30.0))
        assert taken(live, 1) == [("a", 0)]

    def test_is_never_full(self, live):
        for seq in range(1000):
            live.put(frame("a", seq))
        assert not live.full

    @given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans(), st.floats(0, 1)), max_size=60))
    @settings(max_examples=100, deadline=None)
    def test_every_frame_comes_out_once_and_in_order(self, steps):
        live, seqs, out = Live(2, 0.5), Counter(), {"taken": [], "superseded": [], "stale": []}
        for stream, take, age_s in steps:
            out["superseded"] += names(live.put(frame(stream, seqs[stream], age_s)))
            seqs[stream] += 1
            assert len(live) <= 2 * 3
            if take:
                found, stale = live.take(NOW_NS, 0.0)
                out["taken"] += names([found] if found else [])
                out["stale"] += names(stale)
        while len(live):
            found, stale = live.take(NOW_NS, 0.0)
            out["taken"] += names([found] if found else [])
            out["stale"] += names(stale)
        everything = out["taken"] + out["superseded"] + out["stale"]
        assert sorted(everything) == sorted((s, i) for s, n in seqs.items() for i in range(n))
        for stream in "abc":
            of_stream = [seq for name, seq in out["taken"] if name == stream]
            assert of_stream == sorted(of_stream)


class TestEveryFrame:
    def test_first_come_first_served_and_nothing_dropped(self):
        admission = EveryFrame(max_bytes=1000)
        order = [("a", 0), ("b", 0), ("a", 1), ("a", 2), ("b", 1)]
        assert [admission.put(frame(*name, age_s=3600.0)) for name in order] == [[]] * 5
        assert len(admission) == 5
        assert taken(admission, 5) == order
        assert admission.take(NOW_NS, 0.0) == (None, [])

    def test_full_at_its_bytes_and_no_longer_when_taken(self):
        admission = EveryFrame(max_bytes=100)
        admission.put(frame("a", 0, size=60))
        assert not admission.full
        admission.put(frame("a", 1, size=40))
        assert admission.full
        admission.take(NOW_NS, 0.0)
        assert not admission.full

    def test_a_frame_above_the_bound_still_gets_through(self):
        admission = EveryFrame(max_bytes=100)
        assert admission.put(frame("a", 0, size=500)) == []
        assert admission.full
        assert taken(admission, 1) == [("a", 0)]
        assert not admission.full


@pytest.mark.parametrize("make", [lambda: Live(2, 0.5), lambda: EveryFrame(100)], ids=["live", "every_frame"])
class TestWaiting:
    def test_gives_up_after_the_timeout(self, make):
        started_s = time.monotonic()
        assert make().take(NOW_NS, 0.05) == (None, [])
        assert 0.04 < time.monotonic() - started_s < 5.0

    def test_wakes_for_a_frame(self, make):
        admission = make()
        timer = threading.Timer(0.05, lambda: admission.put(frame("a", 0)))
        timer.start()
        started_s = time.monotonic()
        found, _ = admission.take(NOW_NS, 30.0)
        timer.join()
        assert names([found]) == [("a", 0)]
        assert time.monotonic() - started_s < 10.0
