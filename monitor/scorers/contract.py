"""What a scorer is. Values: higher = more anomalous, always; absent where a score does not apply."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from gradwatch.models.outputs import Observation

Array = NDArray[np.float64]
Parameters = dict[str, Array]
CropScores = dict[str, NDArray[np.float32]]


class Scorer(Protocol):
    """One score of the table.

    `family` says whether gradients are in it or it is a plain baseline; `unit` what one value is about.
    """

    @property
    def family(self) -> Literal["gradient", "baseline"]:
        """Whether gradients are in it."""

    @property
    def unit(self) -> Literal["crop", "frame"]:
        """What one value is about."""

    def fit(self, observations: Sequence[Observation]) -> Parameters:
        """What the score needs to know of clean frames; {} where it needs nothing."""

    def score(self, observation: Observation, crops: CropScores, parameters: Parameters) -> Array:
        """The values of one frame, (n,) by unit; `crops` holds the closed forms of the frame's heads."""
