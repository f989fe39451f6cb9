"""Detects from pictures alone that a camera is black, overexposed or frozen.

It compares thumbnails of 64 x 36 lumas a few times a second, which costs little: a JPEG is decoded at an eighth of its
size. Findings are reported and counted; the frames are published all the same.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
import simplejpeg
from numpy.typing import NDArray

from ..wire.messages import Disturbance

Luma = NDArray[np.uint8]

WIDTH, HEIGHT = 64, 36  # of a thumbnail
INTERVAL_S = 0.2  # between inspections

# Frozen: for 3 s, at least every fifth inspection finds the picture of the one before. On a live camera sensor noise
# moves the mean luma of many cells by a level between inspections (100 and more, through H.264 at 1.5 Mbit/s); an
# encoder that gets the same picture repeatedly changes few, but may refine it for seconds after each key frame: hence
# a share of the inspections, not all. A clock drawn into the picture is a handful of cells. Indistinguishable from a
# frozen camera: a street where nothing moves and no noise survives the compression.
FROZEN_CELLS = 30  # of 2304 that may differ in a picture that is still the same
FROZEN_SHARE = 0.2
FROZEN_AFTER_S, FROZEN_WINDOW_S = 3.0, 5.0
FROZEN_COMPARISONS = 4  # at least
THAWED_AFTER_S = 2.0  # without a comparison that finds the same picture

# Black: not one cell in a hundred is brighter than this. A lens cap, a dead sensor; at night the lamps are brighter.
BLACK_LUMA = 24
# Overexposed: half of the picture is at the end of the scale. A low sun fills far less of it.
WHITE_LUMA, WHITE_SHARE = 250, 0.5
EXPOSURE_S = 2.0  # how long either must last: a tunnel's end or a head lamp passes, exposure control settles


def thumbnail(picture: NDArray[np.uint8]) -> Luma:
    """(36, 64) mean lumas of the cells of a picture: (H, W) luma, or (H, W, 3) RGB."""
    small = np.asarray(cv2.resize(picture, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA), np.uint8)
    return small if small.ndim == 2 else np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), np.uint8)


def jpeg_thumbnail(content: bytes) -> Luma | None:
    """The thumbnail of a JPEG, decoded at an eighth of its size where it is large; None for a damaged one."""
    try:
        small = simplejpeg.decode_jpeg(content, "GRAY", fastdct=True, min_height=HEIGHT, min_width=WIDTH, strict=False)
    except ValueError:
        return None
    return thumbnail(np.asarray(small, np.uint8)[..., 0])


@dataclass(slots=True)
class _Persistence:
    """Since when a condition has held without interruption."""

    since_s: float | None = None

    def update(self, holds: bool, now_s: float, at_least_s: float) -> float | None:
        """Since when the condition has held, None unless that is `at_least_s` ago."""
        if not holds:
            self.since_s = None
            return None
        self.since_s = now_s if self.since_s is None else self.since_s
        return self.since_s if now_s - self.since_s >= at_least_s else None


class _Comparison(NamedTuple):
    """Two successive inspections, and whether they found the same picture."""

    before_s: float
    at_s: float
    is_same: bool


class PictureHealth:
    """Inspects the pictures of one connection; times are seconds of any clock that never goes back."""

    def __init__(self) -> None:
        self._black, self._white = _Persistence(), _Persistence()
        self._inspected_s = -np.inf
        self._last: Luma | None = None
        self._comparisons: deque[_Comparison] = deque()
        self._frozen_since_s: float | None = None

    def is_due(self, now_s: float) -> bool:
        """Whether the next picture should be inspected."""
        return now_s - self._inspected_s >= INTERVAL_S * 0.9

    def inspect(self, small: Luma, now_s: float) -> dict[Disturbance, float | None]:
        """Adds a thumbnail; returns since when each disturbance has lasted, None where it does not.

        A flat picture can't show whether it is frozen, so it is not compared with the next.
        """
        black = float(np.percentile(small, 99)) < BLACK_LUMA
        white = float((small >= WHITE_LUMA).mean()) >= WHITE_SHARE
        if black or white:
            self._comparisons.clear()
            self._last, self._inspected_s = None, now_s
        else:
            self._compare(small, now_s)
        return {
            Disturbance.BLACK: self._black.update(black, now_s, EXPOSURE_S),
            Disturbance.OVEREXPOSED: self._white.update(white, now_s, EXPOSURE_S),
            Disturbance.FROZEN: self._update_frozen(),
        }

    def _compare(self, small: Luma, now_s: float) -> None:
        if self._last is not None:
            changed = int((small != self._last).sum())
            self._comparisons.append(_Comparison(self._inspected_s, now_s, changed <= FROZEN_CELLS))
        while self._comparisons and now_s - self._comparisons[0].at_s > FROZEN_WINDOW_S:
            self._comparisons.popleft()
        self._last, self._inspected_s = small, now_s

    def _update_frozen(self) -> float | None:
        """Returns since when the picture has been frozen, or None."""
        same = [comparison for comparison in self._comparisons if comparison.is_same]
        if not same or len(self._comparisons) < FROZEN_COMPARISONS:
            self._frozen_since_s = None
        elif self._frozen_since_s is not None:
            if self._comparisons[-1].at_s - same[-1].at_s > THAWED_AFTER_S:
                self._frozen_since_s = None
        elif same[-1].at_s - same[0].before_s >= FROZEN_AFTER_S and len(same) >= FROZEN_SHARE * len(self._comparisons):
            self._frozen_since_s = same[0].before_s
        return self._frozen_since_s
