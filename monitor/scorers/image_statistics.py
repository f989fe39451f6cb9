"""Mahalanobis distance of plain image statistics: the baseline to beat for darkening and blur."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from gradwatch.models.outputs import Observation

from .contract import Array, CropScores, Family, Layout, Parameters, Unit
from .gaussian import fit_gaussian, mahalanobis


@dataclass(frozen=True, slots=True)
class ImageStatistics:
    """One value a frame: distance of its statistics from the stream's clean frames."""

    family: Family = "baseline"
    unit: Unit = "frame"
    layout: ClassVar[Layout] = {"mean": "s", "whitening": "ss"}

    def fit(self, observations: Sequence[Observation], crops: Sequence[CropScores]) -> Parameters:
        """Gaussian of the statistics of clean frames."""
        return fit_gaussian(np.stack([o.image_statistics for o in observations]).astype(np.float64))

    def score(self, observation: Observation, crops: CropScores, parameters: Parameters) -> Array:
        """(1,) root mean square of the whitened statistics; (0,) where nothing was fitted."""
        if not parameters:
            return np.empty(0)
        return mahalanobis(observation.image_statistics[None].astype(np.float64), parameters)
