"""Crops cut out of whole frames: signs as they stand on a road, half hidden or small, and things that are no signs.

A folder lists them in `crops.csv` (file,row,label): `file` is a PNG with one 32 px crop below the other, `row` counts
them, `label` is empty where the crop shows no sign. `gradwatch.models.training.training_pictures` writes such folders.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..crops import SIZE_PX
from ..outputs import SIGN_CLASSES
from .sign_crops import Bytes, add_noise, blur, read_picture, read_rows, vary_color

NO_SIGN = -1


@dataclass(frozen=True, slots=True)
class FrameCrops:
    """n crops: pixels (n, 32, 32, 3) uint8 RGB, class_id (n,) into `SIGN_CLASSES` or `NO_SIGN`."""

    pixels: Bytes
    class_id: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.class_id)


def read_frame_crops(folders: list[Path]) -> FrameCrops:
    """The crops of all folders that list any. Raises ValueError for an unknown label."""
    pixels, class_ids = [np.empty((0, SIZE_PX, SIZE_PX, 3), np.uint8)], [np.empty(0, np.int64)]
    for folder in (f for f in folders if (f / "crops.csv").is_file()):
        rows = read_rows(folder / "crops.csv")
        unknown = {row["label"] for row in rows} - {*SIGN_CLASSES, ""}
        if unknown:
            raise ValueError(
                f"expected labels of SIGN_CLASSES or none, got {sorted(unknown)} in {folder / 'crops.csv'}"
            )
        strips = {file: read_picture(folder / file) for file in {row["file"] for row in rows}}
        tops = [int(row["row"]) * SIZE_PX for row in rows]
        pixels.append(np.stack([strips[row["file"]][y : y + SIZE_PX] for row, y in zip(rows, tops, strict=True)]))
        class_ids.append(np.array([SIGN_CLASSES.index(row["label"]) if row["label"] else NO_SIGN for row in rows]))
    return FrameCrops(np.concatenate(pixels), np.concatenate(class_ids))


class FrameCropBatches:
    """Draws training crops: `signs` with types equally often, and `others`, which show none."""

    def __init__(self, crops: FrameCrops) -> None:
        self._pixels, self._class_id = crops.pixels, crops.class_id
        self._kinds = [np.flatnonzero(crops.class_id == kind) for kind in range(len(SIGN_CLASSES))]
        self._kinds = [indices for indices in self._kinds if len(indices)]
        self._others = np.flatnonzero(crops.class_id == NO_SIGN)

    def signs(self, count: int, rng: np.random.Generator) -> tuple[Bytes, NDArray[np.int64]]:
        """`count` varied crops (count, 32, 32, 3) and their class ids; none where no signs were read."""
        if not self._kinds:
            return self._pixels[:0], self._class_id[:0]
        chosen = np.array([rng.choice(self._kinds[rng.integers(len(self._kinds))]) for _ in range(count)])
        return self._varied(chosen, rng), self._class_id[chosen]

    def others(self, count: int, rng: np.random.Generator) -> Bytes:
        """`count` varied crops (count, 32, 32, 3) of no sign; none where none were read."""
        return self._varied(rng.choice(self._others, count), rng) if len(self._others) else self._pixels[:0]

    def _varied(self, chosen: NDArray[np.int64], rng: np.random.Generator) -> Bytes:
        """The crops under other light, and half of them blurred a little and noisy: frames are clean drawings."""
        varied = np.stack([vary_color(self._pixels[i], rng, strength=0.6) for i in chosen])
        for picture in varied[rng.random(len(varied)) < 0.5]:
            picture[:] = add_noise(blur(picture, rng, strength=0.8), rng)
        return varied
