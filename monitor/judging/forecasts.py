"""Forecasts of tracked objects: predicted centers, discs around them, and how often the discs held the true center.

One function per method of forecasting, all in `FORECASTERS`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from msgspec import Struct
from numpy.typing import ArrayLike, NDArray

from .tracking import NS_PER_S, Doubles, Integers, Times, TrackerSettings, TrackSet, extrapolate

LEDGER_CAPACITY = 2048  # pending forecasts; about 100 kB of state at most

Forecaster = Callable[[TrackSet, ArrayLike, TrackerSettings], tuple[Doubles, Doubles]]
"""(tracks, horizon_s (T,), settings) -> centers (m, T, 2) px, covariance (m, T, 2, 2) px² of (cx, cy)."""


def constant_velocity(tracks: TrackSet, horizon_s: ArrayLike, settings: TrackerSettings) -> tuple[Doubles, Doubles]:
    """The tracker's own Kalman prediction of each center, `horizon_s` (T,) seconds after `tracks.time_ns`.

    The covariance is that of the true center, without the noise of a detection; it is diagonal because the
    filter treats the coordinates apart. Raises ValueError for negative or non-finite horizons.
    """
    ahead_s = np.atleast_1d(np.asarray(horizon_s, np.float64))
    if ahead_s.ndim != 1 or not np.isfinite(ahead_s).all() or (ahead_s < 0).any():
        raise ValueError(f"constant_velocity: expected horizons (T,) of finite seconds >= 0, got {horizon_s!r}")
    mean, covariance = extrapolate(tracks, ahead_s, settings)
    center_covariance = np.zeros((*mean.shape[:2], 2, 2))
    center_covariance[..., 0, 0] = covariance[:, :, 0, 0, 0]
    center_covariance[..., 1, 1] = covariance[:, :, 1, 0, 0]
    return mean[:, :, :2, 0], center_covariance


FORECASTERS: dict[str, Forecaster] = {"constant_velocity": constant_velocity}


class Regions(Struct, frozen=True, eq=False):
    """Discs of m tracks at T horizons: `horizon_s` (T,), `mean` (m, T, 2) px, `radius` (m, T) px."""

    horizon_s: Doubles
    mean: Doubles
    radius: Doubles


class CoverageLedger(Struct, frozen=True, eq=False):
    """Forecasts not yet due (k of them, k <= `LEDGER_CAPACITY`) and the counts of those that were.

    `pending_id` (k,), `due_ns` (k,), `mean` (k, 2) px, `radius` (k,) px; `last_id` (j,), `last_ns` (j,),
    `last_center` (j, 2) px hold where each living track was last seen, to interpolate across gaps.
    Of the `checked` forecasts, `hit` contained the object. `lost` ones outlived their track and `skipped` ones
    found the ledger full: neither counts for coverage.
    """

    pending_id: Times
    due_ns: Times
    mean: Doubles
    radius: Doubles
    last_id: Times
    last_ns: Times
    last_center: Doubles
    checked: int = 0
    hit: int = 0
    lost: int = 0
    skipped: int = 0

    @property
    def coverage_achieved(self) -> float:
        """Share of checked discs that contained their object's center; NaN before the first check."""
        return self.hit / self.checked if self.checked else float("nan")


def empty_ledger() -> CoverageLedger:
    """The ledger of a run that has no frames yet."""
    ids, points = np.empty(0, np.int64), np.empty((0, 2))
    return CoverageLedger(
        pending_id=ids, due_ns=ids, mean=points, radius=np.empty(0), last_id=ids, last_ns=ids, last_center=points
    )


def disc_radius(covariance: Doubles, coverage: float) -> Doubles:
    """Radius (m, T) px of a disc that holds a 2-D Gaussian of `covariance` (m, T, 2, 2) px² at least so often.

    r = sqrt(λ χ²) with λ the largest eigenvalue and χ² = -2 ln(1 - coverage), the quantile at two degrees of
    freedom. A disc is one number per forecast, which can be drawn, checked and later rescaled by what was observed.
    It contains the ellipse, so it errs on the side of covering too much; it is exact for the equal variances of our
    filter. Raises ValueError unless 0 < coverage < 1.
    """
    if not 0 < coverage < 1:
        raise ValueError(f"disc_radius: expected a coverage between 0 and 1, got {coverage}")
    a, d = covariance[..., 0, 0], covariance[..., 1, 1]
    b = (covariance[..., 0, 1] + covariance[..., 1, 0]) / 2
    largest = (a + d) / 2 + np.hypot((a - d) / 2, b)
    return np.asarray(np.sqrt(np.maximum(largest, 0.0) * -2 * np.log1p(-coverage)))


