"""Observations on disk: made once, judged as often as needed.

A unit of work is one file, written under a temporary name and renamed, so that an interrupted evaluation resumes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import msgspec

from gradwatch.models.outputs import Observation

from ..judging.offline import Observed, offline_stamp
from ..worker.stored_state import decode_array, encode_array

PROCESSES = 2


class StoredFrame(msgspec.Struct, frozen=True):
    """One observed frame."""

    seq: int
    capture_ns: int
    observation: Observation


_encoder = msgspec.msgpack.Encoder(enc_hook=encode_array)
_decoder = msgspec.msgpack.Decoder(list[StoredFrame], dec_hook=decode_array)


def save(path: Path, observed: Iterable[Observed]) -> None:
    """Writes observed frames; a file that exists is complete."""
    frames = [StoredFrame(stamp.identity.seq, stamp.capture_ns, observation) for stamp, observation in observed]
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    temporary.write_bytes(_encoder.encode(frames))
    temporary.rename(path)


def load(path: Path, stream_id: str = "evaluation") -> list[Observed]:
    """The frames that `save` wrote, as frames of `stream_id`."""
    frames = _decoder.decode(path.read_bytes())
    return [(offline_stamp(stream_id, frame.seq, frame.capture_ns), frame.observation) for frame in frames]


def run_units(make: Callable[..., None], wanted: Mapping[Path, tuple[Any, ...]]) -> None:
    """Calls `make(path, *arguments)` for every file of `wanted` that does not exist, in `PROCESSES` processes."""
    missing = [(path, *arguments) for path, arguments in wanted.items() if not path.exists()]
    if not missing:
        return
    # spawn: a forked child would share the parent's inference threads
    with get_context("spawn").Pool(min(PROCESSES, len(missing))) as pool:
        for done, made in enumerate([pool.apply_async(make, one) for one in missing], 1):
            made.get()
            if done % 20 == 0 or done == len(missing):
                print(f"observed {done} of {len(missing)} sequences", flush=True)
