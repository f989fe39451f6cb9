"""Draws the pictures that the sign networks are trained and measured on.

    python -m gradwatch.models.training.training_pictures --pictures ROAD_PICTURES --out FOLDER

writes `FOLDER/train` and `FOLDER/held_out`, each with single signs, road pictures, frames of synthetic drives with
boxes, and crops of signs and of other things cut out of such frames.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import cv2
import numpy as np

from gradwatch.streams.world.drive import Drive, TruthBox
from gradwatch.streams.world.ego_motion import SETTINGS
from gradwatch.streams.world.signs import SIGN_LABELS, draw_sign

from ..boxes import iou
from ..crops import crop
from ..preprocess import letterbox
from .sign_pictures import PICTURE_PX, Pixels, read_picture, write_table
from .splits import use_of

SCENE_SIZE = (512, 288)  # width, height: the sign detector's input
DRIVE_FRAMES = 200
SMALLEST_CROP_PX, LEAST_VISIBLE = 9.0, 0.4  # of signs that are cropped
SIGNLESS_SHARE = 0.4  # of the frames without a sign that are kept
SHOWING_SIGNS = frozenset(f"{number:06d}" for number in range(7, 15))  # pictures with signs that have no box


@dataclass(frozen=True, slots=True)
class Fold:
    """The contents of one folder: seeds of signs and of drives, and the required use of the road pictures."""

    name: str
    sign_seeds: range
    drive_seeds: range
    use: str


# Drives 2000 to 2999 are for calibration and 3000 to 3999 for judging: neither may be seen here.
FOLDS = (
    Fold("train", range(0, 160), range(1000, 1120), "train"),
    Fold("held_out", range(100_000, 100_040), range(1900, 1940), "judge"),
)


def export_sign_crops(folder: Path, seeds: range) -> None:
    """Draws a sign of each type and seed as RGBA PNG, listed in `sprites.csv` (file,label,seed)."""
    rows = []
    for label in SIGN_LABELS:
        for seed in seeds:
            file = f"sprites/{label}_{seed:06d}.png"
            _write_png(folder / file, draw_sign(label, PICTURE_PX, seed))
            rows.append((file, label, seed))
    write_table(folder / "sprites.csv", ("file", "label", "seed"), rows)


def export_backgrounds(folder: Path, pictures: Iterable[Path], use: str) -> None:
    """Writes the road pictures whose use in `splits.csv` is `use`, cut to `SCENE_SIZE`.

    They are listed in `backgrounds.csv` (file). Raises SplitError for a picture that is not in the table.
    """
    rows = []
    for path in sorted(pictures):
        if path.stem in SHOWING_SIGNS or use_of(path) != use:
            continue
        file = f"backgrounds/{path.stem}.png"
        _write_png(folder / file, _cover(read_picture(path), SCENE_SIZE))
        rows.append((file,))
    write_table(folder / "backgrounds.csv", ("file",), rows)


def export_scenes(folder: Path, seeds: Iterable[int], frames_per_drive: int = 12) -> None:
    """Writes frames of synthetic drives at `SCENE_SIZE` with the boxes of their signs.

    Settings take turns by seed. Of the frames drawn at random, most of those without a sign are skipped.
    `scenes.csv` has file,label,x1,y1,x2,y2,visibility: one row for each sign, or one row of blanks.
    """
    rows: list[tuple[object, ...]] = []
    for seed in seeds:
        setting = tuple(SETTINGS)[seed % len(SETTINGS)]
        drive = Drive(setting, seed, DRIVE_FRAMES)
        rng = np.random.default_rng(seed)
        order = rng.permutation(DRIVE_FRAMES).tolist()
        kept = (seq for seq in order if _signs(drive, seq) or rng.random() < SIGNLESS_SHARE)
        for seq in islice(kept, frames_per_drive):
            file = f"scenes/{setting}_{seed}_{seq:03d}.png"
            canvas, box = letterbox(drive.image(seq), SCENE_SIZE)
            _write_png(folder / file, canvas)
            signs = _signs(drive, seq)
            xyxy = box.to_input(np.array([sign.xyxy for sign in signs], np.float32).reshape(-1, 4))
            for sign, corners in zip(signs, xyxy.round(2).tolist(), strict=True):
                rows.append((file, sign.label, *corners, round(sign.visibility, 3)))
            if not signs:
                rows.append((file, "", "", "", "", "", ""))
    write_table(folder / "scenes.csv", ("file", "label", "x1", "y1", "x2", "y2", "visibility"), rows)


def export_crops(folder: Path, seeds: Iterable[int], frames_per_drive: int = 40) -> None:
    """Writes 32 px crops of the signs and of other parts of frames of synthetic drives.

    `crops.csv` has file,row,label: one strip of crops for each drive, label empty where no sign is shown.
    """
    rows: list[tuple[object, ...]] = []
    for seed in seeds:
        drive = Drive(tuple(SETTINGS)[seed % len(SETTINGS)], seed, DRIVE_FRAMES)
        rng = np.random.default_rng(seed)
        file = f"crops/{seed}.png"
        crops: list[Pixels] = []
        for seq in rng.choice(DRIVE_FRAMES, frames_per_drive, replace=False).tolist():
            image = drive.image(seq)
            signs, others = _jittered_boxes(drive.truth(seq), rng), _other_boxes(drive.truth(seq), image.shape, rng)
            labels = [label for label, _ in signs] + [""] * len(others)
            boxes = np.array([box for _, box in signs] + others, np.float32).reshape(-1, 4)
            rows += [(file, len(crops) + i, label) for i, label in enumerate(labels)]
            crops += list(crop(image, np.clip(boxes, 0, (*image.shape[1::-1],) * 2).astype(np.float32)))
        _write_png(folder / file, np.concatenate(crops))
    write_table(folder / "crops.csv", ("file", "row", "label"), rows)


def _jittered_boxes(truth: list[TruthBox], rng: np.random.Generator) -> list[tuple[str, list[float]]]:
    """(label, box) of every legible sign, its box displaced as by the shipped detector.

    The spread was measured on drives 1000 to 1099: errors of centers are 0.025 of the side and half a pixel, of sizes
    a tenth, and boxes of signs below 14 px are up to a quarter too large.
    """
    boxes = []
    for sign in truth:
        x1, y1, x2, y2 = sign.xyxy
        side = max(x2 - x1, y2 - y1)
        if sign.kind != "sign" or side < SMALLEST_CROP_PX or sign.visibility < LEAST_VISIBLE:
            continue
        scale = np.exp(rng.normal(0, 0.1)) * (1 + max(0.0, 14 - side) / 20)
        center = np.array([x1 + x2, y1 + y2]) / 2 + rng.normal(0, 0.025 * side + 0.5, 2)
        half = np.array([x2 - x1, y2 - y1]) / 2 * scale
        boxes.append((sign.label, [*(center - half), *(center + half)]))
    return boxes


def _other_boxes(truth: list[TruthBox], shape: tuple[int, ...], rng: np.random.Generator) -> list[list[float]]:
    """Up to three boxes of 10 to 60 px that overlap no sign: half on the upper halves of people, if there are any."""
    signs = np.array([box.xyxy for box in truth if box.kind == "sign"], np.float32).reshape(-1, 4)
    people = [box.xyxy for box in truth if box.kind == "pedestrian"]
    boxes = []
    for _ in range(3):
        side = float(np.exp(rng.uniform(np.log(10), np.log(60))))
        center = rng.uniform((0, 0.2 * shape[0]), (shape[1], 0.8 * shape[0]))
        if people and rng.random() < 0.5:
            x1, y1, x2, y2 = people[rng.integers(len(people))]
            side = max(10.0, float(rng.uniform(0.15, 0.5)) * (y2 - y1))
            center = rng.uniform((x1, y1), (x2, (y1 + y2) / 2))
        box = [*(center - side / 2), *(center + side / 2)]
        if not iou(np.array(box, np.float32), signs).any():
            boxes.append(box)
    return boxes


def _signs(drive: Drive, seq: int) -> list[TruthBox]:
    return [box for box in drive.truth(seq) if box.kind == "sign"]


def _cover(picture: Pixels, size: tuple[int, int]) -> Pixels:
    """Scales the picture until it covers `size`, and cuts the rest off on both sides."""
    height, width = picture.shape[:2]
    scale = max(size[0] / width, size[1] / height)
    scaled = cv2.resize(picture, (round(width * scale), round(height * scale)), interpolation=cv2.INTER_AREA)
    x, y = (scaled.shape[1] - size[0]) // 2, (scaled.shape[0] - size[1]) // 2
    return np.asarray(scaled[y : y + size[1], x : x + size[0]], np.uint8)


def _write_png(path: Path, picture: Pixels) -> None:
    """RGB or RGBA."""
    path.parent.mkdir(parents=True, exist_ok=True)
    order = [2, 1, 0, 3][: picture.shape[2]]
    cv2.imwrite(str(path), np.ascontiguousarray(picture[..., order]))


def main() -> None:
    """Writes every fold of `FOLDS`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=Path, required=True, help="folder of road pictures (JPEG)")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    for fold in FOLDS:
        folder = arguments.out / fold.name
        export_sign_crops(folder, fold.sign_seeds)
        export_backgrounds(folder, arguments.pictures.glob("*.jpg"), fold.use)
        export_scenes(folder, fold.drive_seeds)
        export_crops(folder, fold.drive_seeds)
        print(f"wrote {folder}", flush=True)


if __name__ == "__main__":
    main()