def update_ledger(
    ledger: CoverageLedger, tracks: TrackSet, detection_index: Integers, regions: Regions
) -> CoverageLedger:
    """Checks the forecasts that fell due by `tracks.time_ns`, then adds `regions`, whose rows are those of `tracks`.

    A forecast is checked at the first sighting at or after its due time, against the filtered center (not
    the raw detection) interpolated linearly between the sightings around that time. A frame whose regions do
    not all fit is skipped whole, so that long horizons are not dropped more often than short ones.
    """
    if regions.mean.shape[:1] != (len(tracks),) or len(detection_index) != len(tracks):
        raise ValueError(
            f"update_ledger: expected regions and detection indices of {len(tracks)} tracks, "
            f"got {regions.mean.shape[0]} and {len(detection_index)}"
        )
    seen = np.asarray(detection_index) >= 0
    center = tracks.mean[:, :2, 0]
    checked, hit = _check_due(ledger, tracks, seen, center)
    lost = ~checked & ~np.isin(ledger.pending_id, tracks.track_id)
    keep = ~checked & ~lost

    # Where each living track was last seen; one never seen since the ledger began has no entry.
    unseen = np.isin(ledger.last_id, tracks.track_id[~seen])
    last_id = np.concatenate([ledger.last_id[unseen], tracks.track_id[seen]])
    last_ns = np.concatenate([ledger.last_ns[unseen], np.full(seen.sum(), tracks.time_ns, np.int64)])
    last_center = np.concatenate([ledger.last_center[unseen], center[seen]])

    fits = keep.sum() + regions.radius.size <= LEDGER_CAPACITY
    horizons = len(regions.horizon_s) if fits else 0
    due_ns = tracks.time_ns + np.round(regions.horizon_s[:horizons] * NS_PER_S).astype(np.int64)
    return CoverageLedger(
        pending_id=np.concatenate([ledger.pending_id[keep], np.repeat(tracks.track_id, horizons)]),
        due_ns=np.concatenate([ledger.due_ns[keep], np.tile(due_ns, len(tracks))]),
        mean=np.concatenate([ledger.mean[keep], regions.mean[:, :horizons].reshape(-1, 2)]),
        radius=np.concatenate([ledger.radius[keep], regions.radius[:, :horizons].reshape(-1)]),
        last_id=last_id,
        last_ns=last_ns,
        last_center=last_center,
        checked=ledger.checked + int(checked.sum()),
        hit=ledger.hit + int(hit.sum()),
        lost=ledger.lost + int(lost.sum()),
        skipped=ledger.skipped + (0 if fits else regions.radius.size),
    )


def _check_due(
    ledger: CoverageLedger, tracks: TrackSet, seen: NDArray[np.bool_], center: Doubles
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Masks (k,) of the pending forecasts that can be checked now, and of those whose disc contained the object."""
    row = _positions(tracks.track_id[seen], ledger.pending_id)
    last = _positions(ledger.last_id, ledger.pending_id)
    checked = (row >= 0) & (last >= 0) & (ledger.due_ns <= tracks.time_ns)
    hit = np.zeros(len(checked), np.bool_)
    now, before = center[seen][row[checked]], ledger.last_center[last[checked]]
    span_ns = np.maximum(tracks.time_ns - ledger.last_ns[last[checked]], 1)
    share = np.clip((tracks.time_ns - ledger.due_ns[checked]) / span_ns, 0.0, 1.0)[:, None]
    offset = now + share * (before - now) - ledger.mean[checked]
    hit[checked] = np.hypot(offset[:, 0], offset[:, 1]) <= ledger.radius[checked]
    return checked, hit


def _positions(ids: Times, wanted: Times) -> NDArray[np.intp]:
    """The position (k,) in `ids` of each of `wanted` (k,), -1 where it is absent."""
    if len(ids) == 0:
        return np.full(len(wanted), -1, np.intp)
    order = np.argsort(ids)
    found = order[np.minimum(np.searchsorted(ids, wanted, sorter=order), len(ids) - 1)]
    return np.where(ids[found] == wanted, found, -1)
