"""Boxes as four distributions over the distances of their sides: NanoDet, YOLOv8 and YOLO11."""

from __future__ import annotations

import numpy as np

from ..manifest import Level
from ..outputs import Floats
from .grids import Locations, corners

SIGNS = np.array([-1, -1, 1, 1], np.float32)


def distance_bins(
    regression: Floats, locations: Locations, level: Level, input_size: tuple[int, int], offset: float = 0.5
) -> Floats:
    """Boxes (m, 4) xyxy px of the input from logits (m, 4 B) of B bins for each of left, top, right, bottom.

    The distance of a side from the location's center is the softmax mean of 0..B-1 over its bins, times the stride
    (Generalized Focal Loss, Li et al. 2020, arXiv:2006.04388, eq. 3 to 6). offset: of the center from the cell's
    upper left corner, in cells.
    """
    bins = regression.reshape(len(regression), 4, regression.shape[1] // 4)
    weights = np.exp(bins - bins.max(axis=2, keepdims=True))
    distance = weights @ np.arange(bins.shape[2], dtype=np.float32) / weights.sum(axis=2)
    center = (corners(locations, level) + np.float32(offset)) * np.float32(level.stride_px)
    boxes: Floats = np.tile(center, 2) + SIGNS * distance * np.float32(level.stride_px)
    return boxes
