"""Frames that never cross Kafka: runs the networks over them, and the judge over stored observations.

Frames are encoded and decoded like those that cross Kafka, because compression affects the image statistics.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path

import cv2
from msgspec.structs import replace

from gradwatch.models.observe import Observer, ObserverSettings
from gradwatch.streams.recordings.played import SourceFrame
from gradwatch.streams.wire.pixels import decode_picture
from gradwatch.streams.world.drive import Swap

from ..alarms.calibration import Calibration
from ..judging.judge import Judge, Judgement
from ..judging.offline import Observed, judge_all, offline_stamp
from ..judging.state import new_run
from . import store
from .drives import Unit, drive_of, frames_of


@lru_cache(maxsize=1)
def observer() -> Observer:
    """The shipped models, opened once per process."""
    cv2.setNumThreads(1)
    return Observer(ObserverSettings(), "cpu", 1)


def observe_units(folder: Path, units: Iterable[Unit]) -> None:
    """Observes the units that have no file in `folder` yet."""
    store.run_units(observe_unit, {folder / unit.name: (unit,) for unit in units})


def observe_unit(path: Path, unit: Unit, swap: Swap | None = None) -> None:
    """Observes a unit, whose drive has a sign swapped if `swap` says so, and writes it to `path`."""
    store.save(path, observe_all(frames_of(drive_of(unit.seed, swap), unit), observer(), "evaluation", unit.first))


def observe_all(
    frames: Iterable[SourceFrame], observer: Observer, stream_id: str, first_seq: int = 0
) -> Iterator[Observed]:
    """Observes every frame of a source; `seq` counts from `first_seq`."""
    for seq, frame in enumerate(frames, first_seq):
        image = decode_picture(frame.content)
        yield offline_stamp(stream_id, seq, frame.capture_ns), observer.observe([image], [seq])[0]


def judge_calibrated(observed: Iterable[Observed], judge: Judge, calibration: Calibration) -> Iterator[Judgement]:
    """Judges frames in order from the start of a run, under a given calibration."""
    return judge_all(observed, judge, replace(new_run(None, "evaluation", "offline"), calibration=calibration))
