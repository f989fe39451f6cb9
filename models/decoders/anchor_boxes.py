"""Boxes relative to an anchor of a given size: YOLOv5 and YOLOv7."""

from __future__ import annotations

import numpy as np

from ..gradients.head import sigmoid
from ..manifest import Level
from ..outputs import Floats
from .grids import Locations, corners, from_center


def anchor_boxes(regression: Floats, locations: Locations, level: Level, input_size: tuple[int, int]) -> Floats:
    """Boxes (m, 4) xyxy px of the input from logits (m, 4) of x, y, width and height.

    center = (2 s(t) - 0.5 + corner) * stride, size = (2 s(t))^2 * anchor, s the sigmoid (ultralytics/yolov5,
    "Architecture summary", eliminating grid sensitivity).
    """
    if level.anchor_px is None:
        raise ValueError(f"anchor boxes: expected levels with an anchor, got {level}")
    doubled = 2 * sigmoid(regression)
    center = (doubled[:, :2] - 0.5 + corners(locations, level)) * np.float32(level.stride_px)
    return from_center(center, doubled[:, 2:] ** 2 * np.array(level.anchor_px, np.float32))
