"""`gradwatch work` with an observer that needs no network: run as a script, it takes the verb's own options.

What is observed follows from the stream's number, which its picture's brightness tells, and from `seq`: a stretch of
shifted frames in every `PERIOD`, so that alerts open and close. GRADWATCH_STUB_SLEEP_S makes it slow.
"""

from __future__ import annotations

import os
import time
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from gradwatch.models.outputs import Detections, Observation, Tiles
from gradwatch.streams.wire.pixels import encode_jpeg

FRAMES = 4096  # after which a stream repeats itself
PERIOD, SHIFTED_FROM, SHIFTED_TO = 90, 50, 65
SHIFT = 6.0  # deviations
SIZE = (96, 54)
BRIGHTNESS_STEP = 16
ROWS, COLUMNS, PER_FRAME = 10, 18, 9


def picture(number: int, size: tuple[int, int] = SIZE) -> bytes:
    """The picture that every frame of stream `number` shows; noise keeps a large one as large as a camera's."""
    noise = np.random.default_rng(number).normal(scale=10.0, size=(size[1], size[0], 3))
    return encode_jpeg(np.clip(BRIGHTNESS_STEP * (number + 3) + noise, 0, 255).astype(np.uint8), quality=95)


@lru_cache
def levels(number: int) -> NDArray[np.float64]:
    """(FRAMES, 12) image statistics, dependent in time like a drive's."""
    noise = np.random.default_rng(number).normal(size=(FRAMES, 12))
    level = np.zeros((FRAMES, 12))
    for t in range(1, FRAMES):
        level[t] = 0.9 * level[t - 1] + np.sqrt(1 - 0.81) * noise[t]
    return level


def observation(number: int, seq: int, always_clean: bool = False) -> Observation:
    """What is seen in frame `seq` of stream `number`; the same whenever it is asked."""
    generator = np.random.default_rng([number, seq])
    moved = SHIFT if SHIFTED_FROM <= seq % PERIOD < SHIFTED_TO and not always_clean else 0.0
    position = generator.permutation(ROWS * COLUMNS)[:PER_FRAME]
    row = position // COLUMNS
    cosines = 0.5 + 0.02 * row[:, None] + 0.05 * generator.normal(size=(PER_FRAME, 4)) - 0.05 * moved
    loss = np.exp(-5 + 0.2 * row + 0.3 * generator.normal(size=PER_FRAME) + 0.3 * moved)
    return Observation(
        size=SIZE,
        detections=Detections(np.empty((0, 4), np.float32), np.empty(0, np.float32), np.empty(0, np.int32)),
        heads={},
        tiles=Tiles(
            np.stack([row, position % COLUMNS], axis=1).astype(np.int32),
            loss.astype(np.float32),
            cosines.astype(np.float32),
            np.zeros((PER_FRAME, 0), np.float32),
        ),
        image_statistics=(levels(number)[seq % FRAMES] + moved).astype(np.float32),
    )


class StubObserver:
    """Stands where `gradwatch.models.observe.Observer` stands."""

    models_id = "stub"

    def __init__(self, sleep_s: float = 0.0) -> None:
        self.heads: dict[str, object] = {}
        self.sleep_s = sleep_s

    def observe(self, images: list[NDArray[np.uint8]], seqs: list[int]) -> list[Observation]:
        time.sleep(self.sleep_s * len(seqs))
        numbers = [round(float(image.mean()) / BRIGHTNESS_STEP) - 3 for image in images]
        return [observation(number, seq) for number, seq in zip(numbers, seqs, strict=True)]


if __name__ == "__main__":
    from gradwatch.monitor import commands
    from gradwatch.monitor.worker import build as assembly

    stub = StubObserver(float(os.environ.get("GRADWATCH_STUB_SLEEP_S", "0")))
    assembly.build_observer = lambda *_, **__: stub  # type: ignore[assignment]
    commands.main()
