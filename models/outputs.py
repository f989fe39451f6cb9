"""What the networks say about a picture, as plain arrays. No identity: models don't know streams."""

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
    """A linear classification head z = W h + b; comes once per head_id, not once per frame.

    weight (C, D), bias (C,); `activation` names the probability model that the head was trained with; `kind` what
    it looks at. Several heads may look at one kind, such as one for each stride of a detector: their classes are
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
    """What one head said about k of the detections.

    detection_index (k,) into the frame's detections, logits (k, C), features (k, D) = the head's inputs,
    layer_grad_norms (k, L) or None where no backward pass was run.
    """

    detection_index: Integers
    logits: Floats
    features: Floats
    layer_grad_norms: Floats | None = None


@dataclass(frozen=True, slots=True)
class Tiles:
    """t tiles of the down-scaled frame, looked at by the auto-encoder.

    position (t, 2) = (row, column) of the tile grid, loss (t,) mean squared reconstruction error,
    grad_cosines (t, K) = cosine of the gradient of each decoder layer with its training reference.
    """

    position: Integers
    loss: Floats
    grad_cosines: Floats


@dataclass(frozen=True, slots=True)
class Observation:
    """Everything that the networks found in one picture of size (width, height) px."""

    size: tuple[int, int]
    detections: Detections
    heads: dict[str, HeadOutputs]
    tiles: Tiles
    image_statistics: Floats  # (s,), names in models.image_statistics.STATISTICS
    latency_ms: dict[str, float] = field(default_factory=dict)


KINDS: tuple[Kind, ...] = ("sign", "pedestrian")
SIGN, PEDESTRIAN = 0, 1

# The sign types of CURE-TSD, ids 1 to 14 in this order
# (olivesgatech/CURE-TSD README; several public parsers have them wrong).
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
