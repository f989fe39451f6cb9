"""Whether a camera shows anything that a stream could be calibrated on: more than one color, and not always the same.

Told by the image statistics of a frame alone, because the judge sees no pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from gradwatch import GradwatchError
from gradwatch.models.image_statistics import STATISTICS

LUMA_MEAN, LUMA_Q05, LUMA_Q95 = (STATISTICS.index(name) for name in ("luma_mean", "luma_q05", "luma_q95"))

# Lumas between the 5 % and the 95 % quantile. A recorder's slate, a few words on one color, has 1, under sensor noise
# of 5 lumas 8; a street at night has 20, haze more.
ONE_COLOR_LUMAS = 10.0
BLACK_LUMA = 24.0
# Largest difference of any statistic between two pictures. Of one picture that H.264 encodes repeatedly: below 0.005
# in 4 of 5 frames, then the encoder refines it, or begins a group of pictures. Of live cameras in which nothing moves
# but the sensor's noise: 0.008 and more; of streets: 0.02 and more.
SAME_PICTURE, SIMILAR_PICTURE = 0.005, 0.2
STILL_SHARE = 0.75  # of frames that repeat one; in a recording of 30 frames a second from a camera of 10 it is 0.67


class NoVariationError(GradwatchError, ValueError):
    """Clean frames that show nothing, or one picture: after a calibration on them any other frame is abnormal."""


def one_color(statistics: NDArray[np.float32]) -> str:
    """`black` or `one color` where a picture with these image statistics (s,) is that, else ""."""
    if statistics[LUMA_Q95] - statistics[LUMA_Q05] >= ONE_COLOR_LUMAS:
        return ""
    return "black" if statistics[LUMA_MEAN] < BLACK_LUMA else "one color"


def difference(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """The largest difference between the image statistics (s,) of two pictures."""
    return float(np.abs(a.astype(np.float64) - b.astype(np.float64)).max())


def check_variation(statistics: Sequence[NDArray[np.float32]]) -> None:
    """Raises NoVariationError if more than half of the frames with these statistics are of one color, or STILL_SHARE of
    them repeat the picture before and the others are similar to it."""
    flat = [name for name in map(one_color, statistics) if name]
    if 2 * len(flat) > len(statistics):
        raise NoVariationError(
            f"calibration needs frames that show something, got {len(flat)} of {len(statistics)} that are {flat[0]}"
        )
    steps = np.array([difference(a, b) for a, b in pairwise(statistics)])
    repeated = int((steps < SAME_PICTURE).sum())
    if repeated >= STILL_SHARE * len(steps) and (steps < SIMILAR_PICTURE).all():
        raise NoVariationError(
            f"calibration needs frames that vary, got {repeated} of {len(statistics)} that repeat the picture before: "
            "the camera is frozen, or shows a slate"
        )
