"""Corners of grid cells, and boxes from center and size."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..manifest import Level
from ..outputs import Floats

Locations = NDArray[np.int64]


def corners(locations: Locations, level: Level) -> Floats:
    """Upper left corners (m, 2) = (x, y), in cells, of locations (m,) numbered row by row."""
    row, column = np.divmod(locations, level.columns)
    return np.stack([column, row], axis=1).astype(np.float32)


def from_center(center: Floats, size: Floats) -> Floats:
    """Boxes (m, 4) xyxy from centers (m, 2) and sizes (m, 2)."""
    half = size / 2
    return np.concatenate([center - half, center + half], axis=1)
