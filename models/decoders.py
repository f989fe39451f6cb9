"""Decoders from a detector's regression outputs to boxes; one table, `DECODERS`.

A decoder takes regression (m, R), locations (m,) int64 numbered row by row, their level and the input's size (width,
height) px, and returns boxes (m, 4) xyxy px of the input. m = 0 is legal. Decoders are pure numpy; they must never
know a session, a graph or a picture.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray

from .gradients.head import sigmoid
from .manifest import Level
from .outputs import Floats

Locations = NDArray[np.int64]
Decoder = Callable[[Floats, Locations, Level, tuple[int, int]], Floats]

LARGEST_EXPONENT = 20.0  # e^20 strides are far beyond any picture; larger ones would overflow
SIGNS = np.array([-1, -1, 1, 1], np.float32)


def anchor_boxes(regression: Floats, locations: Locations, level: Level, input_size: tuple[int, int]) -> Floats:
    """Boxes relative to an anchor of a given size, from logits (m, 4) of x, y, width and height: YOLOv5 and YOLOv7.

    center = (2 s(t) - 0.5 + corner) * stride, size = (2 s(t))^2 * anchor, s the sigmoid (ultralytics/yolov5,
    "Architecture summary", eliminating grid sensitivity).
    """
    if level.anchor_px is None:
        raise ValueError(f"anchor boxes: expected levels with an anchor, got {level}")
    doubled = 2 * sigmoid(regression)
    center = (doubled[:, :2] - 0.5 + _corners(locations, level)) * np.float32(level.stride_px)
    return _from_center(center, doubled[:, 2:] ** 2 * np.array(level.anchor_px, np.float32))


def center_offsets(regression: Floats, locations: Locations, level: Level, input_size: tuple[int, int]) -> Floats:
    """Boxes from (m, 4) offsets and logarithms of sizes: center = (t + corner) * stride, size = exp(t) * stride.

    YOLOX: Ge et al. 2021, arXiv:2107.08430; formulas as in its code, `YOLOXHead.decode_outputs`.
    """
    stride = np.float32(level.stride_px)
    size = np.exp(np.minimum(regression[:, 2:], LARGEST_EXPONENT)) * stride
    return _from_center((regression[:, :2] + _corners(locations, level)) * stride, size)


def distance_bins(
    regression: Floats, locations: Locations, level: Level, input_size: tuple[int, int], offset: float = 0.5
) -> Floats:
    """Boxes from logits (m, 4 B) of B bins for each of left, top, right, bottom: NanoDet, YOLOv8 and YOLO11.

    The distance of a side from the location's center is the softmax mean of 0..B-1 over its bins, times the stride
    (Generalized Focal Loss, Li et al. 2020, arXiv:2006.04388, eq. 3 to 6). offset: of the center from the cell's
    upper left corner, in cells.
    """
    bins = regression.reshape(len(regression), 4, regression.shape[1] // 4)
    weights = np.exp(bins - bins.max(axis=2, keepdims=True))
    distance = weights @ np.arange(bins.shape[2], dtype=np.float32) / weights.sum(axis=2)
    center = (_corners(locations, level) + np.float32(offset)) * np.float32(level.stride_px)
    boxes: Floats = np.tile(center, 2) + SIGNS * distance * np.float32(level.stride_px)
    return boxes


def queries(regression: Floats, locations: Locations, level: Level, input_size: tuple[int, int]) -> Floats:
    """Boxes from (m, 4) center and size in [0, 1] of the input: RT-DETR (Zhao et al. 2023, arXiv:2304.08069)."""
    scaled = regression * np.array(input_size * 2, np.float32)
    return _from_center(scaled[:, :2], scaled[:, 2:])


DECODERS: dict[str, Decoder] = {
    "anchor_boxes": anchor_boxes,
    "center_offsets": center_offsets,
    "distance_bins": distance_bins,
    "distance_bins_at_corners": partial(distance_bins, offset=0.0),  # NanoDet-Plus
    "queries": queries,
}


def _corners(locations: Locations, level: Level) -> Floats:
    """Upper left corners (m, 2) = (x, y), in cells, of locations (m,) numbered row by row."""
    row, column = np.divmod(locations, level.columns)
    return np.stack([column, row], axis=1).astype(np.float32)


def _from_center(center: Floats, size: Floats) -> Floats:
    """Boxes (m, 4) xyxy from centers (m, 2) and sizes (m, 2)."""
    half = size / 2
    return np.concatenate([center - half, center + half], axis=1)
