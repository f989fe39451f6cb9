"""Boxes as an offset from the cell and the logarithm of the size: YOLOX."""

from __future__ import annotations

import numpy as np

from ..manifest import Level
from ..outputs import Floats
from .grids import Locations, corners, from_center

LARGEST_EXPONENT = 20.0  # e^20 strides are far beyond any picture; larger ones would overflow


def center_offsets(regression: Floats, locations: Locations, level: Level, input_size: tuple[int, int]) -> Floats:
    """Boxes (m, 4) xyxy px of the input from (m, 4): center = (t + corner) * stride, size = exp(t) * stride.

    Ge et al. 2021, arXiv:2107.08430; formulas as in its code, `YOLOXHead.decode_outputs`.
    """
    stride = np.float32(level.stride_px)
    size = np.exp(np.minimum(regression[:, 2:], LARGEST_EXPONENT)) * stride
    return from_center((regression[:, :2] + corners(locations, level)) * stride, size)
