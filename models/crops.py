"""Crops of boxes for a classifier, cut in the same way in training and at run time."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from .outputs import Floats

MARGIN = 0.2
SIZE_PX = 32


def crop(image: NDArray[np.uint8], xyxy: Floats, margin: float = MARGIN, size_px: int = SIZE_PX) -> NDArray[np.uint8]:
    """Squares around boxes (n, 4) xyxy px of a picture (H, W, 3) uint8 -> (n, size_px, size_px, 3) uint8.

    The side of a square is the longer side of its box, enlarged by `margin` (0.2 = a tenth on either side). Beyond
    the picture its border is repeated. Pixels are averaged where the square shrinks, else interpolated.
    """
    if xyxy.ndim != 2 or xyxy.shape[1] != 4:
        raise ValueError(f"boxes: expected (n, 4) xyxy px, got {xyxy.shape}")
    crops = np.empty((len(xyxy), size_px, size_px, 3), np.uint8)
    for out, (x1, y1, x2, y2) in zip(crops, xyxy.tolist(), strict=True):
        side = max(x2 - x1, y2 - y1, 1.0) * (1 + margin)
        out[:] = _square(image, (x1 + x2 - side) / 2, (y1 + y2 - side) / 2, side, size_px)
    return crops


def _square(image: NDArray[np.uint8], left: float, top: float, side: float, size_px: int) -> NDArray[np.uint8]:
    """The square at (left, top) px, which may be fractions and outside of the picture."""
    height, width = image.shape[:2]
    x1, y1 = int(np.floor(left)), int(np.floor(top))
    x2, y2 = max(int(np.ceil(left + side)), x1 + 1), max(int(np.ceil(top + side)), y1 + 1)
    patch = image[max(y1, 0) : max(y2, 1), max(x1, 0) : max(x2, 1)]
    before_x, before_y = max(-x1, 0), max(-y1, 0)
    if x1 >= width or y1 >= height or x2 > width or y2 > height or before_x or before_y:
        rows = np.clip(np.arange(y1, y2), 0, height - 1)
        columns = np.clip(np.arange(x1, x2), 0, width - 1)
        patch = image[rows[:, None], columns[None, :]]
    # First reduce by averaging whole pixels where they shrink by more than two: warpAffine alone would alias.
    scale = size_px / side
    if scale < 0.5:
        reduced = max(1, round((x2 - x1) * 2 * scale)), max(1, round((y2 - y1) * 2 * scale))
        fx, fy = reduced[0] / (x2 - x1), reduced[1] / (y2 - y1)
        patch = np.asarray(cv2.resize(patch, reduced, interpolation=cv2.INTER_AREA), np.uint8)
    else:
        fx = fy = 1.0
    # Pixel centers lie at half-integers: out = (in + 0.5) scale - 0.5, relative to the corner of the square.
    sx, sy = scale / fx, scale / fy
    ox, oy = (x1 - left) * scale, (y1 - top) * scale
    matrix = np.array([[sx, 0, ox + 0.5 * sx - 0.5], [0, sy, oy + 0.5 * sy - 0.5]], np.float64)
    warped = cv2.warpAffine(patch, matrix, (size_px, size_px), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(warped, np.uint8)
