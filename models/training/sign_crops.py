"""Pictures of single signs, and the 32 px crops that a camera and a detector would make of them.

Two kinds of folder are read: `sprites.csv` with drawn signs (`file,label,seed`; RGBA PNG of one size), as
`gradwatch.models.training.training_pictures` writes them, and the sheets of the German Traffic Sign Recognition
Benchmark with `train_index.csv` and `classes.csv` (Stallkamp et al. 2012, https://doi.org/10.1016/j.neunet.2012.02.016).
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from gradwatch import MissingFileError

from ..crops import MARGIN
from ..crops import SIZE_PX as CROP_PX
from ..outputs import SIGN_CLASSES

Bytes = NDArray[np.uint8]

# Drawn once, because fresh noise took most of a step's time; each call takes a random piece of it.
_NOISE = np.random.default_rng(0).standard_normal((320, 544, 3), np.float32)
HIDDEN_SHARE = 0.3  # of the crops have something in front of their sign
PICTURE_PX = 64  # side of the stored pictures, and of the canvas that crops are composed on


@dataclass(frozen=True, slots=True)
class SignPictures:
    """n pictures of single signs.

    rgba (n, 64, 64, 4) uint8, class_id (n,) into `SIGN_CLASSES`, drawn (n,) true for sprites: those fill their
    picture and have a shape in alpha; photographs keep the border that they were cut with.
    """

    rgba: Bytes
    class_id: NDArray[np.int64]
    drawn: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.class_id)

    def __getitem__(self, index: Any) -> SignPictures:
        return SignPictures(self.rgba[index], self.class_id[index], self.drawn[index])


def concatenate(parts: list[SignPictures]) -> SignPictures:
    """The pictures of all parts, in order."""
    return SignPictures(
        np.concatenate([part.rgba for part in parts]),
        np.concatenate([part.class_id for part in parts]),
        np.concatenate([part.drawn for part in parts]),
    )


def read_sprites(folder: Path) -> SignPictures:
    """The drawn signs that `folder/sprites.csv` lists; raises ValueError for an unknown label."""
    rows = read_rows(folder / "sprites.csv")
    for row in rows:
        if row["label"] not in SIGN_CLASSES:
            raise ValueError(f"expected a label of SIGN_CLASSES, got {row['label']!r} in {folder / 'sprites.csv'}")
    rgba = [read_picture(folder / row["file"], cv2.IMREAD_UNCHANGED) for row in rows]
    resized = np.stack(
        [cv2.resize(picture, (PICTURE_PX, PICTURE_PX), interpolation=cv2.INTER_AREA) for picture in rgba]
    )
    class_id = np.array([SIGN_CLASSES.index(row["label"]) for row in rows])
    return SignPictures(resized.astype(np.uint8), class_id, np.ones(len(rows), bool))


def read_gtsrb(folder: Path, fold: str) -> SignPictures:
    """GTSRB's crops of the classes that CURE-TSD has too.

    `fold` is "train" or "val" (by track, so that frames of one sign stay together), or "test_public".
    """
    twin = {row["class_id"]: row["cure_tsd_name"] for row in read_rows(folder / "classes.csv") if row["cure_tsd_name"]}
    index = "test_public_index.csv" if fold == "test_public" else "train_index.csv"
    rows = [row for row in read_rows(folder / index) if row["class_id"] in twin and row.get("split", fold) == fold]
    sheets = {name: read_picture(folder / name) for name in {row["sheet"] for row in rows}}
    rgba = np.full((len(rows), PICTURE_PX, PICTURE_PX, 4), 255, np.uint8)
    for picture, row in zip(rgba, rows, strict=True):
        y, x = int(row["row"]) * CROP_PX, int(row["col"]) * CROP_PX
        crop = np.ascontiguousarray(sheets[row["sheet"]][y : y + CROP_PX, x : x + CROP_PX])
        picture[..., :3] = cv2.resize(crop, (PICTURE_PX, PICTURE_PX), interpolation=cv2.INTER_CUBIC)
    class_id = np.array([SIGN_CLASSES.index(twin[row["class_id"]]) for row in rows])
    return SignPictures(rgba, class_id, np.zeros(len(rows), bool))


def gtsrb_crops(pictures: SignPictures) -> Bytes:
    """The photographs as the benchmark gives them, (n, 32, 32, 3) uint8 RGB."""
    crops = [cv2.resize(p, (CROP_PX, CROP_PX), interpolation=cv2.INTER_AREA) for p in pictures.rgba[..., :3]]
    return np.stack(crops).astype(np.uint8)


def read_backgrounds(folder: Path) -> list[Bytes]:
    """Every picture of `folder` that `backgrounds.csv` lists (column `file`), RGB."""
    return [read_picture(folder / row["file"]) for row in read_rows(folder / "backgrounds.csv")]


def take_crop(
    rgba: Bytes, drawn: bool, backgrounds: list[Bytes], rng: np.random.Generator, sign_px: float | None = None
) -> Bytes:
    """One (32, 32, 3) uint8 RGB crop as a detector's box would cut it out of a camera's frame.

    The sign is `sign_px` px long in that frame (drawn from 8 to 48, logarithmically, when None); a box misses
    the sign's place by up to a tenth and its size a little more. Photographs keep their border and move less.
    """
    if sign_px is None:
        sign_px = float(np.exp(rng.uniform(np.log(8), np.log(48))))
    canvas = _canvas(backgrounds, rng)
    part = 1 / (1 + MARGIN) * rng.uniform(0.78, 1.12) if drawn else rng.uniform(0.9, 1.15)
    picture = vary_color(rgba, rng) if drawn else rgba
    canvas = paste(canvas, picture, _placement(part, rng), photograph=not drawn)
    if rng.random() < HIDDEN_SHARE:
        _hide(canvas, rng)
    crop_px = max(8, round(sign_px / part)) if drawn else max(10, round(sign_px * 1.3))
    return _camera(canvas, crop_px, rng)


def vary_color(picture: Bytes, rng: np.random.Generator, strength: float = 1.0) -> Bytes:
    """The picture (h, w, 3) or (h, w, 4) under another light: exposure, contrast, gamma, color cast; alpha is kept.

    `strength` 1 doubles or halves the exposure about once in a hundred calls.
    """
    level = np.linspace(0, 1, 256)[:, None] ** np.exp(strength * rng.normal(0, 0.2))
    level = (level - 0.5) * np.exp(strength * rng.normal(0, 0.2)) + 0.5 + strength * rng.normal(0, 0.05)
    level = level * np.exp(strength * rng.normal(0, 0.25)) * np.exp(strength * rng.normal(0, 0.05, 3))
    table = np.clip(level * 255, 0, 255).astype(np.uint8)
    varied: Bytes = picture.copy()
    varied[..., :3] = cv2.LUT(np.ascontiguousarray(picture[..., :3]), table[:, None])
    return varied


def paste(canvas: Bytes, rgba: Bytes, placement: NDArray[np.float64], *, photograph: bool) -> Bytes:
    """`rgba` moved by the (2, 3) `placement` onto `canvas` (h, w, 3); a photograph fills the rest by its edge."""
    size = (canvas.shape[1], canvas.shape[0])
    if photograph:
        return np.asarray(cv2.warpAffine(rgba[..., :3], placement, size, borderMode=cv2.BORDER_REPLICATE), np.uint8)
    # The color is spread with alpha, so that what lies beneath transparent pixels never shows at the edge.
    alpha = rgba[..., 3:].astype(np.float32) / 255
    layer = np.concatenate([rgba[..., :3] * alpha, alpha], axis=2)
    moved = cv2.warpAffine(layer, placement, size)
    return np.asarray(np.clip(canvas * (1 - moved[..., 3:]) + moved[..., :3], 0, 255), np.uint8)


def blur(picture: Bytes, rng: np.random.Generator, strength: float) -> Bytes:
    """Defocus or motion blur, each on its own in a third of the calls; `strength` is the worst radius in px."""
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


def add_noise(picture: Bytes, rng: np.random.Generator) -> Bytes:
    """Sensor noise of up to 10 gray levels, and JPEG of quality 50 to 95 in every second call; at most 544x320 px."""
    height, width = picture.shape[:2]
    y, x = int(rng.integers(_NOISE.shape[0] - height + 1)), int(rng.integers(_NOISE.shape[1] - width + 1))
    noise = _NOISE[y : y + height, x : x + width] * np.float32(rng.uniform(0, 10))
    noisy = np.clip(picture + noise, 0, 255).astype(np.uint8)
    if rng.random() < 0.5:
        return noisy
    _, content = cv2.imencode(".jpg", noisy, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(50, 96))])
    return np.asarray(cv2.imdecode(content, cv2.IMREAD_COLOR), np.uint8)


def _canvas(backgrounds: list[Bytes], rng: np.random.Generator) -> Bytes:
    """A (64, 64, 3) patch of some background, often with the sign's pole."""
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


