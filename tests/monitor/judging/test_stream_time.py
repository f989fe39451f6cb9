"""The time by which a stream is judged advances by about one frame a frame, on whatever clock."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import pytest

from gradwatch.monitor.judging.stream_time import StreamTime, advanced

from ...builders import SECOND_NS, frame_stamp

STEP_NS = SECOND_NS // 5
EPOCH_NS = 1_790_000_000 * SECOND_NS
HOUR_NS = 3600 * SECOND_NS
FRAMES = 100


def played(
    captured_ns: Sequence[int], published_ns: Sequence[int], clock: str = "utc", interval_s: float | None = None
) -> list[StreamTime]:
    """The time after each frame."""
    time, times = None, []
    for seq, (capture, published) in enumerate(zip(captured_ns, published_ns, strict=True)):
        stamp = frame_stamp("town", seq, capture_ns=capture, published_ns=published, clock=clock)
        time = advanced(time, stamp, interval_s)
        times.append(time)
    return times


def steps_ns(times: Sequence[StreamTime]) -> list[int]:
    return [after.now_ns - before.now_ns for before, after in pairwise(times)]


def jumps(times: Sequence[StreamTime]) -> list[int]:
    return [seq for seq, time in enumerate(times) if time.jump]


PACED = [EPOCH_NS + seq * STEP_NS for seq in range(FRAMES)]
AT_ONCE = [EPOCH_NS + seq * 3_000_000 for seq in range(FRAMES)]


def test_a_good_clock_is_followed_exactly_at_any_pace() -> None:
    captured = [EPOCH_NS + seq * STEP_NS + (seq % 3) * 5_000_000 for seq in range(FRAMES)]
    for published in (PACED, AT_ONCE, [0] * FRAMES, [EPOCH_NS] * FRAMES, list(reversed(PACED))):
        for clock in ("utc", "media"):
            times = played(captured, published, clock)
            assert [time.now_ns for time in times] == [capture - EPOCH_NS for capture in captured]
            assert jumps(times) == []
            assert not any(time.has_stopped for time in times)


def test_a_camera_that_was_away_is_no_leap() -> None:
    away = [time + (seq >= 50) * HOUR_NS for seq, time in enumerate(PACED)]
    times = played(away, [time + 7 for time in away])
    assert jumps(times) == []
    assert steps_ns(times)[49] == HOUR_NS + STEP_NS


@pytest.mark.parametrize("published", [PACED, AT_ONCE, [0] * FRAMES], ids=["paced", "at once", "undated"])
@pytest.mark.parametrize("clock", ["utc", "media"])
def test_leaps_and_steps_back_are_told_and_cost_nothing(clock: str, published: list[int]) -> None:
    captured = [time + (seq == 20) * HOUR_NS - (seq >= 50) * HOUR_NS for seq, time in enumerate(PACED)]
    times = played(captured, published, clock)
    assert jumps(times) == [20, 21, 50]
    assert [seq for seq, time in enumerate(times) if time.is_cut] == [20, 21, 50]
    if published is not AT_ONCE or clock == "media":
        assert steps_ns(times) == [STEP_NS] * (FRAMES - 1)


@pytest.mark.parametrize("published", [PACED, AT_ONCE, [0] * FRAMES], ids=["paced", "at once", "undated"])
@pytest.mark.parametrize("unit_ns", [SECOND_NS, 1_000_000, 1_000, None], ids=["s", "ms", "µs", "constant"])
def test_a_clock_in_another_unit_stands_still_and_the_calibrated_interval_stands_in(
    unit_ns: int | None, published: list[int]
) -> None:
    captured = [time // unit_ns if unit_ns else 5 for time in PACED]
    times = played(captured, published, interval_s=STEP_NS / SECOND_NS)
    assert [time.has_stopped for time in times] == [seq >= 5 for seq in range(FRAMES)]
    assert steps_ns(times) == [STEP_NS] * (FRAMES - 1)


def test_whole_seconds_have_stopped_once_and_for_all() -> None:
    times = played([time // SECOND_NS * SECOND_NS for time in PACED], PACED)
    stopped = [time.has_stopped for time in times]
    assert stopped == sorted(stopped)
    assert stopped[20]
    assert jumps(times) == []
    assert set(steps_ns(times)[20:]) == {STEP_NS}


def test_a_clock_that_goes_on_is_believed_again_after_a_while() -> None:
    captured = [EPOCH_NS + max(0, seq - 30) * STEP_NS for seq in range(FRAMES)]
    stopped = [time.has_stopped for time in played(captured, PACED)]
    assert stopped == [5 <= seq < 50 for seq in range(FRAMES)]


@pytest.mark.parametrize("captured", [lambda seq: (seq * 7919 % 100) * 2**56, lambda seq: 2**63 - 1 - seq])
def test_time_always_advances_and_stays_within_64_bits(captured: Callable[[int], int]) -> None:
    for published in (PACED, [2**62 * (seq % 2) for seq in range(FRAMES)]):
        times = played([captured(seq) for seq in range(FRAMES)], published)
        assert min(steps_ns(times)) > 0
        assert times[-1].now_ns < 2**60


def test_a_time_lapse_that_is_read_at_once_is_doubted_at_its_first_step_alone() -> None:
    times = played([seq * 60 * SECOND_NS for seq in range(FRAMES)], AT_ONCE, "media")
    assert jumps(times) == [1]
    assert set(steps_ns(times)[1:]) == {60 * SECOND_NS}


def test_a_live_clock_that_runs_a_thousand_times_too_fast_leaps_with_each_frame() -> None:
    times = played([time * 1000 % 2**62 for time in PACED], PACED, interval_s=STEP_NS / SECOND_NS)
    assert len(jumps(times)) == FRAMES - 1
