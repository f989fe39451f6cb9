"""Faults of the camera: lost color, lost focus, too much or too little light, noise. Settings: see `reference.py`."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

from .reference import REFERENCE_WIDTH_PX, Image, Map

# Decolorization: weights of the black and white filter for primary and secondary colors.
REDS_GREENS, BLUES, YELLOWS_CYANS, MAGENTAS = 0.40, 0.20, 0.60, 0.80
GRAY_SHARE = (0.2, 0.4, 0.6, 0.8, 1.0)  # fitted: the grid's colorfulness is 0.80, 0.60, 0.41, 0.21 and 0 of the clean

DARKENING_EV = (-1.0, -3.0, -5.0, -7.0, -9.0)
DISPLAY_GAMMA = 2.2
# Fitted: published are 1, 3, 5, 7, 9 stops, the grid shows 1.6 times more at every level (1.5 stops at that gamma).
EXPOSURE_GAIN = (1.6, 1.6**2, 1.6**3, 1.6**4, 1.6**5)

LENS_RADIUS_PX = (2.0, 4.0, 6.0, 8.0, 10.0)
HALF_SIZE_FROM_PX = 4.0  # larger irises are drawn at half size: a quarter of the pixels and of the kernel
HALF_SIZE_VARIANCE_PX2 = 0.9  # that shrinking and enlarging add by themselves, along each axis

BLURRINESS_PX = (5.0, 10.0, 15.0, 20.0, 25.0)
SIGMA_PER_BLURRINESS = 0.27  # fitted; Skia's player of After Effects files has 0.3

NOISE_AMOUNT = (0.20, 0.40, 0.60, 0.70, 0.71)
NOISE_SPREAD = 0.5  # fitted: an amount of 1 adds uniform noise of +-0.5 of full scale to every channel
NOISE_MARGIN_PX = 128


def decolorize(image: Image, level: int, seed: int, seq: int) -> Image:
    """Mixed with its black and white: minimum + secondary weight * (middle - minimum) + primary * (maximum - middle).

    A saturated difference of 8-bit channels is 0 where the second is larger, so each term is one subtraction. All
    weights but the mixture's are published.
    """
    red, green, blue = cv2.split(image)
    lowest = cv2.min(cv2.min(red, green), blue)
    reds_greens = cv2.max(cv2.subtract(red, cv2.max(green, blue)), cv2.subtract(green, cv2.max(red, blue)))
    blues = cv2.subtract(blue, cv2.max(red, green))
    yellows_cyans = cv2.max(cv2.subtract(cv2.min(red, green), blue), cv2.subtract(cv2.min(green, blue), red))
    magentas = cv2.subtract(cv2.min(red, blue), green)
    gray = cv2.addWeighted(reds_greens, REDS_GREENS, yellows_cyans, YELLOWS_CYANS, 0.0)
    gray = cv2.add(gray, cv2.addWeighted(blues, BLUES, magentas, MAGENTAS, 0.0))
    share = GRAY_SHARE[level - 1]
    mixed = cv2.addWeighted(image, 1.0 - share, cv2.merge([cv2.add(gray, lowest)] * 3), share, 0.0)
    return np.asarray(mixed, dtype=np.uint8)


def lens_blur(image: Image, level: int, seed: int, seq: int) -> Image:
    """Out of focus: every point becomes a hexagon, the iris, with a radius of 2, 4, 6, 8, 10 px."""
    height, width = image.shape[:2]
    radius_px = LENS_RADIUS_PX[level - 1] * width / REFERENCE_WIDTH_PX
    if radius_px <= HALF_SIZE_FROM_PX:
        return np.asarray(cv2.filter2D(image, -1, _hexagon(radius_px)), dtype=np.uint8)
    # The smaller iris compensates for the variance of the resizing.
    half_radius_px = float(np.sqrt(radius_px**2 - HALF_SIZE_VARIANCE_PX2 * 24 / 5)) / 2
    small = cv2.resize(image, ((width + 1) // 2, (height + 1) // 2), interpolation=cv2.INTER_AREA)
    blurred = cv2.filter2D(small, -1, _hexagon(half_radius_px))
    return np.asarray(cv2.resize(blurred, (width, height), interpolation=cv2.INTER_LINEAR), dtype=np.uint8)


@lru_cache(maxsize=16)
def _hexagon(radius_px: float) -> Map:
    """A hexagon that stands on a corner, as a kernel whose sum is 1; its edges are antialiased to 1/8 px.

    Its variance along an axis is 5/24 of its radius squared, and pixels add 1/12 px2. A hexagon no larger than a pixel
    is drawn as three taps of that variance.
    """
    if radius_px <= 1.0:
        spread = radius_px**2 * (5 / 24 + 1 / 12) / 2
        taps = np.array((spread, 1.0 - 2.0 * spread, spread), np.float32)
        return np.outer(taps, taps)
    half, fine = int(np.ceil(radius_px)), 8
    steps = (np.arange((2 * half + 1) * fine) + 0.5) / fine - half - 0.5
    x, y = np.abs(steps)[None, :], np.abs(steps)[:, None]
    apothem_px = radius_px * np.sqrt(3) / 2
    inside = (x <= apothem_px) & (x / 2 + y * np.sqrt(3) / 2 <= apothem_px)
    kernel = inside.reshape(2 * half + 1, fine, 2 * half + 1, fine).mean(axis=(1, 3))
    return np.asarray(kernel / kernel.sum(), dtype=np.float32)


def darken(image: Image, level: int, seed: int, seq: int) -> Image:
    """Exposure of -1, -3, -5, -7, -9 stops: a factor 2^EV in linear light, so 2^(EV / 2.2) on the picture.

    The factors 0.73, 0.39, 0.21, 0.11, 0.06 match the reference grid to two digits.
    """
    gain = 2.0 ** (DARKENING_EV[level - 1] / DISPLAY_GAMMA)
    return np.asarray(cv2.convertScaleAbs(image, alpha=gain), dtype=np.uint8)


def expose(image: Image, level: int, seed: int, seq: int) -> Image:
    """Too much light: a factor 1.6, 2.6, 4.1, 6.6, 10.5 on the picture, clipped at full scale."""
    return np.asarray(cv2.convertScaleAbs(image, alpha=EXPOSURE_GAIN[level - 1]), dtype=np.uint8)


def gaussian_blur(image: Image, level: int, seed: int, seq: int) -> Image:
    """Blurriness of 5, 10, 15, 20, 25 px."""
    sigma_px = BLURRINESS_PX[level - 1] * SIGMA_PER_BLURRINESS * image.shape[1] / REFERENCE_WIDTH_PX
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma_px), dtype=np.uint8)


def noise(image: Image, level: int, seed: int, seq: int) -> Image:
    """Colored sensor noise: `level` layers of 20, 40, 60, 70, 71 %, added one after the other.

    Every layer clips to [0, 255], which lifts the blacks and dulls the whites. The grain is one pixel at every picture
    size, as on a sensor.
    """
    height, width = image.shape[:2]
    brighter, darker = _noise_field(height, width)
    rng = np.random.default_rng((seed, 8, seq))
    noisy: Image = image
    for amount in NOISE_AMOUNT[:level]:
        top, left = rng.integers(0, NOISE_MARGIN_PX, 2)
        part = (slice(top, top + height), slice(left, left + width))
        strength = amount * NOISE_SPREAD
        # At every pixel one of the two fields is 0, so two saturating steps clip like one signed addition.
        noisy = np.asarray(cv2.addWeighted(noisy, 1.0, brighter[part], strength, 0.0), dtype=np.uint8)
        noisy = np.asarray(cv2.addWeighted(noisy, 1.0, darker[part], -strength, 0.0), dtype=np.uint8)
    return noisy


@lru_cache(maxsize=4)
def _noise_field(height: int, width: int) -> tuple[Image, Image]:
    """Uniform noise on [-255, 255], split by sign; frames use parts of it at random offsets."""
    shape = (height + NOISE_MARGIN_PX, width + NOISE_MARGIN_PX, 3)
    field = np.random.default_rng(8).integers(-255, 256, shape, dtype=np.int16)
    return np.maximum(field, 0).astype(np.uint8), np.maximum(-field, 0).astype(np.uint8)
