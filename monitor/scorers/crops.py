"""Scores of single signs: read off the closed forms of the head's gradient, see `models/gradients/head.py`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from gradwatch.models.outputs import Observation

from .contract import Array, CropScores, Parameters


@dataclass(frozen=True, slots=True)
class CropScore:
    """The closed form `name` of every crop; crops without an expectation have no expectancy scores."""

    name: str
    family: Literal["gradient", "baseline"]
    unit: Literal["crop", "frame"] = "crop"

    def fit(self, observations: Sequence[Observation], crops: Sequence[CropScores]) -> Parameters:
        """Nothing to know: closed forms have no parameters of the stream."""
        return {}

    def score(self, observation: Observation, crops: CropScores, parameters: Parameters) -> Array:
        """The values of the crops for which the score is defined."""
        form = crops.get(self.name)
        return np.empty(0) if form is None else form.values.astype(np.float64)
