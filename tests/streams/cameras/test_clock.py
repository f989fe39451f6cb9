from __future__ import annotations

import numpy as np
import pytest

from gradwatch.streams.cameras.clock import JUMP_S, LATE_S, CaptureClock, CaptureTime, Instant

START_NS = 1_790_000_000_000_000_000
MS, S = 1_000_000, 1_000_000_000


def stream(
    clock: CaptureClock,
    media_ns: np.ndarray,
    late_ns: np.ndarray,
    wall_set_ns: np.ndarray | int = 0,
    start_ns: int = START_NS,
) -> list[CaptureTime]:
    """Pictures taken at `media_ns` that arrive `late_ns` later; the wall clock is wrong by `wall_set_ns`."""
    monotonic = media_ns + late_ns
    walls = start_ns + monotonic + wall_set_ns
    return [
        clock.capture_time(Instant(int(wall), int(came)), int(media) + 77 * S)
        for wall, came, media in zip(np.broadcast_to(walls, monotonic.shape), monotonic, media_ns, strict=True)
    ]


def capture_ns(captured: list[CaptureTime]) -> np.ndarray:
    return np.array([one.capture_ns for one in captured])


def frames(count: int, rate_hz: float = 30.0) -> np.ndarray:
    return (np.arange(count) * S / rate_hz).astype(np.int64)


def test_network_jitter_does_not_reach_capture_times() -> None:
    media = frames(900)
    late = np.random.default_rng(0).exponential(30 * MS, 900).astype(np.int64) + 5 * MS
    captured = capture_ns(stream(CaptureClock(), media, late))
    steps = np.diff(captured[90:]) / MS
    assert abs(steps - 1000 / 30).max() < 10.0  # where a delay is shorter than all before
    assert abs(steps - 1000 / 30).mean() < 0.5
    arrivals = np.diff((media + late)[90:]) / MS
    assert abs(arrivals - 1000 / 30).max() > 100.0  # the network did jitter


def test_no_picture_is_captured_after_its_arrival_nor_long_before() -> None:
    media = frames(900)
    late = np.random.default_rng(1).exponential(30 * MS, 900).astype(np.int64) + 5 * MS
    before = (START_NS + media + late) - capture_ns(stream(CaptureClock(), media, late))
    assert before.min() >= 0
    assert np.percentile(before, 99) < 200 * MS


def test_a_first_burst_of_old_pictures_does_not_delay_the_rest() -> None:
    """Cameras begin with the pictures kept since the last key frame."""
    media = frames(200)
    late = np.maximum(2 * S - media, 10 * MS)
    captured = capture_ns(stream(CaptureClock(), media, late))
    assert abs(captured[100:] - (START_NS + media[100:] + 10 * MS)).max() < 1 * MS


@pytest.mark.parametrize("ppm", [-100.0, 100.0])
def test_a_drifting_clock_is_followed_without_a_jump(ppm: float) -> None:
    true = frames(30 * 600)
    clock = CaptureClock()
    captured = []
    for came in true:
        media = int(came * (1 + ppm * 1e-6))
        captured.append(clock.capture_time(Instant(START_NS + int(came), int(came)), media))
    assert not any(one.jump for one in captured)
    assert abs(capture_ns(captured) - (START_NS + true)).max() < 3 * MS


def test_lost_pictures_are_a_step_not_a_jump() -> None:
    media = np.concatenate([frames(60), frames(60) + 5 * S])
    captured = stream(CaptureClock(), media, np.full(120, 10 * MS))
    assert not any(one.jump for one in captured)
    assert captured[60].step_ns == pytest.approx(5 * S - 59 * S / 30, abs=MS)


def test_a_stall_that_is_caught_up_is_not_a_jump() -> None:
    media = frames(300)
    late = np.where((media > 3 * S) & (media < 5 * S), 5 * S - media, 0) + 10 * MS
    captured = stream(CaptureClock(), media, late)
    assert not any(one.jump for one in captured)
    assert (np.diff(capture_ns(captured)) > 0).all()


@pytest.mark.parametrize("leap_s", [-3600.0, -2.0, 2.0, 3600.0])
def test_a_camera_that_sets_its_clock_is_reported_once_and_followed(leap_s: float) -> None:
    media, clock = frames(120), CaptureClock()
    first = stream(clock, media[:60], np.full(60, 10 * MS))
    second = [
        clock.capture_time(Instant(START_NS + int(m) + 10 * MS, int(m) + 10 * MS), int(m) + 77 * S + round(leap_s * S))
        for m in media[60:]
    ]
    assert [one.jump != "" for one in second] == [True] + [False] * 59
    assert "the camera's clock went" in second[0].jump
    assert second[0].step_ns is None
    steps = np.diff(capture_ns(first + second))
    assert abs(steps - S / 30).max() < 2 * MS


def test_a_camera_that_falls_behind_for_good_is_reported_after_a_while() -> None:
    media = frames(300)
    late = np.where(media > 2 * S, 2 * S, 0) + 10 * MS
    jumps = [i for i, one in enumerate(stream(CaptureClock(), media, late)) if one.jump]
    assert len(jumps) == 1
    assert (media[jumps[0]] - 2 * S) / S == pytest.approx(LATE_S, abs=0.1)


@pytest.mark.parametrize("set_s", [-3600.0, -2.0, 2.0, 3600.0])
def test_a_wall_clock_that_is_set_is_reported_once_and_followed(set_s: float) -> None:
    media = frames(120)
    wall = np.where(media >= media[60], round(set_s * S), 0)
    captured = stream(CaptureClock(), media, np.full(120, 10 * MS), wall)
    assert [one.jump != "" for one in captured] == [False] * 60 + [True] + [False] * 59
    assert f"set by {set_s:+.1f} s" in captured[60].jump
    assert capture_ns(captured)[60:] - (START_NS + media[60:] + wall[60:]) == pytest.approx(10 * MS)


def test_a_slewed_wall_clock_is_not_a_jump() -> None:
    media = frames(120)
    wall = np.where(media >= media[60], round(0.4 * JUMP_S * S), 0)
    captured = stream(CaptureClock(), media, np.full(120, 10 * MS), wall)
    assert not any(one.jump for one in captured)
    assert (np.diff(capture_ns(captured)) > 0).all()


def test_without_a_camera_clock_the_arrival_is_the_capture_time() -> None:
    clock = CaptureClock()
    came = [0, 30 * MS, 30 * MS, 90 * MS]
    captured = [clock.capture_time(Instant(START_NS + t, t), None).capture_ns - START_NS for t in came]
    assert captured == [0, 30 * MS, 30 * MS + 1, 90 * MS]


def test_a_first_picture_without_a_time_does_no_harm() -> None:
    """FFmpeg yields one on RTSP."""
    clock = CaptureClock()
    clock.capture_time(Instant(START_NS, 0), None)
    second = clock.capture_time(Instant(START_NS + 40 * MS, 40 * MS), 3600)
    assert second == CaptureTime(START_NS + 40 * MS, 40 * MS)


def test_a_reconnected_camera_may_begin_anywhere() -> None:
    clock = CaptureClock()
    stream(clock, frames(30), np.full(30, 10 * MS))
    clock.reconnected()
    again = clock.capture_time(Instant(START_NS + 60 * S, 60 * S), 5)
    assert again == CaptureTime(START_NS + 60 * S, None)
