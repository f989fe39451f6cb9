"""The live state keeps its bounds, whatever comes."""

from __future__ import annotations

import numpy as np
import pytest

from gradwatch.monitor.review.feed.live import LiveState
from gradwatch.monitor.review.feed.score_ring import MAX_NAMES, MAX_ROWS, ScoreRing
from gradwatch.streams.wire.messages import EncodedFrame, FrameIdentity, FrameReport, Outcome, StreamState

from ....builders import encoded_frame

SECOND_NS = 1_000_000_000
START_NS = 1_790_000_000 * SECOND_NS


def report(
    stream_id: str, seq: int, interval_ns: int = SECOND_NS // 5, run_id: str = "a", **scores: float
) -> FrameReport:
    return FrameReport(
        identity=FrameIdentity(stream_id, run_id, seq),
        partition=seq % 3,
        offset=seq,
        capture_ns=seq,
        published_ns=START_NS + seq * interval_ns,
        clock="utc",
        outcome=Outcome.JUDGED,
        state=StreamState.WATCHING,
        scores={name: np.float32([value]) for name, value in (scores or {"energy": 1.0}).items()},
        change={"energy": float(seq)},
    )


def frame(stream_id: str, size_bytes: int, published_ns: int = 0) -> EncodedFrame:
    return encoded_frame(stream_id, 0, "a", published_ns=published_ns, content=b"x" * size_bytes, partition=1)


def test_the_camera_silent_longest_goes_when_there_are_too_many() -> None:
    live = LiveState(max_cameras=3)
    for name in ("a", "b", "c", "a", "d"):
        live.take_frame(frame(name, 10))
    assert [camera.stream_id for camera in live.cameras()] == ["a", "c", "d"]


def test_bytes_are_bounded_and_given_back() -> None:
    live = LiveState(max_bytes=1_000_000)
    for number in range(100):
        live.take_frame(frame(f"camera-{number}", 100_000))
        assert live.nbytes <= 1_000_000
    assert live.nbytes == sum(camera.nbytes for camera in live.cameras())
    before = live.nbytes
    newest = live.cameras()[0].stream_id
    live.take_frame(frame(newest, 10))
    assert live.nbytes < before


def test_an_older_picture_does_not_replace_a_newer_one() -> None:
    live = LiveState()
    live.take_frame(frame("a", 10, published_ns=2))
    live.take_frame(frame("a", 20, published_ns=1))
    camera = live.camera("a")
    assert camera is not None
    assert camera.frame is not None
    assert len(camera.frame.content) == 10


@pytest.mark.parametrize("interval_ns", [SECOND_NS // 5, SECOND_NS // 30, 0])
def test_a_ring_keeps_ten_minutes_in_a_bounded_size(interval_ns: int) -> None:
    ring = ScoreRing()
    for seq in range(7_000):
        ring.append(report("a", seq, interval_ns))
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
        ring.append(report("a", seq, **{f"score_{seq}": 1.0}))
    assert len(ring.series().names) == MAX_NAMES


def test_a_new_run_begins_a_new_ring() -> None:
    ring = ScoreRing()
    for seq in range(10):
        ring.append(report("a", seq))
    ring.append(report("a", 0, run_id="b"))
    assert (ring.run_id, ring.series().seq.tolist()) == ("b", [0])


def test_scores_of_a_frame_are_found_or_those_just_before_it() -> None:
    ring = ScoreRing()
    for seq in (1, 2, 9):
        ring.append(report("a", seq, energy=float(seq)))

    def value(seq: int, run_id: str = "a") -> float | None:
        found = ring.at(run_id, seq)
        return None if found is None else found[0]["value"]

    assert [value(2), value(4), value(9), value(0), value(20), value(2, "b")] == [2.0, 2.0, 9.0, None, None, None]
