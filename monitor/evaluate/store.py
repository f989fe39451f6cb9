"""Observations on disk: made once, judged as often as one likes.

A unit of work is one file, written under another name and renamed, so that an interrupted evaluation goes on
where it was.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from multiprocessing import get_context
from pathlib import Path

import msgspec

from gradwatch.models.outputs import Observation

from ..worker.stored_state import decode_array, encode_array

PROCESSES = 2


class StoredFrame(msgspec.Struct, frozen=True):
    """One observed frame of a drive."""

    seq: int
    capture_ns: int
    observation: Observation


_encoder = msgspec.msgpack.Encoder(enc_hook=encode_array)
_decoder = msgspec.msgpack.Decoder(list[StoredFrame], dec_hook=decode_array)


def save(path: Path, frames: Iterable[StoredFrame]) -> None:
    """Writes the frames; a file that exists is whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    temporary.write_bytes(_encoder.encode(list(frames)))
    temporary.rename(path)


def load(path: Path) -> list[StoredFrame]:
    """The frames that `save` wrote."""
    return _decoder.decode(path.read_bytes())


def run_units(make: Callable[[Path], None], wanted: list[Path], processes: int = PROCESSES) -> None:
    """Calls `make(path)` for every file of `wanted` that is not there yet, in several processes."""
    missing = [path for path in wanted if not path.exists()]
    if not missing:
        return
    # spawn: a forked child would share the parent's inference threads
    with get_context("spawn").Pool(processes) as pool:
        for done, _ in enumerate(pool.imap_unordered(make, missing), 1):
            if done % 20 == 0 or done == len(missing):
                print(f"observed {done} of {len(missing)} sequences", flush=True)
