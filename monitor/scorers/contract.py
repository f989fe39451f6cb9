"""The contract of a scorer. Values: higher = more anomalous, always; absent where a score does not apply."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from gradwatch.models.outputs import Observation

Array = NDArray[np.float64]
Parameters = dict[str, Array]
Layout = Mapping[str, str]
"""The parameters of a score: by name a letter for each axis, the same for axes of equal length."""
Family = Literal["gradient", "baseline"]  # whether the score uses gradients
Unit = Literal["crop", "frame"]  # what one value is about

PEDESTRIAN_PREFIX = "pedestrian_"  # of the names of pedestrians' scores; those of signs have none


class ClosedForm(msgspec.Struct, frozen=True):
    """One closed form of a frame's crops: a value for each of the k crops that it applies to.

    `values` (k,); `detection_index` (k,) the crop's row among the frame's detections, ascending; `head` (k,) the
    number of the head that read the crop, among the judge's heads.
    """

    values: NDArray[np.float32]
    detection_index: NDArray[np.int32]
    head: NDArray[np.int32]


CropScores = dict[str, ClosedForm]
"""The closed forms of a frame's crops by the scores' names; a form that applies to no crop is absent."""


class Scorer(Protocol):
    """One score of the table."""

    @property
    def family(self) -> Family:
        """Whether the score uses gradients."""

    @property
    def unit(self) -> Unit:
        """What one value is about."""

    @property
    def layout(self) -> Layout:
        """The parameters that `fit` returns, where it returns any."""

    def fit(self, observations: Sequence[Observation], crops: Sequence[CropScores]) -> Parameters:
        """The parameters of the score on clean frames and the crops in them; {} where it has none."""

    def score(self, observation: Observation, crops: CropScores, parameters: Parameters) -> Array:
        """The values (n,) of one frame, one per unit; `crops` are the closed forms of the frame's heads."""
