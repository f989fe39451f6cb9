"""Boxes as (..., 4) arrays x1 y1 x2 y2 in pixels: area, overlap and non-maximum suppression."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .outputs import Floats, Integers

Boxes = NDArray[np.floating[Any]]


def area(xyxy: Boxes) -> NDArray[Any]:
    """Area in px² of boxes (..., 4) -> (...,); 0 for an inverted box."""
    sides = np.maximum(xyxy[..., 2:] - xyxy[..., :2], 0)
    areas: NDArray[Any] = sides[..., 0] * sides[..., 1]
    return areas


def iou(a: Boxes, b: Boxes) -> NDArray[Any]:
    """Intersection over union of boxes (..., 4), broadcast -> (...,) in [0, 1]; 0 where both are empty."""
    both = np.concatenate([np.maximum(a[..., :2], b[..., :2]), np.minimum(a[..., 2:], b[..., 2:])], axis=-1)
    intersection = area(both)
    union = area(a) + area(b) - intersection
    overlap: NDArray[Any] = np.divide(intersection, union, out=np.zeros_like(intersection), where=union > 0)
    return overlap


def non_max_suppression(xyxy: Floats, score: Floats, class_id: Integers, threshold: float) -> NDArray[np.intp]:
    """Greedy non-maximum suppression within each class: indices of the boxes kept, best score first.

    Of two boxes of a class that overlap by more than `threshold` (IoU) the better is kept, the first if their scores
    are equal. n = 0 is legal.
    """
    order = np.argsort(-score, kind="stable")
    if len(order) < 2:
        return order
    boxes, classes = xyxy[order], class_id[order]
    overlaps = (iou(boxes[:, None], boxes) > threshold) & (classes[:, None] == classes[None, :])
    alive: NDArray[Any] = np.ones(len(order), bool)
    for i in range(len(order) - 1):
        if alive[i]:
            alive[i + 1 :] &= ~overlaps[i, i + 1 :]
    kept: NDArray[np.intp] = order[alive]
    return kept
