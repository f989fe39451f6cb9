"""`gradwatch work` with an observer that needs no network; `python -m tests.stub_worker work …` takes its options.

What is observed follows from the stream's number, which its picture's brightness tells, and from `seq`: a stretch of
shifted frames in every `PERIOD`, so that alerts open and close. In the environment, GRADWATCH_STUB_SLEEP_S makes it
slow, and GRADWATCH_STUB_SHIFTED=FROM:TO has it shift those frames alone, and see a sign in every frame.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from gradwatch.models.outputs import Head, Observation
from gradwatch.streams.wire.pixels import encode_jpeg
from gradwatch.streams.wire.topics import Topics

from .builders import CONTRAST, STATISTICS, add_signs, draw_tiles, plain_observation
from .places import ROOT
from .waiting import wait_until

FRAMES = 4096  # after which a stream repeats itself
PERIOD, SHIFTED = 90, range(50, 65)
SHIFT = 6.0  # deviations
SIZE = (96, 54)
BRIGHTNESS_STEP = 16
CLASSES, FEATURES = 4, 8
JUDGE: dict[str, Any] = {"calibration_frames": 100, "alarms": {"bootstrap_hours": 2}}
START_S = 180.0  # for a worker, on a machine that others keep busy


def picture(number: int, size: tuple[int, int] = SIZE) -> bytes:
    """The picture that every frame of stream `number` shows; noise keeps a large one as large as a camera's."""
    noise = np.random.default_rng(number).normal(scale=10.0, size=(size[1], size[0], 3))
    return encode_jpeg(np.clip(BRIGHTNESS_STEP * (number + 3) + noise, 0, 255).astype(np.uint8), quality=95)


@lru_cache
def levels(number: int) -> NDArray[np.float64]:
    """(FRAMES, 12) image statistics, dependent in time like a drive's."""
    noise = np.random.default_rng(number).normal(size=(FRAMES, STATISTICS))
    level = np.zeros((FRAMES, STATISTICS))
    for t in range(1, FRAMES):
        level[t] = 0.9 * level[t - 1] + np.sqrt(1 - 0.81) * noise[t]
    return level


def observation(number: int, seq: int, moved: float = 0.0) -> Observation:
    """What is seen in frame `seq` of stream `number`, `moved` deviations from a clean one; the same whenever asked."""
    tiles = draw_tiles(np.random.default_rng([number, seq]), moved)
    statistics = (levels(number)[seq % FRAMES] + moved + CONTRAST).astype(np.float32)
    return plain_observation(size=SIZE, tiles=tiles, image_statistics=statistics)


class SeqObserver:
    """Stands where `gradwatch.models.observe.Observer` stands.

    It shifts the frames of `shifted` and sees one sign in every frame, which drifts across the picture; without
    `shifted` it shifts a stretch of every `PERIOD` and sees nothing.
    """

    models_id = "stub"

    def __init__(self, sleep_s: float = 0.0, shifted: range | None = None) -> None:
        self.sleep_s, self.shifted = sleep_s, shifted
        self.heads: dict[str, Head] = {}
        if shifted is not None:
            weight, bias = np.eye(CLASSES, FEATURES, dtype=np.float32), np.zeros(CLASSES, np.float32)
            self.heads["signs"] = Head(weight, bias, "softmax", tuple("abcd"))

    def observe(self, images: list[NDArray[np.uint8]], seqs: list[int]) -> list[Observation]:
        time.sleep(self.sleep_s * len(seqs))
        numbers = [round(float(image.mean()) / BRIGHTNESS_STEP) - 3 for image in images]
        return [self._observation(number, seq) for number, seq in zip(numbers, seqs, strict=True)]

    def _observation(self, number: int, seq: int) -> Observation:
        if self.shifted is None:
            return observation(number, seq, SHIFT if seq % PERIOD in SHIFTED else 0.0)
        seen = observation(number, seq, SHIFT if seq in self.shifted else 0.0)
        features = np.random.default_rng([number, seq, 1]).normal(size=(1, FEATURES)) + 5 * np.eye(1, FEATURES)
        x = 5 + seq % 60
        box = np.array([[x, 10, x + 20, 30]])
        return add_signs(seen, features @ self.heads["signs"].weight.T, features, box)


def write_configuration(
    folder: Path, servers: str, topics: Topics, calibrations: Mapping[int, Path] = {}, **worker: Any
) -> Path:
    """The configuration of a worker with outputs under `topics.prefix`; `calibrations` by the number of the stream."""
    settings = {"policy": "every_frame", "group_id": topics.prefix + "group", "session_timeout_s": 3.0} | worker
    tree = {
        "broker": {"bootstrap_servers": servers},
        "topics": {"frames": topics.frames, "prefix": topics.prefix},
        "worker": settings,
        "judge": JUDGE,
        "streams": {f"cam{n}": {"calibration": str(path)} for n, path in calibrations.items()},
    }
    path = folder / f"{topics.prefix}{settings.get('instance_id', '')}.yaml"
    path.write_text(yaml.safe_dump(tree))
    return path


class WorkerProcess:
    """`gradwatch work` on the observer above, or on the real networks."""

    def __init__(
        self, config: Path, *options: object, real: bool = False, sleep_s: float = 0.0, shifted: range | None = None
    ) -> None:
        self.log = config.with_suffix(".log")
        program = "gradwatch.monitor.commands" if real else "tests.stub_worker"
        command = [sys.executable, "-m", program, "work", "--config", str(config), *map(str, options)]
        environment = os.environ | {"GRADWATCH_STUB_SLEEP_S": str(sleep_s)}
        if shifted is not None:
            environment["GRADWATCH_STUB_SHIFTED"] = f"{shifted.start}:{shifted.stop}"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env=environment, cwd=ROOT)

    def said(self) -> str:
        """The end of its log."""
        return self.log.read_text(errors="replace")[-3000:]

    def wait_for(self, path: Path) -> None:
        """Until it has made the file `path`; fails where it ends before."""

        def is_there() -> bool:
            assert self.running, f"the worker has ended; its log:\n{self.said()}"
            return path.exists()

        wait_until(is_there, START_S, lambda: f"{path.name} of the worker; its log:\n{self.said()}")

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def stop(self, timeout_s: float = 60.0) -> int:
        """SIGTERM, and the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout_s)

    @property
    def running(self) -> bool:
        return self.process.poll() is None

    def __enter__(self) -> WorkerProcess:
        return self

    def __exit__(self, *exc: object) -> None:
        if self.process.poll() is None:
            self.kill()


def main() -> None:
    """What the module is run for."""
    from gradwatch.monitor import commands
    from gradwatch.monitor.worker import build as assembly

    first, _, after = os.environ.get("GRADWATCH_STUB_SHIFTED", "").partition(":")
    shifted = range(int(first), int(after)) if after else None
    stub = SeqObserver(float(os.environ.get("GRADWATCH_STUB_SLEEP_S", "0")), shifted)
    assembly.build_observer = lambda *_, **__: stub  # type: ignore[assignment,return-value]
    commands.main()


if __name__ == "__main__":
    main()
