"""The published grid of one CURE-TSD frame under every challenge and level: its cells, and their statistics.

The picture (`curetsd_challenges.png` of olivesgatech/CURE-TSD) has no challenge-free cell, but one can be had: a
shadow of opacity o leaves (1 - o) of the light, so a straight line through the shadow cells of three levels says for
every pixel what it is at opacity 0. (The line's slope is -1.0 times that in the bars and 0.0 between them.)

How large a cell pixel is: shadow's bars, 142 px wide as published, repeat every 17.2 of them, so one is 8.25 px of a
CURE-TSD frame and a cell shows 1007 of its 1628 px. A lens blur of the published radii agrees to 5 % at every level.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

from gradwatch import MissingFileError
from gradwatch.streams.challenges.table import CHALLENGES, LEVELS
from gradwatch.streams.recordings.cure_names import CURE_TSD_CHALLENGES

Image = NDArray[np.uint8]

GRID = Path("data/cure_tsd_reference/curetsd_challenges.png")
CELL_PX = (122, 72)
CELL_LEFT_PX = (144, 272, 402, 530, 660)
CELL_TOP_PX = (42, 124, 206, 286, 366, 446, 526, 604, 686, 764, 842, 918)
TRIM_PX = 3  # cells have white edges of up to 3 px

FRAME_WIDTH_PX = 1628
SHOWN_PX = (1007, 594)
ENLARGEMENTS = 12
SHADOW_OPACITY = (0.15, 0.30, 0.45)  # the levels whose cells lie on the same pixels

# Gaussian blur's first cell is blurred more than its second: the picture has them the wrong way round.
SWAPPED = {("gaussian_blur", 1): 2, ("gaussian_blur", 2): 1}


class Statistics(msgspec.Struct, frozen=True):
    """What a picture is like: mean luma, its standard deviation, colorfulness, variance of luma's Laplacian."""

    luma: float
    contrast: float
    colorfulness: float
    laplacian: float


def statistics_of(image: Image) -> Statistics:
    """Statistics of an (H, W, 3) uint8 RGB picture, H and W at least 3.

    Colorfulness is M3 of Hasler and Süsstrunk ("Measuring colorfulness in natural images", HVEI 2003): spread and
    mean of red - green and of (red + green) / 2 - blue.
    """
    red, green, blue = np.moveaxis(image.astype(np.float64), 2, 0)
    red_green, yellow_blue = red - green, (red + green) / 2 - blue
    spread = np.hypot(red_green.std(), yellow_blue.std())
    mean = np.hypot(red_green.mean(), yellow_blue.mean())
    luma = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float64)
    laplacian = np.asarray(cv2.Laplacian(luma, cv2.CV_64F))[1:-1, 1:-1]
    return Statistics(*(float(x) for x in (luma.mean(), luma.std(), spread + 0.3 * mean, laplacian.var())))


def read_grid(path: Path) -> Image:
    """The picture (1000, 792, 3) uint8 RGB. Raises MissingFileError, ValueError for a picture of another size."""
    if not path.is_file():
        raise MissingFileError(f"expected CURE-TSD's grid of challenges at {path}, got nothing there")
    grid = cv2.imread(str(path), cv2.IMREAD_COLOR_RGB)
    if grid is None or grid.shape != (1000, 792, 3):
        raise ValueError(f"expected a picture of 792 x 1000 px at {path}, got {None if grid is None else grid.shape}")
    return np.asarray(grid, dtype=np.uint8)


def cell(grid: Image, name: str, level: int) -> Image:
    """One cell (72, 122, 3), by the challenge's name and the level that it shows."""
    column = CELL_LEFT_PX[SWAPPED.get((name, level), level) - 1]
    row = CELL_TOP_PX[CURE_TSD_CHALLENGES.index(name) - 1]
    shown: Image = grid[row : row + CELL_PX[1], column : column + CELL_PX[0]]
    return shown


def trimmed(image: Image) -> Image:
    """A cell without its edges."""
    return np.ascontiguousarray(image[TRIM_PX:-TRIM_PX, TRIM_PX:-TRIM_PX])


def clean_cell(grid: Image) -> Image:
    """The frame without a challenge (72, 122, 3), out of the shadow cells."""
    shaded = np.stack([cell(grid, "shadow", level).ravel() for level in (1, 2, 3)]).astype(np.float64)
    line = np.stack([np.ones(3), np.array(SHADOW_OPACITY)], axis=1)
    at_zero = np.linalg.lstsq(line, shaded, rcond=None)[0][0].reshape(CELL_PX[1], CELL_PX[0], 3)
    return np.asarray(np.clip(at_zero.round(), 0, 255), dtype=np.uint8)


def frame_of(clean: Image) -> Image:
    """A frame (594, 1628, 3) whose right part, shrunk, is the cell; left of it is its mirror image.

    The cell is put at the right edge because its vanishing point then lies near the middle of the frame. It is
    enlarged until shrinking gives it back (iterative back-projection), else two fifths of its Laplacian would be lost.
    """
    target = clean.astype(np.float32)
    large = cv2.resize(target, SHOWN_PX, interpolation=cv2.INTER_CUBIC)
    for _ in range(ENLARGEMENTS):
        missing = target - cv2.resize(large, CELL_PX, interpolation=cv2.INTER_AREA)
        large = np.clip(large + cv2.resize(missing, SHOWN_PX, interpolation=cv2.INTER_CUBIC), 0, 255)
    shown = large.round().astype(np.uint8)
    left_px = FRAME_WIDTH_PX - SHOWN_PX[0]
    return np.asarray(cv2.copyMakeBorder(shown, 0, 0, left_px, 0, cv2.BORDER_REFLECT_101), dtype=np.uint8)


