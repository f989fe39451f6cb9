"""Boxes as fractions of the picture, one for each query: RT-DETR."""

from __future__ import annotations

import numpy as np

from ..manifest import Level
from ..outputs import Floats
from .grids import Locations, from_center


def queries(regression: Floats, locations: Locations, level: Level, input_size: tuple[int, int]) -> Floats:
    """Boxes (m, 4) xyxy px of the input from (m, 4) center and size in [0, 1] (Zhao et al. 2023, arXiv:2304.08069)."""
    scaled = regression * np.array(input_size * 2, np.float32)
    return from_center(scaled[:, :2], scaled[:, 2:])
