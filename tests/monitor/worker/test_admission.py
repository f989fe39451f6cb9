from __future__ import annotations

import threading
import time
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradwatch.monitor.worker.admission import EveryFrame, Live

from ...builders import encoded_frame
from ...waiting import LIMIT_S

NOW_NS = 10**18


def frame(stream, seq, age_s=0.0, size=10):
    return encoded_frame(stream, seq, published_ns=NOW_NS - round(age_s * 1e9), content=b"x" * size)


def names(frames):
    return [(f.stamp.identity.stream_id, f.stamp.identity.seq) for f in frames]


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
            served[live.take(NOW_NS, 0.0)[0].stamp.identity.stream_id] += 1
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

    def test_a_stream_that_had_only_stale_frames_keeps_its_turn(self, live):
        live.put(frame("a", 0, age_s=9.0))
        live.put(frame("b", 0))
        live.put(frame("b", 1))
        assert taken(live, 1) == [("b", 0)]  # a's turn passes by, but is not lost
        live.put(frame("a", 1))
        assert taken(live, 2) == [("a", 1), ("b", 1)]

    def test_a_frame_may_expire_after_it_was_taken(self, live):
        live.put(frame("a", 0, age_s=0.4))
        first, _ = live.take(NOW_NS, 0.0)
        assert not live.expire(first.stamp, NOW_NS + 100_000_000)
        assert live.expire(first.stamp, NOW_NS + 200_000_000)

    def test_a_frame_that_would_be_stale_when_looked_at_is_not_taken(self, live):
        for seq in range(40):  # each waits 0.2 s between taking and looking
            live.put(frame("a", seq))
            live.expire(live.take(NOW_NS, 0.0)[0].stamp, NOW_NS + 200_000_000)
        live.put(frame("a", 40, age_s=0.4))
        live.put(frame("a", 41, age_s=0.2))
        found, stale = live.take(NOW_NS, 0.0)
        assert (names([found]), names(stale)) == ([("a", 41)], [("a", 40)])

    def test_one_long_wait_makes_not_every_later_frame_too_old(self, live):
        live.put(frame("a", 0))
        assert live.expire(live.take(NOW_NS, 0.0)[0].stamp, NOW_NS + 60 * 10**9)
        live.put(frame("a", 1, age_s=0.2))
        assert taken(live, 1) == [("a", 1)]

    @pytest.mark.parametrize("lead", range(4))
    def test_streams_in_step_with_the_networks_share_evenly_what_is_lost_to_age(self, lead):
        """Four streams at 2.5 Hz, 0.2 s a frame and 0.2 s between taking and looking: half is lost, evenly.

        The frames come at the same times in every period, so a turn lost once would be lost for ever.
        """
        live, judged, stale, ahead, now_ns = Live(2, 0.5), Counter(), Counter(), [], NOW_NS
        for step in range(200):
            if step % 2 == 0:
                for stream in range(4):
                    content = encoded_frame(
                        "abcd"[(stream + lead) % 4], step, published_ns=now_ns, offset=step * 4 + stream
                    )
                    stale.update(old.stamp.identity.stream_id for old in live.put(content))
            found, passed = live.take(now_ns, 0.0)
            stale.update(old.stamp.identity.stream_id for old in passed)
            ahead += [found] if found else []
            if len(ahead) == 2:
                looked_at = ahead.pop(0).stamp
                late = live.expire(looked_at, now_ns)
                (stale if late else judged)[looked_at.identity.stream_id] += 1
            now_ns += 200_000_000
        assert sum(judged.values()) > 190
        for counts in (judged, stale):
            assert set(counts) == set("abcd")
            assert max(counts.values()) - min(counts.values()) <= 0.1 * max(counts.values())

    def test_a_clock_ahead_of_ours_makes_nothing_stale(self, live):
        live.put(frame("a", 0, age_s=-30.0))
        assert taken(live, 1) == [("a", 0)]

    def test_a_frame_without_a_date_is_never_stale(self, live):
        undated = encoded_frame("a", 0, published_ns=0)
        live.put(undated)
        assert taken(live, 1) == [("a", 0)]
        assert not live.expire(undated.stamp, NOW_NS)

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

    def test_nothing_expires(self):
        assert not EveryFrame(max_bytes=100).expire(frame("a", 0), NOW_NS + 10**12)

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
        assert 0.04 < time.monotonic() - started_s < LIMIT_S

    def test_wakes_for_a_frame(self, make):
        admission = make()
        timer = threading.Timer(0.05, lambda: admission.put(frame("a", 0)))
        timer.start()
        started_s = time.monotonic()
        found, _ = admission.take(NOW_NS, 600.0)
        timer.join()
        assert names([found]) == [("a", 0)]
        assert time.monotonic() - started_s < LIMIT_S
