"""The outputs of the networks for a picture, as plain arrays, without the identity of the frame."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Integers = NDArray[np.int32]
Activation = Literal["softmax", "sigmoid"]
Kind = Literal["sign", "pedestrian"]


@dataclass(frozen=True, slots=True)
class Head:
    """A linear classification head z = W h + b; one for each head_id, not for each frame.

    weight (C, D), bias (C,); `activation`: probability model that the head was trained with; `kind`: of objects that
    it classifies. Several heads may have one kind, such as one for each stride of a detector: their classes are
    equal, in the same order; their weights and the number of their inputs may differ.
    """

    weight: Floats
    bias: Floats
    activation: Activation
    classes: tuple[str, ...]
    kind: Kind = "sign"


@dataclass(frozen=True, slots=True)
class Detections:
    """n boxes: xyxy (n, 4) px of the original picture, score (n,) in [0, 1], class_id (n,) into `KINDS`."""

    xyxy: Floats
    score: Floats
    class_id: Integers

    def __len__(self) -> int:
        return len(self.score)


@dataclass(frozen=True, slots=True)
class HeadOutputs:
    """The outputs of one head for k of the detections.

    detection_index (k,) into the frame's detections, logits (k, C), features (k, D) = the head's inputs,
    layer_grad_norms (k, L), None without a backward pass.
    """

    detection_index: Integers
    logits: Floats
    features: Floats
    layer_grad_norms: Floats | None = None


@dataclass(frozen=True, slots=True)
class Tiles:
    """The auto-encoder's outputs for t tiles of the downscaled frame.

    position (t, 2) = (row, column) of the tile grid, loss (t,) mean squared reconstruction error,
    grad_cosines (t, K) = cosine of the gradient of each decoder layer with its training reference.
    """

    position: Integers
    loss: Floats
    grad_cosines: Floats


@dataclass(frozen=True, slots=True)
class Observation:
    """All outputs for one picture of size (width, height) px."""

    size: tuple[int, int]
    detections: Detections
    heads: dict[str, HeadOutputs]
    tiles: Tiles
    image_statistics: Floats  # (s,), names in models.image_statistics.STATISTICS
    latency_ms: dict[str, float] = field(default_factory=dict)


KINDS: tuple[Kind, ...] = ("sign", "pedestrian")
SIGN, PEDESTRIAN = 0, 1
NO_DETECTIONS = Detections(np.empty((0, 4), np.float32), np.empty(0, np.float32), np.empty(0, np.int32))

# The sign types of CURE-TSD, ids 1 to 14 in this order
# (olivesgatech/CURE-TSD README; several public parsers order them wrongly).
SIGN_CLASSES = (
    "speed_limit",
    "goods_vehicles",
    "no_overtaking",
    "no_stopping",
    "no_parking",
    "stop",
    "bicycle",
    "hump",
    "no_left",
    "no_right",
    "priority_to",
    "no_entry",
    "yield",
    "parking",
)
