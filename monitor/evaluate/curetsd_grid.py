"""The published grid of one CURE-TSD frame under every challenge and level: its cells and their statistics.

The picture is `curetsd_challenges.png` of olivesgatech/CURE-TSD. How its clean cell and its scale are known is in
`METHOD` of `challenges.py`. (The line through the shadow cells has a slope of -1.0 times the clean cell in the bars and
0.0 between them; a lens blur of the published radii agrees with the scale to 5 % at every level.)
"""

from __future__ import annotations

import csv
from pathlib import Path

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

from gradwatch import GradwatchError, MissingFileError
from gradwatch.streams.challenges.table import CHALLENGES
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

# Gaussian blur's first cell is blurred more than its second: they are exchanged in the picture.
SWAPPED = {("gaussian_blur", 1): 2, ("gaussian_blur", 2): 1}


class GridError(GradwatchError, ValueError):
    """A picture that is not the published grid."""


class Statistics(msgspec.Struct, frozen=True):
    """Statistics of a picture: mean luma, its standard deviation, colorfulness, variance of luma's Laplacian."""

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
    """The picture (1000, 792, 3) uint8 RGB. Raises MissingFileError, GridError for a picture of another size."""
    if not path.is_file():
        raise MissingFileError(f"expected CURE-TSD's grid of challenges at {path}, found no file")
    grid = cv2.imread(str(path), cv2.IMREAD_COLOR_RGB)
    if grid is None or grid.shape != (1000, 792, 3):
        raise GridError(f"expected a picture of 792 x 1000 px at {path}, got {None if grid is None else grid.shape}")
    return np.asarray(grid, dtype=np.uint8)


def cell(grid: Image, name: str, level: int) -> Image:
    """One cell (72, 122, 3) by challenge and level."""
    column = CELL_LEFT_PX[SWAPPED.get((name, level), level) - 1]
    row = CELL_TOP_PX[CURE_TSD_CHALLENGES.index(name) - 1]
    shown: Image = grid[row : row + CELL_PX[1], column : column + CELL_PX[0]]
    return shown


def trimmed(image: Image) -> Image:
    """A cell without its edges."""
    return np.ascontiguousarray(image[TRIM_PX:-TRIM_PX, TRIM_PX:-TRIM_PX])


def clean_cell(grid: Image) -> Image:
    """The frame without a challenge (72, 122, 3), from the shadow cells."""
    shaded = np.stack([cell(grid, "shadow", level).ravel() for level in (1, 2, 3)]).astype(np.float64)
    line = np.stack([np.ones(3), np.array(SHADOW_OPACITY)], axis=1)
    at_zero = np.linalg.lstsq(line, shaded, rcond=None)[0][0].reshape(CELL_PX[1], CELL_PX[0], 3)
    return np.asarray(np.clip(at_zero.round(), 0, 255), dtype=np.uint8)


def frame_of(clean: Image) -> Image:
    """A frame (594, 1628, 3) whose right part, shrunk, is the cell; left of it is its mirror image.

    At the right edge the vanishing point of the cell lies near the middle of the frame. The cell is enlarged by
    iterative back-projection, until shrinking gives it back; else two fifths of its Laplacian would be lost.
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


def _read_reference() -> dict[str, tuple[Statistics, ...]]:
    with Path(__file__).with_suffix(".csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    return {
        name: tuple(
            Statistics(*(float(row[field]) for field in Statistics.__struct_fields__))
            for row in rows
            if row["challenge"] == name
        )
        for name in CHALLENGES
    }


REFERENCE = _read_reference()
"""Statistics of every trimmed cell of the published picture by challenge, levels 1 to 5, to one decimal."""
