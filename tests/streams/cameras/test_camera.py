"""Parts of a live camera that need none; `tests/cameras` has the rest."""

from __future__ import annotations

import numpy as np
import pytest

from gradwatch.streams.cameras.camera import Thinning

S = 1_000_000_000


def kept(rate_hz: float, capture_ns: np.ndarray) -> np.ndarray:
    thinning = Thinning(rate_hz)
    return capture_ns[[thinning.keeps(int(time_ns)) for time_ns in capture_ns]]


@pytest.mark.parametrize(("camera_hz", "rate_hz"), [(30, 10), (30, 7), (25, 10), (15, 15), (15, 14.9), (60, 1)])
def test_the_wished_rate_comes_out_whatever_the_camera_gives_and_however_it_jitters(
    camera_hz: float, rate_hz: float
) -> None:
    jitter = np.random.default_rng(0).normal(0, 0.004 * S, 60 * camera_hz)
    times = (np.arange(60 * camera_hz) * S / camera_hz + jitter).astype(np.int64)
    chosen = kept(rate_hz, times)
    assert len(chosen) / 60 == pytest.approx(rate_hz, rel=0.02)
    assert np.diff(chosen).max() / S < 1 / rate_hz + 1 / camera_hz + 0.02


def test_a_slower_camera_keeps_all_its_frames() -> None:
    times = (np.arange(100) * S / 5).astype(np.int64)
    assert len(kept(10.0, times)) == 100


def test_after_a_pause_nothing_is_made_up_for() -> None:
    times = np.concatenate([np.arange(30), np.arange(300, 330)]) * S // 30
    assert len(kept(10.0, times)) == 20


def test_a_clock_that_is_set_back_stops_nothing() -> None:
    times = np.concatenate([np.arange(30) + 90_000, np.arange(30)]) * S // 30
    assert len(kept(10.0, times)) == 20


@pytest.mark.parametrize("rate_hz", [0.0, -1.0, float("nan")])
def test_a_rate_is_above_zero(rate_hz: float) -> None:
    with pytest.raises(ValueError, match="rate_hz must be above 0"):
        Thinning(rate_hz)
