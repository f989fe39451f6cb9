"""Parts of a live camera that need no camera; `tests/live_cameras` has the rest."""

from __future__ import annotations

import numpy as np
import pytest

from gradwatch.streams.cameras.camera import RateLimiter

S = 1_000_000_000


def kept(rate_hz: float, capture_ns: np.ndarray) -> np.ndarray:
    limiter = RateLimiter(rate_hz)
    return capture_ns[[limiter.admits(int(time_ns)) for time_ns in capture_ns]]


@pytest.mark.parametrize(("camera_hz", "rate_hz"), [(30, 10), (30, 7), (25, 10), (15, 15), (15, 14.9), (60, 1)])
def test_the_rate_is_kept_for_any_camera_rate_and_jitter(camera_hz: float, rate_hz: float) -> None:
    jitter = np.random.default_rng(0).normal(0, 0.004 * S, 60 * camera_hz)
    times = (np.arange(60 * camera_hz) * S / camera_hz + jitter).astype(np.int64)
    chosen = kept(rate_hz, times)
    assert len(chosen) / 60 == pytest.approx(rate_hz, rel=0.02)
    assert np.diff(chosen).max() / S < 1 / rate_hz + 1 / camera_hz + 0.02


def test_a_slower_camera_keeps_all_its_frames() -> None:
    times = (np.arange(100) * S / 5).astype(np.int64)
    assert len(kept(10.0, times)) == 100


def test_a_pause_is_not_made_up_for() -> None:
    times = np.concatenate([np.arange(30), np.arange(300, 330)]) * S // 30
    assert len(kept(10.0, times)) == 20


def test_a_clock_set_back_does_not_stop_the_frames() -> None:
    times = np.concatenate([np.arange(30) + 90_000, np.arange(30)]) * S // 30
    assert len(kept(10.0, times)) == 20


@pytest.mark.parametrize("rate_hz", [0.0, -1.0, float("nan")])
def test_a_rate_must_be_above_zero(rate_hz: float) -> None:
    with pytest.raises(ValueError, match="rate_hz must be above 0"):
        RateLimiter(rate_hz)
