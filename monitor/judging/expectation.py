"""Learns the class distribution q that a track leads us to expect of its next crop.

Expectancy mismatch is the gradient of the cross-entropy towards q, in closed form. Small, far crops
are often misread, so a crop is weighted by its area, and q remembers about the last ten crops of the present size. A
track that is sure learns little from what contradicts it, so that an object that turns into another one is noticed
for as long as it stays in view.

The head of a pedestrian detector is a sigmoid: q then has an independent probability for each class, which need not
add up to 1. The mismatch is that of binary cross-entropy (`models/gradients/head.py`); q is learned the same way.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from gradwatch.models.outputs import Kind
from gradwatch.ranges import Share

Array = NDArray[np.float64]

ANY_SIDE_PX = 1.0  # every box that the border does not cut off


SideLength = Annotated[float, Meta(ge=0, le=100_000)]  # px


class ExpectationSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When a track has learned enough to be contradicted."""

    min_crops: Annotated[int, Meta(ge=1, le=10_000)] = 3  # seen before the track expects anything
    learn_side_px: SideLength = 12.0  # a smaller crop teaches nothing
    judge_side_px: SideLength = 17.0  # a smaller crop contradicts nothing: it is misread more often than swapped
    memory: Annotated[float, Meta(ge=1, le=1_000_000)] = 10.0  # crops of the present size that q remembers
    sure: Share = 0.8  # least probability of the expected class: an undecided track expects nothing
    stubborn: Share = 0.1  # share of its weight with which a crop teaches a sure track that it contradicts


def rules_for(kind: Kind, settings: ExpectationSettings) -> ExpectationSettings:
    """The rules for tracks of a kind. `settings` are those of signs; pedestrians differ in two of them.

    Size: one network detects a sign and another one classifies it, which misreads small crops. A pedestrian is
    detected and classified at once, at the stride that fits its size, so every detected box can be read, except one
    that the border cuts off (side 0). Sureness: the softmax of a sign shares 1 among the classes. A sigmoid answers
    one yes-or-no question per class, and includes how well the box fits (Generalized Focal Loss, Li et al. 2020): it
    is sure of a class once yes is likelier than no.
    """
    if kind == "sign":
        return settings
    return msgspec.structs.replace(settings, learn_side_px=ANY_SIDE_PX, judge_side_px=ANY_SIDE_PX, sure=0.5)


class Expectations(msgspec.Struct, frozen=True):
    """What is expected of e tracks: track_id (e,), crops (e,) seen so far, weight (e,), q (e, C)."""

    track_id: NDArray[np.int64]
    crops: NDArray[np.int64]
    weight: Array
    q: Array

    @classmethod
    def none(cls, classes: int) -> Expectations:
        """The expectations before any track was seen."""
        return cls(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0), np.empty((0, classes)))

    def by_track(self) -> dict[int, tuple[int, float, Array]]:
        """(crops, weight, q) by track id."""
        rows = zip(self.track_id.tolist(), self.crops.tolist(), self.weight.tolist(), self.q, strict=True)
        return {track: (crops, weight, q) for track, crops, weight, q in rows}


def expected(
    expectations: Expectations, track_id: NDArray[np.int64], side_px: Array, settings: ExpectationSettings
) -> Array:
    """q (k, C) for k crops of tracks `track_id` (k,) and shorter sides `side_px` (k,).

    The row is NaN where the track expects nothing, or the crop is too small to contradict it.
    """
    q = np.full((len(track_id), expectations.q.shape[1]), np.nan)
    by_track = expectations.by_track()
    for row, (track, side) in enumerate(zip(track_id.tolist(), side_px, strict=True)):
        if side >= settings.judge_side_px and track in by_track:
            crops, _, own = by_track[track]
            if _is_sure(crops, own, settings):
                q[row] = own
    return q


def learn(
    expectations: Expectations,
    track_id: NDArray[np.int64],
    side_px: Array,
    probability: Array,
    alive: NDArray[np.int64],
    settings: ExpectationSettings,
) -> Expectations:
    """The expectations after k crops with class `probability` (k, C); tracks that are not `alive` are dropped."""
    living = set(alive.tolist())
    by_track = {track: known for track, known in expectations.by_track().items() if track in living}
    for track, side, p in zip(track_id, side_px, probability, strict=True):
        if track < 0 or side < settings.learn_side_px:
            continue
        area = float(side) ** 2
        crops, weight, q = by_track.get(int(track), (0, 0.0, p))
        weight = min(weight, (settings.memory - 1) * area)
        if _is_sure(crops, q, settings):
            area *= max(settings.stubborn, float(np.minimum(p, q).sum()))
        q = q + area / (weight + area) * (p - q)
        by_track[int(track)] = (crops + 1, weight + area, q)
    if not by_track:
        return Expectations.none(expectations.q.shape[1])
    return Expectations(
        np.array(list(by_track), np.int64),
        np.array([c for c, _, _ in by_track.values()], np.int64),
        np.array([w for _, w, _ in by_track.values()]),
        np.stack([q for _, _, q in by_track.values()]),
    )


def _is_sure(crops: int, q: Array, settings: ExpectationSettings) -> bool:
    """Whether a track has seen enough crops, and agreeing ones, to be contradicted."""
    return crops >= settings.min_crops and float(q.max()) >= settings.sure
