"""Rain, haze, shadows and a dirty lens, as layers drawn over a picture.

Each is a map of weights and a map of colors, `weight * picture + (1 - weight) * color`, computed once per size,
level and seed and kept in a bounded cache. The strengths were fitted on CURE-TSD's reference grid: there a level is
nearly an affine change of the clean picture, whose gain and offset can be read off in bands.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

from .reference import REFERENCE_WIDTH_PX, Image, Map

# Rain: a color ramp at 25 % opacity, then drops; shares of the picture that drops cover, fitted.
RAMP_OPACITY = 0.25
RAMP_TOP, RAMP_BOTTOM = (0x0F, 0x1E, 0x2D), (0x5A, 0x74, 0x92)
DROPS_TOP, DROPS_BOTTOM = (190, 194, 208), (148, 157, 168)
DROP_COVER_TOP = (0.16, 0.22, 0.25, 0.28, 0.33)
DROP_COVER_BOTTOM = (0.40, 0.48, 0.52, 0.55, 0.60)
MIST_SHARE = 0.75  # of the cover: drops too distant to be drawn singly
RAIN_SOFT_SHARE = (0.15, 0.22, 0.24, 0.25, 0.26)  # of the light that is scattered; fitted
RAIN_SOFT_PX = 30.0
RAIN_MARGIN = 0.25  # the field of drops is larger than the picture by this share; each frame uses a part

# Haze: an affine change of the whole picture and a white glow around the vanishing point; both fitted. They agree
# with the published gray layers of 10 to 50 %: from level to level the veil gets grayer and the contrast less.
HAZE_GAIN = (0.62, 0.47, 0.30, 0.24, 0.24)
HAZE_OFFSET = (43.0, 72.0, 104.0, 130.0, 130.0)
HAZE_GLOW = 0xFF
HAZE_GLOW_OPACITY = (0.02, 0.04, 0.06, 0.60, 0.83)
HAZE_GLOW_RADIUS = (0.40, 0.8)  # horizontal and vertical, in picture widths

# Shadow: vertical Venetian blinds; the published width is that of a bar and the gap beside it together.
SHADOW_WIDTH_PX = 142.0
SHADOW_SHARE = 0.47
SHADOW_OPACITY = (0.15, 0.30, 0.45, 0.60, 0.75)

# Dirty lens: mean opacity and colors of the dirt, fitted; the pictures of dirt used there are not free.
DIRT_OPACITY = (0.03, 0.06, 0.13, 0.28, 0.64)
DIRT_SOFT_PX, DIRT_SOFT_SHARE = 10.0, 0.6
DIRT_LIGHT, DIRT_HEAVY = (214, 224, 224), (168, 172, 170)


def rain(image: Image, level: int, seed: int, seq: int) -> Image:
    """A gray-blue veil and streaks; every seq shows other drops. Arguments as `apply_challenge`."""
    height, width = image.shape[:2]
    ramp, drops, cover = _rain_colors(height, width, level)
    far, near = _rain_field(height, width, level, seed)
    rng = np.random.default_rng((seed, 9, seq))
    parts = []
    for field in (far, near):
        top = rng.integers(0, field.shape[0] - height + 1)
        left = rng.integers(0, field.shape[1] - width + 1)
        parts.append(field[top : top + height, left : left + width])
    alpha = np.minimum(cover * (MIST_SHARE + parts[0] + parts[1]), np.float32(0.85))
    share = RAIN_SOFT_SHARE[level - 1]
    soft = cv2.addWeighted(image, 1.0 - share, _soft(image, RAIN_SOFT_PX), share, 0.0)
    veiled = cv2.addWeighted(soft, 1.0 - RAMP_OPACITY, ramp, RAMP_OPACITY, 0.0)
    return _blend(np.asarray(veiled, dtype=np.uint8), drops, np.float32(1.0) - alpha)


def haze(image: Image, level: int, seed: int, seq: int) -> Image:
    """A gray veil, brightest around the vanishing point; constant for the stream (seq is not used)."""
    weight, veil = _haze_layer(*image.shape[:2], level, seed)
    radius_px = max(1, round(3 * image.shape[1] / REFERENCE_WIDTH_PX / 2))
    # Published: smart blur of radius 3, which flattens texture and keeps edges as a median does.
    return _blend(np.asarray(cv2.medianBlur(image, 2 * radius_px + 1), dtype=np.uint8), veil, weight)


def shadow(image: Image, level: int, seed: int, seq: int) -> Image:
    """Vertical bars of shadow with sharp edges, always in the same place (seed and seq are not used)."""
    width = image.shape[1]
    width_px = SHADOW_WIDTH_PX * width / REFERENCE_WIDTH_PX
    shaded = image.copy()
    for bar in range(int(np.ceil(width / width_px))):
        part = slice(round(bar * width_px), min(round((bar + SHADOW_SHARE) * width_px), width))
        if part.stop > part.start:
            shaded[:, part] = cv2.convertScaleAbs(image[:, part], alpha=1.0 - SHADOW_OPACITY[level - 1])
    return shaded


def dirty_lens(image: Image, level: int, seed: int, seq: int) -> Image:
    """Smudges, specks and out-of-focus drops on the glass, which also blur the picture behind them.

    Constant for the stream (seq is not used); a higher level adds to the dirt of the lower ones.
    """
    height, width = image.shape[:2]
    weight, dirt, sharp = _dirt_layer(height, width, level, seed)
    return _blend(_blend(image, _soft(image, DIRT_SOFT_PX), sharp), dirt, weight)


def _soft(image: Image, sigma_px: float) -> Image:
    """The picture blurred by `sigma_px` (at the reference width), at a reduced size for speed."""
    height, width = image.shape[:2]
    sigma_px = sigma_px * width / REFERENCE_WIDTH_PX
    times = max(1, int(sigma_px / 2))
    small = cv2.resize(image, (max(1, width // times), max(1, height // times)), interpolation=cv2.INTER_AREA)
    blurred = cv2.GaussianBlur(small, (0, 0), max(sigma_px / times, 0.3))
    return np.asarray(cv2.resize(blurred, (width, height), interpolation=cv2.INTER_LINEAR), dtype=np.uint8)


def _blend(image: Image, layer: Image, weight: Map) -> Image:
    """weight * image + (1 - weight) * layer; weight (H, W) in [0, 1]."""
    return np.asarray(cv2.blendLinear(image, layer, weight, np.float32(1.0) - weight), dtype=np.uint8)


def _vertical_ramp(height: int, width: int, top: tuple[int, ...], bottom: tuple[int, ...]) -> Image:
    rows = np.linspace(top, bottom, height)[:, None, :]
    return np.ascontiguousarray(np.broadcast_to(rows, (height, width, 3)).round().astype(np.uint8))


@lru_cache(maxsize=4)
def _rain_colors(height: int, width: int, level: int) -> tuple[Image, Image, Map]:
    """Color ramp (H, W, 3), color of the drops (H, W, 3) and their cover (H, 1)."""
    cover = np.linspace(DROP_COVER_TOP[level - 1], DROP_COVER_BOTTOM[level - 1], height, dtype=np.float32)[:, None]
    ramp = _vertical_ramp(height, width, RAMP_TOP, RAMP_BOTTOM)
    return ramp, _vertical_ramp(height, width, DROPS_TOP, DROPS_BOTTOM), cover


@lru_cache(maxsize=4)
def _rain_field(height: int, width: int, level: int, seed: int) -> tuple[Map, Map]:
    """Far drops (short, thin, many) and near drops (long, soft, few); their means add to 1 - MIST_SHARE."""
    rng = np.random.default_rng((seed, 9))
    scale = width / REFERENCE_WIDTH_PX
    slant = rng.uniform(-0.12, 0.12)
    shape = (round(height * (1 + RAIN_MARGIN)), round(width * (1 + RAIN_MARGIN)))
    fields = []
    for length_px, width_px, per_megapixel in ((45.0, 1.6, 1600.0), (190.0, 5.0, 130.0)):
        density = per_megapixel * (level + 2) / 1e6 / scale**2  # drops per area of CURE-TSD's picture
        here = rng.random(shape, dtype=np.float32) < density
        drops = np.where(here, rng.uniform(0.4, 1.0, shape), 0.0).astype(np.float32)
        streaks = cv2.filter2D(drops, -1, _streak(length_px * scale, max(width_px * scale, 0.7), slant))
        streaks = np.minimum(np.asarray(streaks, dtype=np.float32), np.float32(1.0))
        share = (1 - MIST_SHARE) / 2
        fields.append(streaks * np.float32(share / max(float(streaks.mean()), 1e-6)))
    return fields[0], fields[1]


def _streak(length_px: float, width_px: float, slant: float) -> Map:
    """One drop: a soft line through the middle of a kernel, peak 1, `slant` px sideways per px down."""
    half = max(2, round(length_px / 2))
    side = max(2, round(abs(slant) * half + 2 * width_px))
    y, x = np.mgrid[-half : half + 1, -side : side + 1].astype(np.float32)
    across = np.exp(-(((x - slant * y) / width_px) ** 2))
    along = np.clip(1.0 - (np.abs(y) / (half + 1)) ** 3, 0.0, 1.0)
    return np.asarray(across * along, dtype=np.float32)


@lru_cache(maxsize=4)
def _haze_layer(height: int, width: int, level: int, seed: int) -> tuple[Map, Image]:
    """Weight of the picture (H, W) and the color of the veil (H, W, 3)."""
    gain, offset = HAZE_GAIN[level - 1], HAZE_OFFSET[level - 1]
    rng = np.random.default_rng((seed, 12))
    center_x, center_y = width * rng.uniform(0.42, 0.58), height * rng.uniform(0.40, 0.50)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    across, upright = HAZE_GLOW_RADIUS
    distance = np.hypot((x - center_x) / (across * width), (y - center_y) / (upright * width))
    # The published ellipse is opaque in the middle and clear at the edge.
    glow = HAZE_GLOW_OPACITY[level - 1] * np.clip(1.0 - distance, 0.0, 1.0)
    weight = gain * (1 - glow)
    veil = (offset * (1 - glow) + HAZE_GLOW * glow) / (1 - weight)
    return weight.astype(np.float32), np.repeat(np.clip(veil, 0, 255).astype(np.uint8)[:, :, None], 3, axis=2)


@lru_cache(maxsize=4)
def _dirt_layer(height: int, width: int, level: int, seed: int) -> tuple[Map, Image, Map]:
    """Weight of the picture (H, W), color of the dirt (H, W, 3), and sharpness of the picture (H, W)."""
    rng = np.random.default_rng((seed, 5))
    mean_opacity = DIRT_OPACITY[level - 1]
    smear = _clouds(rng, height, width, cells=6)
    grain = _clouds(rng, height, width, cells=60)
    specks = _specks(rng, height, width)
    heavy = np.clip((mean_opacity - 0.2) / 0.4, 0.0, 1.0)  # thin dirt scatters light, thick dirt is a gray film
    thickness = 0.55 * smear + 0.25 * grain + 0.6 * specks + 0.9 * heavy
    opacity = np.clip(thickness * (mean_opacity / thickness.mean()), 0.0, 0.92)
    color = (1 - heavy) * np.asarray(DIRT_LIGHT) + heavy * np.asarray(DIRT_HEAVY)
    drips = np.clip(1.8 * _clouds(rng, height, width, cells=130, tall=2) - 0.7, 0.0, 1.0)
    shade = 1.0 - heavy * (0.35 * drips + 0.15 * (smear - 0.5))
    dirt = np.clip(color * shade[:, :, None], 0, 255).astype(np.uint8)
    sharp = np.clip(1.0 - DIRT_SOFT_SHARE * opacity, 0.0, 1.0).astype(np.float32)
    return (1.0 - opacity).astype(np.float32), dirt, sharp


def _clouds(rng: np.random.Generator, height: int, width: int, cells: int, tall: int = 1) -> Map:
    """Smooth noise (H, W) in [0, 1]: about `cells` blotches across, `tall` times as high as wide, and finer ones."""
    total = np.zeros((height, width), np.float32)
    for octave in range(3):
        across = cells * 2**octave
        coarse = rng.random((max(2, across * height // (width * tall)), across), dtype=np.float32)
        total += cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC) * np.float32(0.5**octave)
    low, high = np.percentile(total, (2, 98))
    return np.asarray(np.clip((total - low) / (high - low), 0.0, 1.0), dtype=np.float32)


def _specks(rng: np.random.Generator, height: int, width: int) -> Map:
    """Round drops and specks (H, W) in [0, 1], out of focus because they are on the lens."""
    scale = width / REFERENCE_WIDTH_PX
    specks = np.zeros((height, width), np.float32)
    for _ in range(140):
        center = (int(rng.integers(0, width)), int(rng.integers(0, height)))
        radius_px = max(1, round(float(rng.uniform(3, 10) if rng.random() < 0.8 else rng.uniform(15, 45)) * scale))
        axes = (radius_px, max(1, round(radius_px * rng.uniform(0.5, 1.0))))
        cv2.ellipse(specks, center, axes, float(rng.uniform(0, 180)), 0, 360, float(rng.uniform(0.3, 1.0)), -1)
    return np.asarray(cv2.GaussianBlur(specks, (0, 0), max(3.0 * scale, 0.6)), dtype=np.float32)
