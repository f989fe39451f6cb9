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
"""The closed forms of a frame's crops by the scores' names, each (k,) in the order of the detections; NaN where a
form does not apply to a crop. `PEDESTRIAN_HEAD` says which head read each pedestrian."""

PEDESTRIAN_PREFIX = "pedestrian_"  # begins the names of the scores of pedestrians; those of signs are bare
PEDESTRIAN_HEAD = "pedestrian_head"  # (k,) the place of a crop's head among the judge's heads


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

    def fit(self, observations: Sequence[Observation], crops: Sequence[CropScores]) -> Parameters:
        """What the score needs to know of clean frames and of the crops in them; {} where it needs nothing."""

    def score(self, observation: Observation, crops: CropScores, parameters: Parameters) -> Array:
        """The values of one frame, (n,) by unit; `crops` holds the closed forms of the frame's heads."""
