"""Crops of 32 px as a camera and a detector would make them, composed of single signs and road pictures."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from ..crops import MARGIN
from ..crops import SIZE_PX as CROP_PX
from .sign_pictures import PICTURE_PX, Pixels

# Drawn once, because fresh noise took most of a step's time; each call takes a random piece of it.
_NOISE = np.random.default_rng(0).standard_normal((320, 544, 3), np.float32)
HIDDEN_SHARE = 0.3  # of the crops have something in front of their sign


def compose_crop(
    rgba: Pixels, drawn: bool, backgrounds: list[Pixels], rng: np.random.Generator, sign_px: float | None = None
) -> Pixels:
    """One (32, 32, 3) uint8 RGB crop as a detector's box would cut it out of a camera's frame.

    The sign is `sign_px` px long in that frame (drawn from 8 to 48, logarithmically, when None); a box misses
    the sign's position by up to a tenth and its size a little more. Photographs keep their border and move less.
    """
    if sign_px is None:
        sign_px = float(np.exp(rng.uniform(np.log(8), np.log(48))))
    canvas = _background_patch(backgrounds, rng)
    part = 1 / (1 + MARGIN) * rng.uniform(0.78, 1.12) if drawn else rng.uniform(0.9, 1.15)
    picture = vary_color(rgba, rng) if drawn else rgba
    canvas = paste(canvas, picture, _random_placement(part, rng), photograph=not drawn)
    if rng.random() < HIDDEN_SHARE:
        _occlude(canvas, rng)
    crop_px = max(8, round(sign_px / part)) if drawn else max(10, round(sign_px * 1.3))
    return _capture(canvas, crop_px, rng)


def vary_color(picture: Pixels, rng: np.random.Generator, strength: float = 1.0) -> Pixels:
    """The picture (h, w, 3) or (h, w, 4) under another light: exposure, contrast, gamma, color cast; alpha is kept.

    `strength` 1 doubles or halves the exposure about once in a hundred calls.
    """
    level = np.linspace(0, 1, 256)[:, None] ** np.exp(strength * rng.normal(0, 0.2))
    level = (level - 0.5) * np.exp(strength * rng.normal(0, 0.2)) + 0.5 + strength * rng.normal(0, 0.05)
    level = level * np.exp(strength * rng.normal(0, 0.25)) * np.exp(strength * rng.normal(0, 0.05, 3))
    table = np.clip(level * 255, 0, 255).astype(np.uint8)
    varied: Pixels = picture.copy()
    varied[..., :3] = cv2.LUT(np.ascontiguousarray(picture[..., :3]), table[:, None])
    return varied


def paste(canvas: Pixels, rgba: Pixels, placement: NDArray[np.float64], *, photograph: bool) -> Pixels:
    """`rgba` moved by the (2, 3) `placement` onto `canvas` (h, w, 3); a photograph's edge is extended over the rest."""
    size = (canvas.shape[1], canvas.shape[0])
    if photograph:
        return np.asarray(cv2.warpAffine(rgba[..., :3], placement, size, borderMode=cv2.BORDER_REPLICATE), np.uint8)
    # Color is premultiplied by alpha, so that what lies beneath transparent pixels never shows at the edge.
    alpha = rgba[..., 3:].astype(np.float32) / 255
    layer = np.concatenate([rgba[..., :3] * alpha, alpha], axis=2)
    moved = cv2.warpAffine(layer, placement, size)
    return np.asarray(np.clip(canvas * (1 - moved[..., 3:]) + moved[..., :3], 0, 255), np.uint8)


def blur(picture: Pixels, rng: np.random.Generator, strength: float) -> Pixels:
    """Defocus or motion blur, each in a third of the calls; `strength` is the largest radius in px."""
    kind = rng.integers(3)
    if kind == 0:
        return cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.1, strength)).astype(np.uint8)
    if kind == 1:
        return picture
    length, angle = rng.uniform(0, 2 * strength), rng.uniform(0, np.pi)
    kernel = np.zeros((9, 9), np.float32)
    step = np.array([np.cos(angle), np.sin(angle)]) * min(length, 8) / 2
    cv2.line(kernel, tuple(np.rint(4 - step).astype(int).tolist()), tuple(np.rint(4 + step).astype(int).tolist()), 1.0)
    return cv2.filter2D(picture, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REPLICATE).astype(np.uint8)


