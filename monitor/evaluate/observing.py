"""Observes the evaluation's drives, each unit once, in worker processes."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import cv2

from gradwatch.models.observe import Observer, ObserverSettings
from gradwatch.streams.wire.pixels import decode_picture
from gradwatch.streams.world.drive import Drive, Swap

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
