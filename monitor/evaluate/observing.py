"""Runs the networks over frames that never cross Kafka: recordings, and the evaluation's drives in worker processes.

Frames are encoded and decoded like those that cross Kafka, because compression leaves its mark on the statistics.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path

import cv2

from gradwatch.models.observe import Observer, ObserverSettings
from gradwatch.streams.recordings.played import SourceFrame
from gradwatch.streams.wire.pixels import decode_picture
from gradwatch.streams.world.drive import Drive, Swap

from ..judging.offline import Observed, offline_stamp
from . import store
from .drives import CLEAN_FRAMES, Unit, drive_of, frames_of, parse


@lru_cache(maxsize=1)
def observer() -> Observer:
    """The shipped models, once a process."""
    cv2.setNumThreads(1)
    return Observer(ObserverSettings(), "cpu", 1)


@lru_cache(maxsize=2)
def _drive(seed: int, swap: Swap | None) -> Drive:
    return drive_of(seed, CLEAN_FRAMES, swap)


def observe_unit(path: Path) -> None:
    """Renders, encodes, decodes and observes the unit that the file name says."""
    observe(path, parse(path.name), None)


def observe(path: Path, unit: Unit, swap: Swap | None) -> None:
    """The same for a given unit, with a sign swapped where `swap` says so."""
    drive = _drive(unit.seed, swap)
    store.save(
        path,
        [
            store.StoredFrame(seq, frame.capture_ns, observer().observe([decode_picture(frame.content)], [seq])[0])
            for seq, frame in frames_of(drive, unit)
        ],
    )


def observe_all(frames: Iterable[SourceFrame], observer: Observer, stream_id: str) -> Iterator[Observed]:
    """Observes every frame of a source; `seq` counts from 0."""
    for seq, frame in enumerate(frames):
        image = decode_picture(frame.content)
        yield offline_stamp(stream_id, seq, frame.capture_ns), observer.observe([image], [seq])[0]