def add_noise(picture: Pixels, rng: np.random.Generator) -> Pixels:
    """Sensor noise of up to 10 gray levels, and JPEG of quality 50 to 95 in every second call; at most 544x320 px."""
    height, width = picture.shape[:2]
    y, x = int(rng.integers(_NOISE.shape[0] - height + 1)), int(rng.integers(_NOISE.shape[1] - width + 1))
    noise = _NOISE[y : y + height, x : x + width] * np.float32(rng.uniform(0, 10))
    noisy = np.clip(picture + noise, 0, 255).astype(np.uint8)
    if rng.random() < 0.5:
        return noisy
    _, content = cv2.imencode(".jpg", noisy, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(50, 96))])
    return np.asarray(cv2.imdecode(content, cv2.IMREAD_COLOR), np.uint8)


def _background_patch(backgrounds: list[Pixels], rng: np.random.Generator) -> Pixels:
    """A (64, 64, 3) patch of some road picture, half of them with a sign's pole."""
    background = backgrounds[rng.integers(len(backgrounds))]
    side = int(rng.integers(24, 160))
    y, x = (int(rng.integers(max(1, length - side))) for length in background.shape[:2])
    patch = cv2.resize(background[y : y + side, x : x + side], (PICTURE_PX, PICTURE_PX), interpolation=cv2.INTER_AREA)
    canvas = np.ascontiguousarray(patch, np.uint8)
    if rng.random() < 0.5:
        gray, half = int(rng.integers(40, 200)), int(rng.integers(1, 4))
        center = int(rng.integers(28, 37))
        canvas[32:, center - half : center + half] = gray
    return canvas


def _occlude(canvas: Pixels, rng: np.random.Generator) -> None:
    """Puts a post, a branch or a vehicle's flank in front of the sign, in place: at most two fifths of it."""
    low, high = np.sort(rng.integers(0, 256, 3)), rng.normal(0, 12, canvas.shape)
    color = np.full(3, low[1]) if rng.random() < 0.6 else low[rng.permutation(3)]
    layer = np.clip(color + high, 0, 255).astype(np.uint8)
    mask = np.zeros(canvas.shape[:2], np.uint8)
    if rng.random() < 0.7:
        x, slope, width = rng.uniform(8, 56), rng.normal(0, 4), int(rng.integers(2, 13))
        cv2.line(mask, (round(x - slope), 0), (round(x + slope), PICTURE_PX), 1, width)
    else:
        depth = int(rng.integers(12, 30))
        mask[:depth] = 1
        mask = np.rot90(mask, int(rng.integers(4)))
    canvas[mask > 0] = layer[mask > 0]


def _random_placement(part: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Affine (2, 3) that makes a 64 px picture `part` of the canvas: rotated, narrowed, sheared and off center."""
    angle, narrow, shear = rng.normal(0, 0.06), rng.uniform(0.82, 1.0), rng.normal(0, 0.04)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    linear = turn @ np.array([[narrow, shear], [0, 1.0]]) * part
    center = np.full(2, PICTURE_PX / 2 - 0.5)
    offset = center + rng.uniform(-0.1, 0.1, 2) * part * PICTURE_PX - linear @ center
    return np.column_stack([linear, offset])


def _capture(canvas: Pixels, crop_px: int, rng: np.random.Generator) -> Pixels:
    """The canvas as a frame shows it `crop_px` px wide, at the classifier's input size."""
    blurred = blur(canvas, rng, strength=2.5)
    size = min(crop_px, PICTURE_PX)
    small = np.asarray(cv2.resize(blurred, (size, size), interpolation=cv2.INTER_AREA), np.uint8)
    frame = add_noise(vary_color(small, rng, strength=0.6), rng)
    way = cv2.INTER_AREA if crop_px > CROP_PX else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(frame, (CROP_PX, CROP_PX), interpolation=way), np.uint8)
