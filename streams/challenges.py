"""The CURE challenges: any road picture under rain, darkening, blur, noise, haze or a dirty lens, in five levels.

The settings are those that CURE-TSD published for Adobe After Effects (README of olivesgatech/CURE-TSD;
Temel et al., "Traffic Sign Detection Under Challenging Conditions", IEEE T-ITS 2019). Where After Effects
does not say what a setting means in numbers, the meaning was fitted on the README's grid of one frame under
twelve challenges and five levels; each constant says so. Sizes in pixels are for CURE-TSD's pictures, which
are 1628 px wide, and scale with the width.

A challenge is a function of (picture, level, seed, seq) alone: rain and noise change with seq, dirt and haze
stay on the lens and in the air. `python -m gradwatch.streams.challenges PICTURE OUT` draws all of them.
"""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from . import weather

Image = NDArray[np.uint8]

REFERENCE_WIDTH_PX = 1628
LEVELS = (1, 2, 3, 4, 5)

EXPOSURE_EV = (-1.0, -3.0, -5.0, -7.0, -9.0)
DISPLAY_GAMMA = 2.2
BLURRINESS_PX = (5.0, 10.0, 15.0, 20.0, 25.0)
SIGMA_PER_BLURRINESS = 0.44  # fitted: the fall of the Laplacian's variance over the five levels
NOISE_AMOUNT = (0.20, 0.40, 0.60, 0.70, 0.71)
NOISE_SPREAD = 0.5  # fitted: an amount of 1 adds uniform noise of +-0.5 of full scale to every channel
NOISE_MARGIN_PX = 128


@dataclass(frozen=True, slots=True)
class Challenge:
    """One row of CURE-TSD's table of challenges.

    `type_number` is the two-digit number in file names; `apply(image, level, seed, seq)` expects a level
    from 1 to 5.
    """

    name: str
    type_number: int
    apply: Callable[[Image, int, int, int], Image]


def darken(image: Image, level: int, seed: int, seq: int) -> Image:
    """Exposure of -1, -3, -5, -7, -9 stops: a factor 2^EV in linear light, so 2^(EV / 2.2) on the picture.

    The factors 0.73, 0.39, 0.21, 0.11, 0.06 are those of the reference grid to two digits.
    """
    gain = 2.0 ** (EXPOSURE_EV[level - 1] / DISPLAY_GAMMA)
    return np.asarray(cv2.convertScaleAbs(image, alpha=gain), dtype=np.uint8)


def gaussian_blur(image: Image, level: int, seed: int, seq: int) -> Image:
    """Blurriness 5, 10, 15, 20, 25 px of a picture 1628 px wide."""
    sigma_px = BLURRINESS_PX[level - 1] * SIGMA_PER_BLURRINESS * image.shape[1] / REFERENCE_WIDTH_PX
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma_px), dtype=np.uint8)


def noise(image: Image, level: int, seed: int, seq: int) -> Image:
    """Colored sensor noise: layers of 20, 40, 60, 70, 71 % one over the other, `level` of them.

    Every layer clips to [0, 255], which lifts the blacks and dulls the whites. The grain is one pixel
    whatever the size of the picture, as on a sensor.
    """
    height, width = image.shape[:2]
    brighter, darker = _noise_field(height, width)
    rng = np.random.default_rng((seed, 8, seq))
    noisy: Image = image
    for amount in NOISE_AMOUNT[:level]:
        top, left = rng.integers(0, NOISE_MARGIN_PX, 2)
        part = (slice(top, top + height), slice(left, left + width))
        strength = amount * NOISE_SPREAD
        # At every place one of the two fields is 0, so two saturating steps clip like one signed addition.
        noisy = np.asarray(cv2.addWeighted(noisy, 1.0, brighter[part], strength, 0.0), dtype=np.uint8)
        noisy = np.asarray(cv2.addWeighted(noisy, 1.0, darker[part], -strength, 0.0), dtype=np.uint8)
    return noisy


@lru_cache(maxsize=4)
def _noise_field(height: int, width: int) -> tuple[Image, Image]:
    """Uniform noise on [-255, 255], split by sign; frames take parts of it at random offsets."""
    shape = (height + NOISE_MARGIN_PX, width + NOISE_MARGIN_PX, 3)
    field = np.random.default_rng(8).integers(-255, 256, shape, dtype=np.int16)
    return np.maximum(field, 0).astype(np.uint8), np.maximum(-field, 0).astype(np.uint8)


CHALLENGES: dict[str, Challenge] = {
    row.name: row
    for row in (
        Challenge("darkening", 4, darken),
        Challenge("dirty_lens", 5, weather.dirty_lens),
        Challenge("gaussian_blur", 7, gaussian_blur),
        Challenge("noise", 8, noise),
        Challenge("rain", 9, weather.rain),
        Challenge("haze", 12, weather.haze),
    )
}


def check_challenge(name: str, level: int) -> None:
    """Raises ValueError unless `name` is "none" or a row of `CHALLENGES` and `level` is from 0 to 5."""
    if name != "none" and name not in CHALLENGES:
        nearest = difflib.get_close_matches(name, ["none", *CHALLENGES], n=1, cutoff=0.0)[0]
        raise ValueError(f"challenge must be none or one of {', '.join(CHALLENGES)}; got {name!r}, nearest {nearest!r}")
    if not isinstance(level, int) or not 0 <= level <= LEVELS[-1]:
        raise ValueError(f"level of challenge {name!r} must be an integer from 0 (none) to {LEVELS[-1]}, got {level!r}")


def apply_challenge(image: Image, name: str, level: int, seed: int, seq: int) -> Image:
    """The picture under a challenge; level 0 or the name "none" returns `image` itself.

    image (H, W, 3) uint8 RGB of any size, `seed` and `seq` >= 0. The same arguments give the same picture.
    Raises ValueError for an unknown name or level, and for anything that is not such a picture.
    """
    check_challenge(name, level)
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"image for challenge {name!r} must be (H, W, 3) uint8, got {image.shape} {image.dtype}")
    if name == "none" or level == 0:
        return image
    return CHALLENGES[name].apply(image, level, seed, seq)


def contact_sheet(image: Image, seed: int, cell_width_px: int = 320) -> Image:
    """All challenges (rows, by type number) and levels (columns) of one picture, with names beside them."""
    height = round(image.shape[0] * cell_width_px / image.shape[1])
    label_px = 130
    rows = []
    for name in ("none", *CHALLENGES):
        label = np.full((height, label_px, 3), 255, np.uint8)
        cv2.putText(label, name, (6, height // 2), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 0, 0), 1, cv2.LINE_AA)
        cells = [apply_challenge(image, name, level, seed, level) for level in LEVELS]
        small = [cv2.resize(cell, (cell_width_px, height), interpolation=cv2.INTER_AREA) for cell in cells]
        rows.append(np.hstack([label, *small]))
    return np.vstack(rows)


def _main() -> None:
    parser = argparse.ArgumentParser(description="Draw every challenge and level of one picture.")
    parser.add_argument("picture", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    picture = cv2.imread(str(arguments.picture), cv2.IMREAD_COLOR_RGB)
    if picture is None:
        parser.error(f"expected a picture at {arguments.picture}, got nothing that can be decoded")
    sheet = contact_sheet(np.asarray(picture, dtype=np.uint8), arguments.seed)
    cv2.imwrite(str(arguments.out), cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 85])


if __name__ == "__main__":
    _main()
