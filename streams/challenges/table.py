"""The CURE challenges: any road picture under any of CURE-TSD's twelve challenges, in five levels.

A challenge is a pure function of (picture, level, seed, seq): rain, noise and broken blocks change with seq,
snowflakes move on from one seq to the next, dirt, haze and shadows stay in place. `gradwatch evaluate challenges`
compares all of them with CURE-TSD's reference grid.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable

import cv2
import numpy as np

from . import optics, weather
from .codec_error import codec_error
from .reference import Image
from .snow import snow

LEVELS = (1, 2, 3, 4, 5)

LABEL_PX, HEAD_PX, GAP_PX = 130, 28, 4  # of the contact sheet

Apply = Callable[[Image, int, int, int], Image]
"""Puts a challenge on a picture: (image, level, seed, seq)."""

CHALLENGES: dict[str, Apply] = {
    "decolorization": optics.decolorize,
    "lens_blur": optics.lens_blur,
    "codec_error": codec_error,
    "darkening": optics.darken,
    "dirty_lens": weather.dirty_lens,
    "exposure": optics.expose,
    "gaussian_blur": optics.gaussian_blur,
    "noise": optics.noise,
    "rain": weather.rain,
    "shadow": weather.shadow,
    "snow": snow,
    "haze": weather.haze,
}
"""CURE-TSD's table, in the order of the type numbers in file names, from 1."""


def check_challenge(name: str, level: int) -> None:
    """Raises ValueError unless `name` is "none" or a row of `CHALLENGES` and `level` is from 0 to 5."""
    if name != "none" and name not in CHALLENGES:
        nearest = difflib.get_close_matches(name, ["none", *CHALLENGES], n=1, cutoff=0.0)[0]
        raise ValueError(f"challenge must be none or one of {', '.join(CHALLENGES)}; got {name!r}, nearest {nearest!r}")
    if not isinstance(level, int) or not 0 <= level <= LEVELS[-1]:
        raise ValueError(f"level of challenge {name!r} must be an integer from 0 (none) to {LEVELS[-1]}, got {level!r}")


def apply_challenge(image: Image, name: str, level: int, seed: int, seq: int) -> Image:
    """The picture under a challenge; `image` itself for level 0 or the name "none".

    image (H, W, 3) uint8 RGB of any size, `seed` and `seq` >= 0. Raises ValueError for an unknown name or level, and
    for any other kind of picture.
    """
    check_challenge(name, level)
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"image for challenge {name!r} must be (H, W, 3) uint8, got {image.shape} {image.dtype}")
    if name == "none" or level == 0:
        return image
    return CHALLENGES[name](image, level, seed, seq)


def contact_sheet(image: Image, seed: int, cell_width_px: int = 240) -> Image:
    """All challenges (rows, by type number) and levels (columns) of one picture, with their names on white."""
    height_px = round(image.shape[0] * cell_width_px / image.shape[1])
    rows = [[_label("", HEAD_PX), *(_label(f"level {level}", HEAD_PX, cell_width_px) for level in LEVELS)]]
    for name in CHALLENGES:
        cells = [apply_challenge(image, name, level, seed, level) for level in LEVELS]
        small = [cv2.resize(cell, (cell_width_px, height_px), interpolation=cv2.INTER_AREA) for cell in cells]
        rows.append([_label(name.replace("_", " "), height_px), *(np.asarray(cell, np.uint8) for cell in small)])
    gap = ((0, GAP_PX), (0, GAP_PX), (0, 0))
    return np.vstack([np.hstack([np.pad(cell, gap, constant_values=255) for cell in row]) for row in rows])


def _label(text: str, height_px: int, width_px: int = LABEL_PX) -> Image:
    label = np.full((height_px, width_px, 3), 255, np.uint8)
    cv2.putText(label, text, (6, height_px // 2 + 5), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 0, 0), 1, cv2.LINE_AA)
    return label
