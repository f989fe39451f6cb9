"""Pictures with alpha, pasted into a frame upright or in perspective."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Floats = NDArray[np.float64]
Box = tuple[float, float, float, float]  # xyxy

SMALLEST_LEVEL_PX = 8
RESIZE_FROM_PX = 16_000


def value_noise(shape: tuple[int, int], cells: int, rng: np.random.Generator, octaves: int = 4) -> NDArray[np.float32]:
    """Smooth noise of mean 0 and deviation about 1 that repeats across its width and height.

    shape (height, width) px; `cells` grid cells along the width in the coarsest octave, doubled each octave.
    """
    height, width = shape
    total = np.zeros(shape, np.float32)
    for octave in range(octaves):
        columns = cells << octave
        rows = max(2, columns * height // width)
        grid = np.pad(rng.normal(size=(rows, columns)), 2, mode="wrap").astype(np.float32)
        tall, wide = height * (rows + 4) // rows, width * (columns + 4) // columns
        smooth = cv2.resize(grid, (wide, tall), interpolation=cv2.INTER_CUBIC)
        top, left = height * 2 // rows, width * 2 // columns
        total += smooth[top : top + height, left : left + width] * 0.6**octave
    return np.asarray(total / max(float(total.std()), 1e-6), np.float32)


def fill_polygon(picture: Image, points: Sequence[tuple[float, float]] | Floats, color: tuple[float, ...]) -> None:
    """Fills a polygon of (x, y) px with antialiased edges, exact to 1/16 px."""
    cv2.fillPoly(picture, [np.round(np.asarray(points) * 16).astype(np.int32)], color, cv2.LINE_AA, 4)


class Sprite:
    """An RGBA picture with premultiplied color, and half-sized levels of it so that distant copies don't flicker."""

    def __init__(self, rgba: Image) -> None:
        premultiplied = rgba.copy()
        premultiplied[..., :3] = (rgba[..., :3].astype(np.uint16) * rgba[..., 3:] + 127) // 255
        self.levels: list[Image] = [premultiplied]
        self._splits: dict[int, list[Sprite]] = {}
        while min(self.levels[-1].shape[:2]) >= 2 * SMALLEST_LEVEL_PX:
            height, width = self.levels[-1].shape[:2]
            half = cv2.resize(self.levels[-1], (width // 2, height // 2), interpolation=cv2.INTER_AREA)
            self.levels.append(np.asarray(half, np.uint8))

    @property
    def aspect(self) -> float:
        """Width over height."""
        height, width = self.levels[0].shape[:2]
        return float(width / height)

    def crop(self, start: float, end: float) -> Sprite:
        """The columns between two shares of the width, as views of the levels."""
        part = Sprite.__new__(Sprite)
        part.levels, part._splits = [], {}
        for level in self.levels:
            width = level.shape[1]
            first = min(int(width * start), width - 2)
            part.levels.append(level[:, first : max(int(width * end), first + 2)])
        return part

    def mirrored(self) -> Sprite:
        """The sprite with left and right swapped."""
        other = self.crop(0.0, 1.0)
        other.levels = [np.ascontiguousarray(level[:, ::-1]) for level in self.levels]
        return other

    def split(self, count: int) -> list[Sprite]:
        """`count` parts of equal width, from left to right."""
        if count not in self._splits:
            self._splits[count] = [self.crop(i / count, (i + 1) / count) for i in range(count)]
        return self._splits[count]

    def level(self, scale: float) -> Image:
        """The level to draw at `scale` of the full picture: at most twice as large as needed."""
        index = int(np.floor(np.log2(1 / max(scale, 1e-6)) + 0.05))
        return self.levels[min(max(index, 0), len(self.levels) - 1)]


def _blend(image: Image, patch: Image, left: int, top: int, light: float) -> None:
    height, width = patch.shape[:2]
    target = image[top : top + height, left : left + width]
    beneath = cv2.cvtColor(255 - patch[..., 3], cv2.COLOR_GRAY2BGR)
    lit = cv2.cvtColor(patch, cv2.COLOR_RGBA2RGB)
    if light != 1.0:
        lit = cv2.convertScaleAbs(lit, alpha=light)
    target[:] = cv2.add(cv2.multiply(target, beneath, scale=1 / 255), lit)


def paste(image: Image, sprite: Sprite, xyxy: Box, light: float = 1.0) -> None:
    """Draws the sprite into the box `xyxy` px of `image` (H, W, 3), clipped; `light` scales its color."""
    x0, y0, x1, y1 = xyxy
    left, top = max(0, int(np.floor(x0))), max(0, int(np.floor(y0)))
    right, bottom = min(image.shape[1], int(np.ceil(x1))), min(image.shape[0], int(np.ceil(y1)))
    if right <= left or bottom <= top or x1 - x0 < 0.5 or y1 - y0 < 0.5:
        return
    level = sprite.level((y1 - y0) / sprite.levels[0].shape[0])
    sx, sy = level.shape[1] / (x1 - x0), level.shape[0] / (y1 - y0)
    if (right - left) * (bottom - top) > RESIZE_FROM_PX:
        # Twice as fast; its edges are off by up to half a pixel, which is invisible at this size.
        first_x, last_x = int((left - x0) * sx), int(np.ceil((right - x0) * sx))
        first_y, last_y = int((top - y0) * sy), int(np.ceil((bottom - y0) * sy))
        part = level[max(first_y, 0) : last_y, max(first_x, 0) : last_x]
        at_x, at_y = round(x0 + max(first_x, 0) / sx), round(y0 + max(first_y, 0) / sy)
        size = (max(1, round(part.shape[1] / sx)), max(1, round(part.shape[0] / sy)))
        whole = np.asarray(cv2.resize(part, size, interpolation=cv2.INTER_LINEAR), np.uint8)
        cut_x, cut_y = max(0, -at_x), max(0, -at_y)
        wide, tall = image.shape[1] - at_x, image.shape[0] - at_y
        _blend(image, whole[cut_y:tall, cut_x:wide], at_x + cut_x, at_y + cut_y, light)
        return
    to_level = np.array([[sx, 0, (left + 0.5 - x0) * sx - 0.5], [0, sy, (top + 0.5 - y0) * sy - 0.5]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    patch = cv2.warpAffine(level, to_level, (right - left, bottom - top), flags=flags)
    _blend(image, np.asarray(patch, np.uint8), left, top, light)


def paste_quad(image: Image, sprite: Sprite, quad: Floats, light: float = 1.0) -> None:
    """Draws the sprite onto `quad` (4, 2) px: its top-left, top-right, bottom-right and bottom-left corner."""
    low, high = np.floor(quad.min(axis=0)), np.ceil(quad.max(axis=0))
    left, top = int(max(0, low[0])), int(max(0, low[1]))
    right, bottom = int(min(image.shape[1], high[0])), int(min(image.shape[0], high[1]))
    if right <= left or bottom <= top:
        return
    across, down = quad[2] - quad[0], quad[3] - quad[1]
    area = abs(across[0] * down[1] - across[1] * down[0]) / 2
    full = sprite.levels[0]
    level = sprite.level(float(np.sqrt(area / (full.shape[0] * full.shape[1]))))
    height, width = level.shape[:2]
    corners = np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float32) - 0.5
    moved = (quad - (left, top) - 0.5).astype(np.float32)
    if abs(moved[0, 0] - moved[1, 0]) < 0.3:  # seen edge-on
        return
    to_image = cv2.getPerspectiveTransform(corners, moved)
    patch = cv2.warpPerspective(level, to_image, (right - left, bottom - top), flags=cv2.INTER_LINEAR)
    _blend(image, np.asarray(patch, np.uint8), left, top, light)
