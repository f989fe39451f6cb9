"""Where the tracked objects will be: one function per way of forecasting, all in `FORECASTERS`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from .tracking import Doubles, TrackerSettings, TrackSet, extrapolate

Forecaster = Callable[[TrackSet, ArrayLike, TrackerSettings], tuple[Doubles, Doubles]]
"""(tracks, horizon_s (T,), settings) -> centres (m, T, 2) px, covariance (m, T, 2, 2) px² of (cx, cy)."""


def constant_velocity(tracks: TrackSet, horizon_s: ArrayLike, settings: TrackerSettings) -> tuple[Doubles, Doubles]:
    """The tracker's own Kalman prediction of each centre, `horizon_s` (T,) seconds after `tracks.time_ns`.

    The covariance is that of the true centre, without the noise of a detection; it is diagonal because the
    filter treats the coordinates apart. Raises ValueError for negative or non-finite horizons.
    """
    ahead_s = np.atleast_1d(np.asarray(horizon_s, np.float64))
    if ahead_s.ndim != 1 or not np.isfinite(ahead_s).all() or (ahead_s < 0).any():
        raise ValueError(f"constant_velocity: expected horizons (T,) of finite seconds >= 0, got {horizon_s!r}")
    mean, covariance = extrapolate(tracks, ahead_s, settings)
    spread = np.zeros((*mean.shape[:2], 2, 2))
    spread[..., 0, 0] = covariance[:, :, 0, 0, 0]
    spread[..., 1, 1] = covariance[:, :, 1, 0, 0]
    return mean[:, :, :2, 0], spread


FORECASTERS: dict[str, Forecaster] = {"constant_velocity": constant_velocity}