def cell_of(frame: Image) -> Image:
    """The inverse of `frame_of`: the right part of a frame (594, 1628, 3), shrunk to a cell (72, 122, 3)."""
    shown = np.ascontiguousarray(frame[:, -SHOWN_PX[0] :])
    return np.asarray(cv2.resize(shown, CELL_PX, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def grid_statistics(grid: Image) -> dict[str, tuple[Statistics, ...]]:
    """Statistics of every cell, by challenge, levels 1 to 5."""
    return {name: tuple(statistics_of(trimmed(cell(grid, name, level))) for level in LEVELS) for name in CHALLENGES}


REFERENCE_FIGURES: dict[str, tuple[tuple[float, ...], ...]] = {
    "decolorization": (
        (105.9, 105.0, 104.2, 103.2, 102.2),
        (65.8, 65.7, 65.7, 65.7, 65.6),
        (23.5, 17.7, 11.9, 6.2, 0.0),
        (2347.4, 2340.4, 2320.7, 2313.4, 2299.6),
    ),
    "lens_blur": (
        (108.9, 109.7, 109.3, 109.8, 110.2),
        (65.5, 65.4, 65.6, 65.1, 64.6),
        (28.7, 28.3, 28.1, 27.6, 27.0),
        (2154.6, 1746.7, 1250.2, 826.3, 523.1),
    ),
    "codec_error": (
        (108.0, 114.6, 106.3, 104.9, 104.3),
        (61.3, 65.4, 59.0, 60.2, 59.8),
        (31.8, 31.1, 29.4, 28.3, 26.7),
        (2243.2, 3859.8, 2490.6, 2134.4, 2226.3),
    ),
    "darkening": (
        (78.9, 42.2, 22.4, 11.8, 6.2),
        (47.8, 25.4, 13.7, 7.3, 4.0),
        (21.3, 11.6, 6.2, 3.3, 1.7),
        (1256.7, 359.4, 104.5, 32.0, 10.3),
    ),
    "dirty_lens": (
        (108.8, 116.3, 133.4, 145.0, 139.9),
        (64.5, 66.9, 62.6, 56.3, 28.4),
        (28.8, 30.4, 27.8, 23.2, 13.3),
        (2282.6, 2298.3, 1749.7, 1233.1, 615.2),
    ),
    "exposure": (
        (155.6, 189.3, 215.4, 240.9, 252.2),
        (80.3, 75.0, 52.7, 26.7, 8.7),
        (31.2, 22.5, 25.6, 27.9, 21.0),
        (2188.3, 2185.5, 1960.6, 948.5, 186.4),
    ),
    "gaussian_blur": (
        (109.1, 110.1, 110.8, 111.4, 111.9),
        (65.6, 65.2, 64.6, 63.9, 63.2),
        (28.8, 28.0, 27.3, 26.6, 26.0),
        (2133.2, 1463.8, 810.2, 428.4, 232.9),
    ),
    "noise": (
        (106.1, 106.3, 107.8, 110.0, 112.5),
        (65.2, 62.3, 56.4, 48.7, 41.7),
        (29.2, 28.5, 26.5, 24.3, 22.1),
        (2288.4, 2074.7, 1737.6, 1375.4, 1137.1),
    ),
    "rain": (
        (114.7, 123.8, 127.2, 129.7, 127.2),
        (41.7, 37.7, 36.3, 35.0, 32.7),
        (17.9, 15.9, 15.2, 14.9, 12.9),
        (559.6, 381.1, 330.2, 306.6, 258.7),
    ),
    "shadow": (
        (100.0, 91.8, 83.7, 75.1, 67.1),
        (60.9, 57.9, 56.8, 57.8, 60.3),
        (27.4, 25.7, 24.3, 23.4, 22.6),
        (2027.9, 1840.4, 1810.9, 1893.3, 2132.3),
    ),
    "snow": (
        (108.7, 115.1, 139.2, 166.8, 189.7),
        (66.1, 71.9, 83.5, 90.6, 71.4),
        (28.2, 25.4, 18.6, 8.1, 4.9),
        (2427.6, 2764.9, 2774.3, 2208.4, 1133.2),
    ),
    "haze": (
        (109.9, 122.4, 135.8, 178.8, 187.9),
        (41.9, 30.7, 19.6, 24.1, 30.3),
        (19.2, 13.7, 8.7, 6.8, 6.6),
        (963.9, 490.8, 194.0, 107.3, 99.9),
    ),
}
"""What `grid_statistics` says: luma, contrast, colorfulness and Laplacian of levels 1 to 5, to one decimal."""

REFERENCE = {
    name: tuple(Statistics(*figures) for figures in zip(*rows, strict=True)) for name, rows in REFERENCE_FIGURES.items()
}
