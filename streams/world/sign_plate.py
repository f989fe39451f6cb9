"""A canvas for traffic signs: polygons, strokes, arrows and a small alphabet in sign coordinates.

Sign coordinates: x to the right and y down, the plate within [-1, 1].
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from .sprites import Box, Image

Color = tuple[float, float, float]
Point = tuple[float, float]
Points = Sequence[Point] | NDArray[np.float64]

FIXED_POINT_BITS = 4  # cv2 draws at 1/16 px


def arc(center: Point, radii: Point, start_deg: float, end_deg: float) -> list[Point]:
    """Points on an ellipse from one angle to another; 0 is to the right, angles grow clockwise."""
    angles = np.radians(np.linspace(start_deg, end_deg, max(4, int(abs(end_deg - start_deg) / 12))))
    return [(float(center[0] + radii[0] * np.cos(a)), float(center[1] + radii[1] * np.sin(a))) for a in angles]


# Strokes in the unit square. Our own, because cv2's fonts differ between its releases.
GLYPHS: dict[str, list[list[tuple[float, float]]]] = {
    "0": [arc((0.5, 0.5), (0.45, 0.5), 0, 360)],
    "1": [[(0.2, 0.25), (0.6, 0.0), (0.6, 1.0)]],
    "2": [[*arc((0.5, 0.29), (0.42, 0.29), 190, 395), (0.08, 1.0), (0.95, 1.0)]],
    "3": [[*arc((0.48, 0.26), (0.4, 0.26), 200, 450), *arc((0.48, 0.74), (0.45, 0.26), -90, 155)]],
    "4": [[(0.72, 1.0), (0.72, 0.0), (0.04, 0.7), (0.98, 0.7)]],
    "5": [[(0.9, 0.0), (0.2, 0.0), (0.14, 0.44), *arc((0.48, 0.68), (0.44, 0.32), -130, 145)]],
    "6": [arc((0.5, 0.68), (0.44, 0.32), 0, 360), [(0.78, 0.0), (0.35, 0.3), (0.07, 0.62)]],
    "7": [[(0.04, 0.0), (0.96, 0.0), (0.4, 1.0)]],
    "8": [arc((0.5, 0.25), (0.37, 0.25), 0, 360), arc((0.5, 0.74), (0.45, 0.26), 0, 360)],
    "9": [arc((0.5, 0.32), (0.44, 0.32), 0, 360), [(0.22, 1.0), (0.65, 0.7), (0.93, 0.38)]],
    "S": [[*arc((0.5, 0.26), (0.41, 0.26), -30, -270), *arc((0.5, 0.75), (0.44, 0.25), -90, 150)]],
    "T": [[(0.0, 0.0), (1.0, 0.0)], [(0.5, 0.0), (0.5, 1.0)]],
    "O": [arc((0.5, 0.5), (0.46, 0.5), 0, 360)],
    "P": [[(0.1, 1.0), (0.1, 0.0), (0.5, 0.0), *arc((0.5, 0.28), (0.42, 0.28), -90, 90), (0.1, 0.56)]],
    "k": [[(0.15, -0.1), (0.15, 1.0)], [(0.85, 0.3), (0.15, 0.7)], [(0.4, 0.55), (0.9, 1.0)]],
    "m": [[(0.05, 1.0), (0.05, 0.35), (0.5, 0.45), (0.5, 1.0)], [(0.5, 0.45), (0.95, 0.4), (0.95, 1.0)]],
    ".": [[(0.45, 0.95), (0.5, 1.0)]],
}


class Plate:
    """A square canvas in sign coordinates, filled with `back` so that the plate's edge has no fringe."""

    def __init__(self, size_px: int, back: Color) -> None:
        self.size_px = size_px
        self.rgb: Image = np.full((size_px, size_px, 3), np.round(back), np.uint8)
        self.alpha: Image = np.zeros((size_px, size_px), np.uint8)

    def _fixed(self, points: Points) -> NDArray[np.int32]:
        scale = self.size_px / 2 * 0.98 * (1 << FIXED_POINT_BITS)
        center = (self.size_px - 1) / 2 * (1 << FIXED_POINT_BITS)
        return np.round(np.asarray(points, np.float64) * scale + center).astype(np.int32)

    def cut(self, points: Points) -> None:
        """Sets the outline of the plate."""
        cv2.fillPoly(self.alpha, [self._fixed(points)], 255, cv2.LINE_AA, FIXED_POINT_BITS)

    def fill(self, points: Points, color: Color) -> None:
        """Fills a polygon."""
        cv2.fillPoly(self.rgb, [self._fixed(points)], color, cv2.LINE_AA, FIXED_POINT_BITS)

    def disc(self, cx: float, cy: float, radius: float, color: Color) -> None:
        """Fills a disc."""
        self.fill(arc((cx, cy), (radius, radius), 0, 360), color)

    def stroke(self, points: Points, width: float, color: Color) -> None:
        """Draws a polyline with round ends; `width` in sign coordinates."""
        width_px = max(1, round(width * self.size_px / 2))
        cv2.polylines(self.rgb, [self._fixed(points)], False, color, width_px, cv2.LINE_AA, FIXED_POINT_BITS)

    def arrow(self, points: Points, width: float, color: Color) -> None:
        """Draws a polyline with an arrowhead at its last point."""
        path = np.asarray(points, np.float64)
        along = (path[-1] - path[-2]) / np.linalg.norm(path[-1] - path[-2])
        across = np.array([-along[1], along[0]])
        tip, neck = path[-1] + along * width * 0.5, path[-1] - along * width * 1.3
        self.stroke([*path[:-1], neck], width, color)
        self.fill(np.stack([tip, neck + across * width * 1.35, neck - across * width * 1.35]), color)

    def text(self, text: str, box: Box, weight: float, color: Color) -> None:
        """Writes characters of `GLYPHS` side by side into a box (left, top, right, bottom)."""
        left, top, right, bottom = box
        advance = (right - left) / (len(text) - 0.25)
        for index, character in enumerate(text):
            for line in GLYPHS[character]:
                at = np.asarray(line) * (advance * 0.75, bottom - top) + (left + index * advance, top)
                self.stroke(at, weight, color)
