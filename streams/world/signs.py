"""The fourteen sign types of CURE-TSD, drawn by our own code.

Shapes follow the pictures of the data set's two halves (real: Belgian roads, unreal: a simulated city; Temel et al.,
IEEE T-ITS 2019, doi 10.1109/TITS.2019.2931429). All variation depends on the seed and not on the size, so that a sign
keeps its appearance while it grows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np
from numpy.typing import NDArray

from .sign_plate import Color, Plate, Points, arc
from .sprites import Image

SUPER_SAMPLING = 4
SMALLEST_CANVAS_PX = 96  # thin strokes vanish on smaller ones
BLACK: Color = (24.0, 24.0, 26.0)
CIRCLE = np.array(arc((0, 0), (1, 1), 0, 360))


@dataclass(frozen=True, slots=True)
class SignStyle:
    """The variation between signs of one type; colors are RGB in 0..255."""

    red: Color
    blue: Color
    white: Color
    rim: float  # width of the red rim, sign coordinates
    weight: float  # factor on the width of strokes
    variant: int  # 0..59, selects among alternative drawings of a type
    speed: int


def _ring(plate: Plate, style: SignStyle, inside: Color) -> None:
    """A round plate with a red rim."""
    plate.cut(CIRCLE)
    plate.disc(0, 0, 1 - style.rim, inside)


def _edged(plate: Plate, style: SignStyle, outline: NDArray[np.float64], inside: float, color: Color) -> None:
    """A plate of `color` with a white edge around the share `inside` of it; 1 = no edge."""
    plate.cut(outline)
    if inside < 1:
        plate.fill(outline, style.white)
        plate.fill(outline * inside, color)


def _speed_limit(plate: Plate, style: SignStyle) -> None:
    _ring(plate, style, style.white)
    number, unit = str(style.speed), style.variant % 4 == 0
    half = 0.4 if len(number) == 2 else 0.52
    height = 0.55 if unit else 0.7
    top = -0.4 if unit else -height / 2
    plate.text(number, (-half, top, half, top + height), 0.17 * style.weight, BLACK)
    if unit:
        plate.text("km", (-0.2, 0.34, 0.2, 0.56), 0.07 * style.weight, BLACK)


def _goods_vehicles(plate: Plate, style: SignStyle) -> None:
    _ring(plate, style, style.white)
    side = 1 if style.variant % 2 else -1
    box = np.array([(-0.6, -0.3), (0.2, -0.3), (0.2, 0.2), (-0.6, 0.2)]) * (side, 1)
    cab = np.array([(0.16, -0.15), (0.42, -0.15), (0.6, 0.02), (0.6, 0.22), (0.16, 0.22)]) * (side, 1)
    plate.fill(box, BLACK)
    plate.fill(cab, BLACK)
    plate.stroke(np.array([(-0.6, 0.17), (0.58, 0.17)]) * (side, 1), 0.1, BLACK)
    for x in (-0.42, -0.2, 0.42):
        plate.disc(side * x, 0.26, 0.13, BLACK)
        plate.disc(side * x, 0.26, 0.045, style.white)
    if style.variant % 3:
        plate.fill(np.array([(0.3, -0.09), (0.4, -0.09), (0.5, 0.02), (0.3, 0.02)]) * (side, 1), style.white)
    if style.variant % 3 == 2:
        left = -side * 0.2 - 0.27
        plate.text("7.5", (left, -0.2, left + 0.54, 0.06), 0.07 * style.weight, style.white)


def _car(plate: Plate, cx: float, color: Color, glass: Color) -> None:
    """A car from behind, 0.56 wide."""
    plate.fill([(cx + x, y) for x, y in ((-0.2, -0.22), (0.2, -0.22), (0.28, 0.04), (-0.28, 0.04))], color)
    plate.fill([(cx + x, y) for x, y in ((-0.29, 0.0), (0.29, 0.0), (0.29, 0.2), (-0.29, 0.2))], color)
    plate.fill([(cx + x, y) for x, y in ((-0.15, -0.15), (0.15, -0.15), (0.2, 0.0), (-0.2, 0.0))], glass)
    for side in (-0.21, 0.21):
        plate.stroke([(cx + side, 0.2), (cx + side, 0.27)], 0.1, color)


def _no_overtaking(plate: Plate, style: SignStyle) -> None:
    _ring(plate, style, style.white)
    left, right = (style.red, BLACK) if style.variant % 3 else (BLACK, style.red)
    _car(plate, -0.33, left, style.white)
    _car(plate, 0.33, right, style.white)


def _slash(plate: Plate, style: SignStyle, rising: bool) -> None:
    reach = 0.71 * (1 - style.rim / 2) * (-1 if rising else 1)
    plate.stroke([(-reach, -abs(reach)), (reach, abs(reach))], 0.17 * style.weight, style.red)


def _no_halt(plate: Plate, style: SignStyle, slashes: tuple[bool, ...]) -> None:
    """A blue disc with a slash for each of `slashes`: whether it rises."""
    _ring(plate, style, style.blue)
    for rising in slashes:
        _slash(plate, style, rising)


def _stop(plate: Plate, style: SignStyle) -> None:
    octagon = np.array([(1.04 * np.cos(a), 1.04 * np.sin(a)) for a in np.radians(np.arange(8) * 45 + 22.5)])
    _edged(plate, style, octagon, 0.96 - 0.25 * style.rim if style.variant % 3 else 1.0, style.red)
    height = 0.5 + 0.15 * (style.variant % 2)
    plate.text("STOP", (-0.67, -height / 2, 0.67, height / 2), 0.14 * style.weight, style.white)


def _bicycle(plate: Plate, style: SignStyle) -> None:
    _edged(plate, style, CIRCLE, 0.96 - 0.25 * style.rim if style.variant % 3 else 1.0, style.blue)
    side = 1 if style.variant % 2 else -1
    width = 0.08 * style.weight
    lines: list[Points] = [
        arc((-0.38, 0.2), (0.27, 0.27), 0, 360),
        arc((0.38, 0.2), (0.27, 0.27), 0, 360),
        [(-0.38, 0.2), (-0.18, -0.18), (0.22, -0.2), (0.0, 0.2), (-0.38, 0.2)],
        [(0.0, 0.2), (-0.22, -0.3)],
        [(-0.34, -0.3), (-0.1, -0.3)],
        [(0.38, 0.2), (0.2, -0.36), (0.34, -0.42)],
    ]
    for line in lines:
        plate.stroke(np.asarray(line) * (side, 1), width, style.white)


def _triangle(plate: Plate, style: SignStyle, up: float) -> None:
    """A white triangle with a red rim and rounded corners; `up` is 1 or -1."""
    corners = [(0.0, -0.94), (0.98, 0.8), (-0.98, 0.8)]
    around = [p for (x, y), start in zip(corners, (210, 330, 90), strict=True)
              for p in arc((x * 0.93, y * 0.9), (0.08, 0.08), start, start + 120)]  # fmt: skip
    plate.cut(np.asarray(around) * (1, up))
    inner = np.asarray(corners) * (1 - 1.75 * style.rim) + (0, 0.22 * style.rim * 1.6)
    plate.fill(inner * (1, up), style.white)


def _hump(plate: Plate, style: SignStyle) -> None:
    _triangle(plate, style, up=1)
    half = 0.36 if style.variant % 2 else 0.28
    bump = [(-0.5, 0.52), (-half, 0.5), *arc((0, 0.48), (half * 0.8, 0.3), 190, 350), (half, 0.5), (0.5, 0.52)]
    plate.fill([*bump, (0.5, 0.58), (-0.5, 0.58)], BLACK)


def _no_turn(plate: Plate, style: SignStyle, side: float) -> None:
    """The arrow turns left for `side` = -1, right for 1."""
    _ring(plate, style, style.white)
    curved = [(-0.18, 0.58), (-0.18, 0.1), *arc((0.12, 0.05), (0.3, 0.3), 180, 260), (0.3, -0.28), (0.55, -0.3)]
    angled = [(-0.2, 0.52), (-0.2, -0.25), (0.0, -0.25), (0.5, -0.25)]
    path = np.asarray(angled if style.variant % 3 == 0 else curved) * (side, 1)
    slash = partial(_slash, plate, style, rising=side > 0 and style.variant % 5 != 0)
    arrow = partial(plate.arrow, path, 0.17 * style.weight, BLACK)
    for draw in (slash, arrow) if style.variant % 4 == 1 else (arrow, slash):
        draw()


def _priority_to(plate: Plate, style: SignStyle) -> None:
    _ring(plate, style, style.white)
    red_side = 1.0 if style.variant % 2 else -1.0
    plate.arrow([(red_side * 0.27, 0.5), (red_side * 0.27, -0.4)], 0.15 * style.weight, style.red)
    plate.arrow([(-red_side * 0.25, -0.52), (-red_side * 0.25, 0.5)], 0.2 * style.weight, BLACK)


def _no_entry(plate: Plate, style: SignStyle) -> None:
    _edged(plate, style, CIRCLE, 1.0 if style.variant % 3 else 0.93, style.red)
    half, height = 0.66 + 0.12 * (style.variant % 2), 0.16 * style.weight
    plate.fill([(-half, -height), (half, -height), (half, height), (-half, height)], style.white)


def _parking(plate: Plate, style: SignStyle) -> None:
    width = 0.8 + 0.15 * (style.variant % 2)
    square = np.array([(-width, -0.95), (width, -0.95), (width, 0.95), (-width, 0.95)])
    _edged(plate, style, square, 1.0 if style.variant % 3 else 0.93, style.blue)
    plate.text("P", (-0.38, -0.62, 0.4, 0.63), 0.26 * style.weight, style.white)


DRAWINGS: dict[str, tuple[str, Callable[[Plate, SignStyle], None]]] = {
    "speed_limit": ("red", _speed_limit),
    "goods_vehicles": ("red", _goods_vehicles),
    "no_overtaking": ("red", _no_overtaking),
    "no_stopping": ("red", partial(_no_halt, slashes=(False, True))),
    "no_parking": ("red", partial(_no_halt, slashes=(False,))),
    "stop": ("red", _stop),
    "bicycle": ("blue", _bicycle),
    "hump": ("red", _hump),
    "no_left": ("red", partial(_no_turn, side=-1.0)),
    "no_right": ("red", partial(_no_turn, side=1.0)),
    "priority_to": ("red", _priority_to),
    "no_entry": ("red", _no_entry),
    "yield": ("red", partial(_triangle, up=-1)),
    "parking": ("blue", _parking),
}
SIGN_LABELS = tuple(DRAWINGS)
"""In the order of the CURE-TSD ids, 1 to 14."""


def _style(rng: np.random.Generator) -> SignStyle:
    fade = rng.uniform(0.0, 0.3)  # old paint turns pale
    pale = np.array([205.0, 195.0, 190.0])

    def faded(color: NDArray[np.float64]) -> Color:
        red, green, blue = np.clip(color + (pale - color) * fade, 0, 255)
        return float(red), float(green), float(blue)

    return SignStyle(
        red=faded(np.array([185.0, 25.0, 32.0]) + rng.uniform((-25, -12, -15), (35, 25, 20))),
        blue=faded(np.array([20.0, 62.0, 150.0]) + rng.uniform((-15, -25, -30), (25, 30, 45))),
        white=faded(np.array([228.0, 228.0, 224.0]) + rng.uniform(-18, 18) + rng.uniform(-8, 8, 3)),
        rim=float(rng.uniform(0.17, 0.26)),
        weight=float(rng.uniform(0.85, 1.2)),
        variant=int(rng.integers(60)),
        speed=int(rng.integers(2, 14)) * 10,
    )


def _weather(rgb: Image, rng: np.random.Generator) -> Image:
    """Uneven light, a film of dirt and a few stains, all from low-resolution fields."""
    size = rgb.shape[0]
    film = 1.0 + rng.normal(0, 0.05, (5, 5)) + rng.uniform(-0.12, 0.12) * np.linspace(-1, 1, 5)[:, None]
    stains = rng.random((9, 9)) * (rng.random((9, 9)) < rng.uniform(0, 0.15)) * rng.uniform(0.1, 0.45)
    light = cv2.resize(film.astype(np.float32), (size, size), interpolation=cv2.INTER_CUBIC)[..., None]
    dirt = cv2.resize(stains.astype(np.float32), (size, size), interpolation=cv2.INTER_LINEAR)[..., None]
    tint = rng.uniform(0.94, 1.06, 3).astype(np.float32)
    soiled = rgb * (light * tint) * (1 - dirt) + np.array((70, 62, 50), np.float32) * dirt
    return np.asarray(np.clip(soiled, 0, 255), np.uint8)


def _tilt(size_px: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """A slight rotation and perspective about the plate's center, kept inside the canvas."""
    square = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)], np.float64)
    angle = np.radians(np.clip(rng.normal(0, 2.5), -7, 7))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    squeeze = np.array([rng.uniform(0.86, 0.97), rng.uniform(0.93, 0.97)])
    moved = square @ turn.T * squeeze + rng.uniform(-0.03, 0.03, (4, 2))
    middle, half = (size_px - 1) / 2, size_px / 2
    pair = [(corners * half + middle).astype(np.float32) for corners in (square, moved)]
    return np.asarray(cv2.getPerspectiveTransform(pair[0], pair[1]), np.float64)


