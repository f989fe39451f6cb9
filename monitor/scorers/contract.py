"""What a scorer is. Values: higher = more anomalous, always; absent where a score does not apply."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from gradwatch.models.outputs import Observation

Array = NDArray[np.float64]
Parameters = dict[str, Array]

PEDESTRIAN_PREFIX = "pedestrian_"  # begins the names of the scores of pedestrians; those of signs are bare


class ClosedForm(msgspec.Struct, frozen=True):
    """One closed form of a frame's crops: a value for each of the k crops that it applies to.

    `values` (k,); `detection_index` (k,) the crop's row among the frame's detections, ascending; `head` (k,) the
    place among the judge's heads of the head that read the crop.
    """

    values: NDArray[np.float32]
    detection_index: NDArray[np.int32]
    head: NDArray[np.int32]


CropScores = dict[str, ClosedForm]
"""The closed forms of a frame's crops by the scores' names; a form that applies to no crop is absent."""


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