def _hide(canvas: Bytes, rng: np.random.Generator) -> None:
    """Puts a post, a branch or the flank of a vehicle in front of the sign, in place: at most two fifths of it."""
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


def _placement(part: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Places a 64 px picture so that it takes `part` of the canvas: turned, narrowed, sheared and off center."""
    angle, narrow, shear = rng.normal(0, 0.06), rng.uniform(0.82, 1.0), rng.normal(0, 0.04)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    linear = turn @ np.array([[narrow, shear], [0, 1.0]]) * part
    center = np.full(2, PICTURE_PX / 2 - 0.5)
    offset = center + rng.uniform(-0.1, 0.1, 2) * part * PICTURE_PX - linear @ center
    return np.column_stack([linear, offset])


def _camera(canvas: Bytes, crop_px: int, rng: np.random.Generator) -> Bytes:
    """What is left of the canvas when a frame shows it `crop_px` px wide, at the classifier's input size."""
    blurred = blur(canvas, rng, strength=2.5)
    size = min(crop_px, PICTURE_PX)
    small = np.asarray(cv2.resize(blurred, (size, size), interpolation=cv2.INTER_AREA), np.uint8)
    frame = add_noise(vary_color(small, rng, strength=0.6), rng)
    way = cv2.INTER_AREA if crop_px > CROP_PX else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(frame, (CROP_PX, CROP_PX), interpolation=way), np.uint8)


def read_rows(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV table with a header."""
    with path.open(newline="") as lines:
        return list(csv.DictReader(lines))


def read_picture(path: Path, flags: int = cv2.IMREAD_COLOR) -> Bytes:
    """The picture (h, w, 3) RGB, or (h, w, 4) RGBA with `cv2.IMREAD_UNCHANGED`; raises FileNotFoundError."""
    picture = cv2.imread(str(path), flags)
    if picture is None:
        raise MissingFileError(f"no picture that OpenCV can read at {path}")
    order = [2, 1, 0, 3][: picture.shape[2]]
    return np.ascontiguousarray(picture[..., order], np.uint8)
