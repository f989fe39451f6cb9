"""Crops cut out of whole frames: signs on a road, partly hidden or small, and things that are no signs.

A folder lists them in `crops.csv` (file,row,label): `file` is a PNG of 32 px crops one below the other, `row` counts
them, `label` is empty where the crop shows no sign. `gradwatch.models.training.training_pictures` writes such folders.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..crops import SIZE_PX
from ..outputs import SIGN_CLASSES
from .sign_crops import add_noise, blur, vary_color
from .sign_pictures import NO_SIGN, Pixels, read_labels, read_picture, read_rows


def read_frame_crops(folders: list[Path]) -> FrameCrops:
    """The crops of all folders that have a `crops.csv`. Raises ValueError for an unknown label."""
    pixels, class_ids = [np.empty((0, SIZE_PX, SIZE_PX, 3), np.uint8)], [np.empty(0, np.int64)]
    for table in (path for folder in folders if (path := folder / "crops.csv").is_file()):
        rows = read_rows(table)
        class_ids.append(read_labels(rows, table))
        strips = {file: read_picture(table.parent / file) for file in {row["file"] for row in rows}}
        tops = [int(row["row"]) * SIZE_PX for row in rows]
        pixels.append(np.stack([strips[row["file"]][y : y + SIZE_PX] for row, y in zip(rows, tops, strict=True)]))
    return FrameCrops(np.concatenate(pixels), np.concatenate(class_ids))


class FrameCrops:
    """n crops: pixels (n, 32, 32, 3) uint8 RGB, class_id (n,) into `SIGN_CLASSES` or `NO_SIGN`.

    Draws training crops at random: `signs`, with types equally often, and `others`, which show no sign.
    """

    def __init__(self, pixels: Pixels, class_id: NDArray[np.int64]) -> None:
        self.pixels, self.class_id = pixels, class_id
        by_type = [np.flatnonzero(class_id == each) for each in range(len(SIGN_CLASSES))]
        self._types = [indices for indices in by_type if len(indices)]
        self._others = np.flatnonzero(class_id == NO_SIGN)

    def __len__(self) -> int:
        return len(self.class_id)

    def signs(self, count: int, rng: np.random.Generator) -> tuple[Pixels, NDArray[np.int64]]:
        """`count` varied crops (count, 32, 32, 3) and their class ids; empty where no signs were read."""
        if not self._types:
            return self.pixels[:0], self.class_id[:0]
        chosen = np.array([rng.choice(self._types[rng.integers(len(self._types))]) for _ in range(count)])
        return self._varied(chosen, rng), self.class_id[chosen]

    def others(self, count: int, rng: np.random.Generator) -> Pixels:
        """`count` varied crops (count, 32, 32, 3) without a sign; empty where none were read."""
        return self._varied(rng.choice(self._others, count), rng) if len(self._others) else self.pixels[:0]

    def _varied(self, chosen: NDArray[np.int64], rng: np.random.Generator) -> Pixels:
        """The crops in varied light, half of them slightly blurred and noisy: the frames are clean drawings."""
        varied = np.stack([vary_color(self.pixels[i], rng, strength=0.6) for i in chosen])
        for picture in varied[rng.random(len(varied)) < 0.5]:
            picture[:] = add_noise(blur(picture, rng, strength=0.8), rng)
        return varied
