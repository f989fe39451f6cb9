"""The live state keeps its bounds, whatever arrives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gradwatch.monitor.review.feed.live_state import LiveState
from gradwatch.monitor.review.feed.score_ring import MAX_NAMES, MAX_ROWS, ScoreRing
from gradwatch.streams.wire.messages import EncodedFrame, FrameReport

from ....builders import encoded_frame
from ..builders import RAISED_NS, SECOND_NS, make_report


def report(seq: int, run_id: str = "a", **changes: Any) -> FrameReport:
    return make_report(seq, "a", run_id, **{"scores": {"energy": np.float32([1.0])}, "change": {}} | changes)


def frame(stream_id: str, size_bytes: int, published_ns: int = 0) -> EncodedFrame:
    return encoded_frame(stream_id, 0, "a", published_ns=published_ns, content=b"x" * size_bytes, partition=1)


def test_the_camera_silent_longest_goes_when_there_are_too_many() -> None:
    live = LiveState(3, 2**28)
    for name in ("a", "b", "c", "a", "d"):
        live.put_frame(frame(name, 10))
    assert [camera.stream_id for camera in live.cameras()] == ["a", "c", "d"]


def test_bytes_are_bounded_and_given_back() -> None:
    live = LiveState(200, 1_000_000)
    for number in range(100):
        live.put_frame(frame(f"camera-{number}", 100_000))
        assert live.nbytes <= 1_000_000
    assert live.nbytes == sum(camera.nbytes for camera in live.cameras())
    before = live.nbytes
    newest = live.cameras()[0].stream_id
    live.put_frame(frame(newest, 10))
    assert live.nbytes < before


def test_an_older_picture_does_not_replace_a_newer_one() -> None:
    live = LiveState(200, 2**28)
    live.put_frame(frame("a", 10, published_ns=2))
    live.put_frame(frame("a", 20, published_ns=1))
    camera = live.camera("a")
    assert camera is not None
    assert camera.frame is not None
    assert len(camera.frame.content) == 10


def test_a_camera_silent_for_too_long_is_forgotten_with_all_that_is_held_of_it() -> None:
    now_s = [0.0]
    live = LiveState(200, 2**28, forget_after_s=60, clock=lambda: now_s[0])
    for number in range(50):
        live.put_frame(frame(f"camera-{number}", 10_000))
    now_s[0] = 50.0
    live.put_frame(frame("camera-7", 10))
    now_s[0] = 61.0
    live.forget_silent()
    assert [camera.stream_id for camera in live.cameras()] == ["camera-7"]
    assert live.nbytes == sum(camera.nbytes for camera in live.cameras())
    now_s[0] = 111.0
    live.forget_silent()
    assert (live.cameras(), live.nbytes) == ([], 0)


def test_a_removed_camera_comes_back_with_what_is_published_later() -> None:
    live = LiveState(200, 2**28)
    live.put_frame(frame("a", 10, published_ns=7))
    live.put_frame(frame("b", 10, published_ns=7))
    live.forget({"a": 7})
    assert [camera.stream_id for camera in live.cameras()] == ["b"]
    live.put_frame(frame("a", 10, published_ns=7))  # read again after a restart of the reader
    assert live.camera("a") is None
    live.put_frame(frame("a", 10, published_ns=8))
    live.forget({"a": 7})  # read again from the database
    assert live.camera("a") is not None


@pytest.mark.parametrize("interval_ns", [SECOND_NS // 5, SECOND_NS // 30, 0])
def test_a_ring_keeps_ten_minutes_in_a_bounded_size(interval_ns: int) -> None:
    ring = ScoreRing()
    for seq in range(7_000):
        ring.append(report(seq, published_ns=RAISED_NS + seq * interval_ns, change={"energy": float(seq)}))
    series = ring.series()
    span_s = (series.published_ns[-1] - series.published_ns[0]) / 1e9
    assert len(series.seq) <= MAX_ROWS
    assert span_s <= 600
    assert np.all(np.diff(series.seq) > 0)
    assert series.values[-1, series.names.index("energy"), 2] == series.seq[-1]
    if interval_ns == SECOND_NS // 5:
        assert span_s > 590


def test_a_ring_of_many_names_is_bounded_too() -> None:
    ring = ScoreRing()
    for seq in range(100):
        ring.append(report(seq, scores={f"score_{seq}": np.float32([1.0])}))
    assert len(ring.series().names) == MAX_NAMES


def test_a_new_run_begins_a_new_ring() -> None:
    ring = ScoreRing()
    for seq in range(10):
        ring.append(report(seq))
    ring.append(report(0, run_id="b"))
    assert (ring.run_id, ring.series().seq.tolist()) == ("b", [0])


def test_scores_of_a_frame_are_found_or_those_just_before_it() -> None:
    ring = ScoreRing()
    for seq in (1, 2, 9):
        ring.append(report(seq, scores={"energy": np.float32([seq])}))

    def value(seq: int, run_id: str = "a") -> float | None:
        found = ring.at(run_id, seq)
        return None if found is None else found[0]["value"]

    assert [value(2), value(4), value(9), value(0), value(20), value(2, "b")] == [2.0, 2.0, 9.0, None, None, None]
