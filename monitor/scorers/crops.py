"""Scores of single crops: the closed forms of the heads' gradients, see `models/gradients/head.py`.

Those of signs are taken as they are. A pedestrian detector has a head for each stride, with inputs of its own length
and people of its own size, the small ones read less surely. So a value of 2 is common at one stride and rare at
another: before the crops of all strides share one reference, each is standardized by the clean crops of its own head,
as tiles are by their row of the grid. Median and median absolute deviation, because some of the boxes on clean frames
are no people; both and not the median alone, because energy and the gradient of the uniform label are below zero.
Within a head the order of the values is unchanged.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from gradwatch.models.outputs import Observation

from .contract import Array, CropScores, Family, Layout, Parameters, Unit

MIN_HEAD_CROPS = 20  # heads with fewer clean crops than this are standardized by the crops of all heads
MAD_TO_DEVIATION = 1.4826  # of a Gaussian


@dataclass(frozen=True, slots=True)
class SignScore:
    """The closed form `name` of every sign; crops without an expectation have no expectancy scores."""

    name: str
    family: Family
    unit: Unit = "crop"
    layout: ClassVar[Layout] = {}

    def fit(self, observations: Sequence[Observation], crops: Sequence[CropScores]) -> Parameters:
        """{}: the closed forms have no parameters."""
        return {}

    def score(self, observation: Observation, crops: CropScores, parameters: Parameters) -> Array:
        """The values of the crops that the form applies to."""
        form = crops.get(self.name)
        return np.empty(0) if form is None else form.values.astype(np.float64)


@dataclass(frozen=True, slots=True)
class PedestrianScore:
    """The closed form `name` of every pedestrian, in deviations from the clean ones of the head that read it."""

    name: str
    family: Family
    unit: Unit = "crop"
    layout: ClassVar[Layout] = {"centre": "h", "spread": "h"}

    def fit(self, observations: Sequence[Observation], crops: Sequence[CropScores]) -> Parameters:
        """`centre` and `spread` (heads + 1,) of the clean crops by number of their head, the last ones of all heads.

        {} where all heads together have fewer than MIN_HEAD_CROPS: then the score does not apply to the stream.
        """
        forms = [frame[self.name] for frame in crops if self.name in frame]
        if sum(len(form.values) for form in forms) < MIN_HEAD_CROPS:
            return {}
        values = np.concatenate([form.values for form in forms]).astype(np.float64)
        heads = np.concatenate([form.head for form in forms])
        everywhere = _median_and_deviation(values)
        by_head = [values[heads == number] for number in range(int(heads.max()) + 1)]
        rows = [_median_and_deviation(own) if len(own) >= MIN_HEAD_CROPS else everywhere for own in by_head]
        centre, spread = np.array([*rows, everywhere]).T
        return {"centre": centre, "spread": spread}

    def score(self, observation: Observation, crops: CropScores, parameters: Parameters) -> Array:
        """The values of the crops that the form applies to; none where nothing was fitted."""
        form = crops.get(self.name)
        if form is None or not parameters:
            return np.empty(0)
        row = np.minimum(form.head, len(parameters["centre"]) - 1)
        return np.asarray((form.values - parameters["centre"][row]) / parameters["spread"][row])


def _median_and_deviation(values: Array) -> tuple[float, float]:
    """Median and robust standard deviation, the latter at least 2 % of the median: a picture may stand still."""
    centre = float(np.median(values))
    deviation = MAD_TO_DEVIATION * float(np.median(np.abs(values - centre)))
    return centre, max(deviation, 0.02 * abs(centre), 1e-6)
