"""What pictures alone tell of their camera: black, overexposed, frozen.

All of it is read off thumbnails of 64 x 36 lumas a few times a second, so it costs next to nothing: a JPEG is decoded
at an eighth of its size for it. What is found is said and counted; the frames themselves go their way.
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
INTERVAL_S = 0.2  # between looks: five a second tell within seconds what lasts

# Frozen: for 3 s, at least every fifth look finds the picture of the look before. On a live camera the sensor's noise
# moves the mean luma of many cells by a level from look to look (100 and more, through H.264 at 1.5 Mbit/s); an
# encoder that gets the same picture again and again changes few, but may polish for seconds after each key frame:
# hence not every look, and not none. A clock that is drawn into the picture is a handful of cells. What can't be told
# apart: a street where nothing moves and no noise gets through the compression.
FROZEN_CELLS = 30  # of 2304 that may differ in a picture that is still the same
FROZEN_SHARE = 0.2
FROZEN_AFTER_S, FROZEN_WINDOW_S = 3.0, 5.0
FROZEN_LOOKS = 4  # at least
THAWED_AFTER_S = 2.0  # without a look that finds nothing new

# Black: not one cell in a hundred is brighter than this. A lens cap, a dead sensor; at night the lamps are brighter.
BLACK_LUMA = 24
# Overexposed: half of the picture is at the end of the scale. The low sun is a far smaller part of it.
WHITE_LUMA, WHITE_SHARE = 250, 0.5
EXPOSURE_S = 2.0  # so long it must last: a tunnel's end or a head lamp passes, an exposure control settles


def thumbnail(luma: Luma) -> Luma:
    """(36, 64) mean lumas of the cells of a picture, from its (H, W) luma."""
    return np.asarray(cv2.resize(luma, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA), np.uint8)


def jpeg_thumbnail(content: bytes) -> Luma | None:
    """The same of a JPEG, decoded at an eighth of its size where it is large; None for one that is damaged."""
    try:
        small = simplejpeg.decode_jpeg(content, "GRAY", fastdct=True, min_height=HEIGHT, min_width=WIDTH, strict=False)
    except ValueError:
        return None
    return thumbnail(np.asarray(small, np.uint8)[..., 0])


@dataclass(slots=True)
class _Lasting:
    """Something that counts once it has lasted."""

    since_s: float | None = None

    def lasts_since(self, present: bool, now_s: float, for_s: float) -> float | None:
        if not present:
            self.since_s = None
            return None
        self.since_s = now_s if self.since_s is None else self.since_s
        return self.since_s if now_s - self.since_s >= for_s else None


class _Look(NamedTuple):
    """The look at `at_s` and the one before it, and whether they found the same picture."""

    before_s: float
    at_s: float
    found_the_same: bool


class PictureHealth:
    """What the pictures of one connection show; times are seconds of any clock that does not go back."""

    def __init__(self) -> None:
        self._black, self._white = _Lasting(), _Lasting()
        self._looked_s = -np.inf
        self._before: Luma | None = None
        self._looks: deque[_Look] = deque()
        self._frozen_since_s: float | None = None

    def is_due(self, now_s: float) -> bool:
        """Whether the next picture shall be looked at."""
        return now_s - self._looked_s >= INTERVAL_S * 0.9

    def look(self, small: Luma, now_s: float) -> dict[Disturbance, float | None]:
        """Since when each of them is so, None for what is not, from one more thumbnail.

        A flat picture can't show whether it is frozen, so it is not held against those that follow.
        """
        black = float(np.percentile(small, 99)) < BLACK_LUMA
        white = float((small >= WHITE_LUMA).mean()) >= WHITE_SHARE
        if black or white:
            self._looks.clear()
            self._before, self._looked_s = None, now_s
        else:
            self._compare(small, now_s)
        return {
            Disturbance.BLACK: self._black.lasts_since(black, now_s, EXPOSURE_S),
            Disturbance.OVEREXPOSED: self._white.lasts_since(white, now_s, EXPOSURE_S),
            Disturbance.FROZEN: self._look_for_change(),
        }

    def _compare(self, small: Luma, now_s: float) -> None:
        if self._before is not None:
            changed = int((small != self._before).sum())
            self._looks.append(_Look(self._looked_s, now_s, changed <= FROZEN_CELLS))
        while self._looks and now_s - self._looks[0].at_s > FROZEN_WINDOW_S:
            self._looks.popleft()
        self._before, self._looked_s = small, now_s

    def _look_for_change(self) -> float | None:
        """Since when the picture has been frozen, None where it is not."""
        same = [look for look in self._looks if look.found_the_same]
        if not same or len(self._looks) < FROZEN_LOOKS:
            self._frozen_since_s = None
        elif self._frozen_since_s is not None:
            if self._looks[-1].at_s - same[-1].at_s > THAWED_AFTER_S:
                self._frozen_since_s = None
        elif same[-1].at_s - same[0].before_s >= FROZEN_AFTER_S and len(same) >= FROZEN_SHARE * len(self._looks):
            self._frozen_since_s = same[0].before_s
        return self._frozen_since_s