def draw_sign(label: str, size_px: int, seed: int) -> Image:
    """Draws one sign: (size_px, size_px, 4) uint8 RGBA, straight alpha, with color outside the plate too.

    `seed` determines fading, tint, dirt, tilt, stroke widths and the number of a speed limit (20 to 130). Raises
    `ValueError` for an unknown label or a size below 4.
    """
    if label not in DRAWINGS:
        raise ValueError(f"sign label must be one of {', '.join(SIGN_LABELS)}, got {label!r}")
    if size_px < 4:
        raise ValueError(f"size_px must be at least 4, got {size_px}")
    rng = np.random.default_rng((seed, SIGN_LABELS.index(label)))
    style = _style(rng)
    back, draw = DRAWINGS[label]
    canvas_px = max(SUPER_SAMPLING * size_px, SMALLEST_CANVAS_PX)
    plate = Plate(canvas_px, style.red if back == "red" else style.blue)
    draw(plate, style)
    soiled = _weather(plate.rgb, rng)
    tilt, shape = _tilt(canvas_px, rng), (canvas_px, canvas_px)
    rgb = cv2.warpPerspective(soiled, tilt, shape, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    alpha = cv2.warpPerspective(plate.alpha, tilt, shape, flags=cv2.INTER_LINEAR)
    rgba = np.dstack([rgb, alpha])
    return np.asarray(cv2.resize(rgba, (size_px, size_px), interpolation=cv2.INTER_AREA), np.uint8)
