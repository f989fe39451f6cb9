"""Cars, vans and lorries, seen from behind, from the front and from the side."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from .sprites import Image, Sprite, fill_polygon

SIZE_M = {"car": (1.8, 1.46, 4.3), "van": (1.95, 2.2, 5.2), "lorry": (2.5, 3.6, 9.0)}  # width, height, length
PAINTS = ((34, 36, 40), (196, 198, 200), (132, 136, 140), (226, 226, 222), (120, 26, 28), (36, 58, 104), (70, 84, 70))
PX_PER_M = 72


@dataclass(frozen=True, slots=True)
class Vehicle:
    """One vehicle's pictures and size."""

    rear: Sprite
    front: Sprite
    side: Sprite  # front end to the left
    mirrored_side: Sprite  # front end to the right
    width_m: float
    height_m: float
    length_m: float
    taper_m: float  # distance of the roof's edge inward from the flank


def _end(kind: str, paint: NDArray[np.float64], rng: np.random.Generator, rear: bool) -> Sprite:
    """Front or rear; drawn in m from the top left."""
    w, h, _ = SIZE_M[kind]
    picture = np.zeros((round(h * PX_PER_M), round(w * PX_PER_M), 4), np.uint8)
    dark, lit, glass = tuple(paint * 0.62), tuple(paint * 1.12 + 8), (52.0, 62.0, 72.0)

    def fill(points: list[tuple[float, float]], color: tuple[float, ...]) -> None:
        fill_polygon(picture, np.asarray(points) * PX_PER_M, (*color, 255))

    def rectangle(x0: float, y0: float, x1: float, y1: float, color: tuple[float, ...]) -> None:
        fill([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], color)

    for x in (0.1 * w, 0.78 * w):
        rectangle(x, h - 0.4, x + 0.12 * w, h, (18.0, 18.0, 20.0))
    if kind == "lorry" and rear:
        rectangle(0, 0, w, h - 0.55, tuple(paint))
        rectangle(0.06, 0.06, w - 0.06, h - 0.62, lit)
        rectangle(w / 2 - 0.02, 0.06, w / 2 + 0.02, h - 0.62, dark)
        rectangle(0.05, h - 0.7, w - 0.05, h - 0.35, (40.0, 40.0, 42.0))
    else:
        waist = h * (0.5 if kind == "car" else 0.46)
        shoulder = 0.22 * w if kind == "car" else 0.07 * w
        fill([(shoulder, 0.03), (w - shoulder, 0.03), (w - 0.05 * w, waist), (0.05 * w, waist)], tuple(paint))
        inset = 0.05 * w
        fill([(shoulder + inset, 0.12 * h), (w - shoulder - inset, 0.12 * h), (w - 0.1 * w, waist - 0.03),
              (0.1 * w, waist - 0.03)], glass)  # fmt: skip
        fill([(shoulder + inset, 0.12 * h), (w / 2, 0.12 * h), (w * 0.3, waist - 0.03), (0.1 * w, waist - 0.03)],
             (88.0, 102.0, 116.0))  # fmt: skip
        fill([(0.02, waist), (w - 0.02, waist), (w, h * 0.66), (w - 0.03, h - 0.18), (0.03, h - 0.18), (0, h * 0.66)],
             tuple(paint))  # fmt: skip
        rectangle(0.06, waist + 0.02, w - 0.06, waist + 0.1 * h, lit)
        rectangle(0.05, h - 0.4, w - 0.05, h - 0.2, dark if rng.random() < 0.6 else (48.0, 48.0, 50.0))
    lamp = (168.0, 28.0, 26.0) if rear else (236.0, 234.0, 224.0)
    top = h - 0.62 if kind == "lorry" else h * 0.57
    for x0, x1 in ((0.03, 0.17 * w), (w - 0.17 * w, w - 0.03)):
        rectangle(x0, top, x1, top + (0.2 if rear else 0.15), lamp)
    rectangle(w / 2 - 0.26, h - 0.52, w / 2 + 0.26, h - 0.41, (214.0, 212.0, 190.0))
    if not rear:
        rectangle(w * 0.24, h * 0.6, w * 0.76, h * 0.7, (28.0, 28.0, 30.0))
    return Sprite(picture)


def _side(kind: str, paint: NDArray[np.float64]) -> Image:
    """The side, front end to the left."""
    _, h, length = SIZE_M[kind]
    picture = np.zeros((round(h * PX_PER_M * 0.7), round(length * PX_PER_M * 0.7), 4), np.uint8)
    px_per_m = PX_PER_M * 0.7
    if kind == "car":
        outline = [(0.02, 0.75), (0.7, 0.62), (1.1, 0.05), (4.1, 0.03), (4.26, 0.55), (4.28, 0.7)]
        windows = [(0.95, 0.6), (1.25, 0.16), (3.9, 0.14), (4.05, 0.55)]
    else:
        slope = 0.02 if kind == "lorry" else 0.3
        outline = [(0.02, h * 0.45), (slope, 0.03), (length - 0.02, 0.03)]
        windows = [(0.5, h * 0.42), (0.8, h * 0.14), (1.5, h * 0.14), (1.5, h * 0.42)]
    outline += [(length - 0.02, h - 0.22), (0.02, h - 0.22)]
    for points, color in ((outline, tuple(paint * 0.8)), (windows, (46.0, 54.0, 62.0))):
        fill_polygon(picture, np.asarray(points) * px_per_m, (*color, 255))
    for x in (0.85, length - 0.85):
        center = (round(x * px_per_m), round((h - 0.32) * px_per_m))
        cv2.circle(picture, center, round(0.34 * px_per_m), (16, 16, 18, 255), -1, cv2.LINE_AA)
        cv2.circle(picture, center, round(0.19 * px_per_m), (120, 122, 124, 255), -1, cv2.LINE_AA)
    return picture


def draw_vehicle(kind: str, rng: np.random.Generator) -> Vehicle:
    """Draws a "car", "van" or "lorry" in a random color."""
    paint = np.asarray(PAINTS[int(rng.integers(len(PAINTS)))], np.float64) * rng.uniform(0.85, 1.1)
    side = _side(kind, paint)
    return Vehicle(
        _end(kind, paint, rng, rear=True),
        _end(kind, paint, rng, rear=False),
        Sprite(side),
        Sprite(np.ascontiguousarray(side[:, ::-1])),
        *SIZE_M[kind],
        taper_m={"car": 0.36, "van": 0.12, "lorry": 0.0}[kind],
    )
