"""Pictures of single signs and of roads, read from the folders that the training commands are given.

Two kinds of folder are read: drawn signs (`sprites.csv`: file,label,seed; RGBA PNG of one size) and road pictures
(`backgrounds.csv`: file) as `gradwatch.models.training.training_pictures` writes them, and the sheets of the German
Traffic Sign Recognition Benchmark with `train_index.csv` and `classes.csv` (Stallkamp et al. 2012,
https://doi.org/10.1016/j.neunet.2012.02.016).
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from gradwatch import MissingFileError

from ..crops import SIZE_PX as CROP_PX
from ..outputs import SIGN_CLASSES

Pixels = NDArray[np.uint8]

NO_SIGN = -1  # class id of a crop that shows no sign
PICTURE_PX = 64  # side of the stored pictures


@dataclass(frozen=True, slots=True)
class SignPictures:
    """n pictures of single signs.

    rgba (n, 64, 64, 4) uint8, class_id (n,) into `SIGN_CLASSES`, drawn (n,) true for sprites: those fill their
    picture and have a shape in alpha; photographs keep the border that they were cut with.
    """

    rgba: Pixels
    class_id: NDArray[np.int64]
    drawn: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.class_id)

    def __getitem__(self, index: Any) -> SignPictures:
        return SignPictures(self.rgba[index], self.class_id[index], self.drawn[index])


def read_pictures(folders: Sequence[Path], gtsrb_fold: str) -> SignPictures:
    """The drawn signs of the folders that have `sprites.csv`, and the photographs (of `gtsrb_fold`) of the others."""
    parts = [read_sprites(f) if (f / "sprites.csv").is_file() else read_gtsrb(f, gtsrb_fold) for f in folders]
    columns = ("rgba", "class_id", "drawn")
    return SignPictures(*(np.concatenate([getattr(part, name) for part in parts]) for name in columns))


def read_sprites(folder: Path) -> SignPictures:
    """The drawn signs that `folder/sprites.csv` lists."""
    table = folder / "sprites.csv"
    rows = read_rows(table)
    rgba = [read_picture(folder / row["file"], cv2.IMREAD_UNCHANGED) for row in rows]
    resized = np.stack(
        [cv2.resize(picture, (PICTURE_PX, PICTURE_PX), interpolation=cv2.INTER_AREA) for picture in rgba]
    )
    return SignPictures(resized.astype(np.uint8), read_labels(rows, table), np.ones(len(rows), bool))


def read_gtsrb(folder: Path, fold: str) -> SignPictures:
    """GTSRB's crops of the classes that CURE-TSD has too.

    fold: "train" or "val" (split by track, so that frames of one sign stay together), or "test_public".
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


def gtsrb_crops(pictures: SignPictures) -> Pixels:
    """The photographs at the benchmark's own size, (n, 32, 32, 3) uint8 RGB."""
    crops = [cv2.resize(p, (CROP_PX, CROP_PX), interpolation=cv2.INTER_AREA) for p in pictures.rgba[..., :3]]
    return np.stack(crops).astype(np.uint8)


def read_backgrounds(folders: Sequence[Path]) -> list[Pixels]:
    """The road pictures (h, w, 3) RGB of all folders that have a `backgrounds.csv`."""
    tables = [folder / "backgrounds.csv" for folder in folders]
    return [read_picture(t.parent / row["file"]) for t in tables if t.is_file() for row in read_rows(t)]


def read_labels(rows: Sequence[dict[str, str]], path: Path) -> NDArray[np.int64]:
    """Class ids of the column `label` of the table at `path`, `NO_SIGN` where it is empty. Raises ValueError."""
    unknown = {row["label"] for row in rows} - {*SIGN_CLASSES, ""}
    if unknown:
        raise ValueError(f"expected labels of SIGN_CLASSES or none, got {sorted(unknown)} in {path}")
    return np.array([SIGN_CLASSES.index(row["label"]) if row["label"] else NO_SIGN for row in rows], np.int64)


def read_rows(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV table with a header. Raises MissingFileError."""
    if not path.is_file():
        raise MissingFileError(f"no table at {path}")
    with path.open(newline="") as lines:
        return list(csv.DictReader(lines))


def write_table(path: Path, header: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    """Writes a CSV table that `read_rows` reads."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def read_picture(path: Path, flags: int = cv2.IMREAD_COLOR) -> Pixels:
    """The picture (h, w, 3) RGB, or (h, w, 4) RGBA with `cv2.IMREAD_UNCHANGED`. Raises MissingFileError."""
    picture = cv2.imread(str(path), flags)
    if picture is None:
        raise MissingFileError(f"no picture that OpenCV can read at {path}")
    order = [2, 1, 0, 3][: picture.shape[2]]
    return np.ascontiguousarray(picture[..., order], np.uint8)
