"""What a track leads us to expect of its next crop: the class distribution q of expectancy mismatch.

The mismatch itself is the gradient of the cross-entropy towards q, in closed form (methods.md 2.9); here is
only how q is learned. Small, far crops are read badly, so a crop weighs as much as its area, and q remembers
about the last ten crops of the present size. A track that is sure learns little from what contradicts it, so
that an object that has become another one is noticed for as long as it stays in view.
"""

from __future__ import annotations

import msgspec
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class ExpectationSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When a track has learned enough to be contradicted."""

    min_crops: int = 3  # seen before the track expects anything
    learn_side_px: float = 12.0  # a smaller crop teaches nothing
    judge_side_px: float = 17.0  # a smaller crop contradicts nothing: it is misread more often than swapped
    memory: float = 10.0  # crops of the present size that q remembers
    sure: float = 0.8  # least probability of the expected class: an undecided track expects nothing
    stubborn: float = 0.1  # share of its weight with which a crop teaches a sure track that it contradicts


class Expectations(msgspec.Struct, frozen=True):
    """q of every track with a classified crop: track_id (e,), crops (e,) seen, weight (e,), q (e, C)."""

    track_id: NDArray[np.int64]
    crops: NDArray[np.int64]
    weight: Array
    q: Array

    @classmethod
    def none(cls, classes: int) -> Expectations:
        """No track has been seen yet."""
        return cls(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0), np.empty((0, classes)))


def expected(
    expectations: Expectations, track_id: NDArray[np.int64], side_px: Array, settings: ExpectationSettings
) -> Array:
    """q (k, C) for k crops of tracks `track_id` (k,) and shorter sides `side_px` (k,); NaN rows where none is due."""
    q = np.full((len(track_id), expectations.q.shape[1]), np.nan)
    for row, (track, side) in enumerate(zip(track_id, side_px, strict=True)):
        known = np.flatnonzero(expectations.track_id == track)
        if (
            len(known)
            and side >= settings.judge_side_px
            and _is_sure(int(expectations.crops[known[0]]), expectations.q[known[0]], settings)
        ):
            q[row] = expectations.q[known[0]]
    return q


def learn(
    expectations: Expectations,
    track_id: NDArray[np.int64],
    side_px: Array,
    probability: Array,
    alive: NDArray[np.int64],
    settings: ExpectationSettings,
) -> Expectations:
    """The expectations after k crops with class `probability` (k, C); tracks that are not `alive` are forgotten."""
    known = {
        int(t): (int(c), float(w), q)
        for t, c, w, q in zip(
            expectations.track_id, expectations.crops, expectations.weight, expectations.q, strict=True
        )
        if t in alive
    }
    for track, side, p in zip(track_id, side_px, probability, strict=True):
        if track < 0 or side < settings.learn_side_px:
            continue
        area = float(side) ** 2
        crops, weight, q = known.get(int(track), (0, 0.0, p))
        weight = min(weight, (settings.memory - 1) * area)
        if _is_sure(crops, q, settings):
            area *= max(settings.stubborn, float(np.minimum(p, q).sum()))
        q = q + area / (weight + area) * (p - q)
        known[int(track)] = (crops + 1, weight + area, q)
    if not known:
        return Expectations.none(expectations.q.shape[1])
    return Expectations(
        np.array(list(known), np.int64),
        np.array([c for c, _, _ in known.values()], np.int64),
        np.array([w for _, w, _ in known.values()]),
        np.stack([q for _, _, q in known.values()]),
    )


def _is_sure(crops: int, q: Array, settings: ExpectationSettings) -> bool:
    """Whether a track has seen enough, and the same often enough, to be contradicted."""
    return crops >= settings.min_crops and float(q.max()) >= settings.sure
