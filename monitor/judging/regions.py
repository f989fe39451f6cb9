"""Discs that shall hold an object's future centre, and a ledger of how often they did."""

from __future__ import annotations

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from gradwatch.streams.wire.messages import ReportedForecasts

from .tracking import NS_PER_S, Doubles, Integers, Times, TrackSet

LEDGER_CAPACITY = 2048  # forecasts remembered at a time; about 100 kB of state at most


class Regions(Struct, frozen=True, eq=False):
    """Discs of m tracks at T horizons: `horizon_s` (T,), `mean` (m, T, 2) px, `radius` (m, T) px."""

    horizon_s: Doubles
    mean: Doubles
    radius: Doubles


class CoverageLedger(Struct, frozen=True, eq=False):
    """Forecasts not yet due (k of them, k <= `LEDGER_CAPACITY`) and the tally of those that were.

    `pending_id` (k,), `due_ns` (k,), `mean` (k, 2) px, `radius` (k,) px; `last_id` (j,), `last_ns` (j,),
    `last_center` (j, 2) px hold where each living track was last seen, to interpolate across gaps.
    `checked` forecasts met their object, `hit` of them inside the disc; `lost` ones outlived their track
    and `skipped` ones found the ledger full: neither says anything about coverage.
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
        """Share of checked discs that held their object's centre; NaN before the first check."""
        return self.hit / self.checked if self.checked else float("nan")


def empty_ledger() -> CoverageLedger:
    """A ledger that has seen nothing."""
    ids, points = np.empty(0, np.int64), np.empty((0, 2))
    return CoverageLedger(
        pending_id=ids, due_ns=ids, mean=points, radius=np.empty(0), last_id=ids, last_ns=ids, last_center=points
    )


def radius(covariance: Doubles, coverage: float) -> Doubles:
    """Radius (m, T) px of the disc that holds a 2-D Gaussian of `covariance` (m, T, 2, 2) px² at least so often.

    r = sqrt(λ χ²) with λ the largest eigenvalue and χ² = -2 ln(1 - coverage), the quantile at two degrees of
    freedom. A disc and not the ellipse: one number a forecast that can be drawn, checked and later rescaled
    by what was observed; it contains the ellipse, so it errs on the side of covering too much, and it is
    exact for the equal variances of our filter. Raises ValueError unless 0 < coverage < 1.
    """
    if not 0 < coverage < 1:
        raise ValueError(f"radius: expected a coverage between 0 and 1, got {coverage}")
    a, d = covariance[..., 0, 0], covariance[..., 1, 1]
    b = (covariance[..., 0, 1] + covariance[..., 1, 0]) / 2
    largest = (a + d) / 2 + np.hypot((a - d) / 2, b)
    return np.asarray(np.sqrt(np.maximum(largest, 0.0) * -2 * np.log1p(-coverage)))


def update(ledger: CoverageLedger, tracks: TrackSet, detection_index: Integers, regions: Regions) -> CoverageLedger:
    """Checks what fell due by `tracks.time_ns`, then remembers `regions`, whose rows are those of `tracks`.

    A forecast is checked at the first sighting at or after its due time, against the filtered centre (not
    the raw detection) interpolated linearly between the sightings around that time. A frame whose regions do
    not all fit is skipped whole, so that long horizons are not dropped more often than short ones.
    """
    if regions.mean.shape[:1] != (len(tracks),) or len(detection_index) != len(tracks):
        raise ValueError(
            f"update: expected regions and detection indices of {len(tracks)} tracks, "
            f"got {regions.mean.shape[0]} and {len(detection_index)}"
        )
    seen = np.asarray(detection_index) >= 0
    center = tracks.mean[:, :2, 0]
    settled, inside = _settle(ledger, tracks, seen, center)
    gone = ~settled & ~np.isin(ledger.pending_id, tracks.track_id)
    keep = ~settled & ~gone

    # Where each living track was last seen; one never seen since the ledger began has no entry.
    known = np.isin(ledger.last_id, tracks.track_id[~seen])
    last_id = np.concatenate([ledger.last_id[known], tracks.track_id[seen]])
    last_ns = np.concatenate([ledger.last_ns[known], np.full(seen.sum(), tracks.time_ns, np.int64)])
    last_center = np.concatenate([ledger.last_center[known], center[seen]])

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
        checked=ledger.checked + int(settled.sum()),
        hit=ledger.hit + int(inside.sum()),
        lost=ledger.lost + int(gone.sum()),
        skipped=ledger.skipped + (0 if fits else regions.radius.size),
    )


def report_forecasts(regions: Regions, coverage: float, ledger: CoverageLedger) -> ReportedForecasts:
    """The regions as they cross the wire, with the coverage asked and the coverage that past ones achieved."""
    return ReportedForecasts(
        horizon_s=regions.horizon_s.astype(np.float32),
        mean=regions.mean.astype(np.float32),
        radius=regions.radius.astype(np.float32),
        coverage_asked=coverage,
        coverage_achieved=ledger.coverage_achieved,
        checked=ledger.checked,
    )


def _settle(
    ledger: CoverageLedger, tracks: TrackSet, seen: NDArray[np.bool_], center: Doubles
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which pending forecasts (k,) can be checked now, and which of those held their object."""
    row = _positions(tracks.track_id[seen], ledger.pending_id)
    last = _positions(ledger.last_id, ledger.pending_id)
    settled = (row >= 0) & (last >= 0) & (ledger.due_ns <= tracks.time_ns)
    inside = np.zeros(len(settled), np.bool_)
    now, before = center[seen][row[settled]], ledger.last_center[last[settled]]
    span_ns = np.maximum(tracks.time_ns - ledger.last_ns[last[settled]], 1)
    share = np.clip((tracks.time_ns - ledger.due_ns[settled]) / span_ns, 0.0, 1.0)[:, None]
    offset = now + share * (before - now) - ledger.mean[settled]
    inside[settled] = np.hypot(offset[:, 0], offset[:, 1]) <= ledger.radius[settled]
    return settled, inside


def _positions(ids: Times, wanted: Times) -> NDArray[np.intp]:
    """For each of `wanted` (k,) its position in `ids`, -1 where it is not there."""
    if len(ids) == 0:
        return np.full(len(wanted), -1, np.intp)
    order = np.argsort(ids)
    found = order[np.minimum(np.searchsorted(ids, wanted, sorter=order), len(ids) - 1)]
    return np.where(ids[found] == wanted, found, -1)
