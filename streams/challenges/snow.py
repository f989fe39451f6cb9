"""Snow: bright parts turn white, first the sky and the lines, then the whole road, and flakes fall in front.

CURE-TSD combines After Effects' glow, which screens bright parts with themselves and spreads them sideways, with
falling flakes. How white each luma gets at each level was read off the reference grid.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

from .reference import REFERENCE_WIDTH_PX, Image, Map

# Share of the way to white at lumas GLOW_LUMA, by level; fitted.
GLOW_LUMA = (0, 48, 84, 108, 132, 156, 180, 204, 228, 255)
GLOW = (
    (0.00, 0.00, 0.00, 0.00, 0.00, 0.01, 0.02, 0.08, 0.20, 0.30),
    (0.00, 0.00, 0.01, 0.03, 0.03, 0.14, 0.44, 0.45, 0.47, 0.50),
    (0.00, 0.00, 0.04, 0.08, 0.36, 0.78, 0.80, 0.82, 0.88, 0.95),
    (0.00, 0.03, 0.20, 0.50, 0.92, 0.97, 0.98, 0.98, 0.98, 1.00),
    (0.00, 0.06, 0.38, 0.65, 0.94, 0.98, 0.98, 0.99, 1.00, 1.00),
)
GLOW_WIDTH_PX = 10.0

# Share of the picture that flakes hide, at its top and at its bottom; fitted.
FLAKE_COVER_TOP = (0.002, 0.015, 0.045, 0.09, 0.29)
FLAKE_COVER_BOTTOM = (0.002, 0.02, 0.06, 0.14, 0.40)
MIST_SHARE = (0.5, 0.5, 0.6, 0.7, 0.8)  # of the cover: flakes too distant to be drawn singly
# Drawn flakes, far and near: radius, movement per frame to the right and down; px.
FLAKES = ((1.0, 5.0, 31.0), (2.0, -9.0, 67.0))
STREAK = 2.0  # length over width: a flake falls while the shutter is open


def snow(image: Image, level: int, seed: int, seq: int) -> Image:
    """White ground, and flakes that move on from one seq to the next. Arguments as `apply_challenge`."""
    height, width = image.shape[:2]
    scale = width / REFERENCE_WIDTH_PX
    spread_px = 2 * round(GLOW_WIDTH_PX * scale / 2) + 1
    glow = cv2.LUT(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), _glow_table(level))
    # The share of the distance to white that is left after the glow, then after the flakes.
    stays = cv2.bitwise_not(cv2.blur(glow, (spread_px, 1)))
    stays = cv2.multiply(stays, _between_flakes(height, width, level, seed, seq), scale=1 / 255)
    left = cv2.multiply(cv2.bitwise_not(image), cv2.cvtColor(stays, cv2.COLOR_GRAY2RGB), scale=1 / 255)
    return np.asarray(cv2.bitwise_not(left), dtype=np.uint8)


def _between_flakes(height: int, width: int, level: int, seed: int, seq: int) -> Image:
    """How visible the picture is between the flakes of one seq (H, W); 255 = fully."""
    scale = width / REFERENCE_WIDTH_PX
    fields, thinner = _flakes(height, width, level, seed)
    far, near = (
        np.roll(field, (round(seq * down_px * scale), round(seq * right_px * scale)), axis=(0, 1))
        for field, (_, right_px, down_px) in zip(fields, FLAKES, strict=True)
    )
    hidden = cv2.bitwise_not(cv2.multiply(far, near, scale=1 / 255))
    return np.asarray(cv2.bitwise_not(cv2.multiply(hidden, thinner, scale=1 / 255)), dtype=np.uint8)


@lru_cache(maxsize=4)
def _flakes(height: int, width: int, level: int, seed: int) -> tuple[tuple[Image, ...], Image]:
    """How visible the picture is (H, W) through each of `FLAKES`, 255 = fully, and how much thinner they are higher up.

    Flakes fall at random and over each other (a Boolean model), so a field whose flakes hide `area_px` each hides the
    share 1 - exp(-density * area_px). Fields wrap around at the edges.
    """
    rng = np.random.default_rng((seed, 11))
    top, bottom, mist = FLAKE_COVER_TOP[level - 1], FLAKE_COVER_BOTTOM[level - 1], MIST_SHARE[level - 1]
    through = (1.0 - bottom) ** (1.0 / len(FLAKES))  # of each field
    fields = []
    for radius_px, _, _ in FLAKES:
        flake = _flake(radius_px * width / REFERENCE_WIDTH_PX)
        density = -(1.0 - mist) * np.log(through) / float((1.0 - np.exp(-flake)).sum())
        rows, columns = flake.shape[0] // 2, flake.shape[1] // 2
        here = rng.poisson(density, (height, width)).astype(np.float32)
        hidden = cv2.filter2D(np.pad(here, ((rows, rows), (columns, columns)), mode="wrap"), -1, flake)
        hidden = hidden[rows : rows + height, columns : columns + width]
        fields.append((255 * np.exp(-hidden) * through**mist).round().astype(np.uint8))
    rows = 255 * np.linspace(top / bottom, 1.0, height)[:, None]
    return tuple(fields), np.repeat(rows.round().astype(np.uint8), width, axis=1)


def _flake(radius_px: float) -> Map:
    """A soft vertical streak, as optical depth with a peak of 2."""
    half = max(1, round(radius_px))
    long = max(1, round(radius_px * STREAK))
    y, x = np.mgrid[-long : long + 1, -half : half + 1].astype(np.float32)
    distance = np.hypot(x / max(radius_px, 0.5), y / max(radius_px * STREAK, 0.5))
    return np.asarray(2.0 * np.clip(1.0 - distance, 0.0, 1.0), dtype=np.float32)


@lru_cache(maxsize=5)
def _glow_table(level: int) -> Image:
    """Luma -> how far the glow moves it towards white, 0 to 255."""
    share = np.interp(np.arange(256), GLOW_LUMA, GLOW[level - 1])
    return np.asarray((255 * share).round(), dtype=np.uint8)
