"""The records of a stream in the state topic: how its state is written to them, read back and continued.

    <stream>                      StoredState: small, written about once a second
    <stream>/calibration          Calibration: some hundred kB, written when it changes
    <stream>/clean/<run>/<n>      CleanChunk: CHUNK clean frames, while the stream calibrates; <seq>.<n> where it
                                  gathers from a frame <seq> on, because it had no signal before

A clean frame takes 0.7 kB and a few hundred bytes a crop, so 300 of them up to a megabyte. Chunks make that
append-only: each second only the last chunk is written again, where one record would be written whole and could exceed
the size limit; all are removed once the calibration is stored. The frames topic can't replace them: the `live` policy
drops old frames, and a start may be longer than frames are kept. A chunk's frames follow from its number, so workers
that judged the same frames write equal chunks.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, NamedTuple, TypeVar

import msgspec
import numpy as np
from msgspec.structs import replace

from gradwatch import GradwatchError
from gradwatch.streams.wire.outputs import UNREADABLE

from ..alarms.calibration import Calibration, CleanFrame
from ..judging.state import JudgeState
from ..judging.stored_checks import StoredValueError, check

FORMAT = 1  # of the bytes that `dump` writes
CHUNK = 8  # frames
DTYPES = {name: np.dtype(name) for name in ("<f4", "<f8", "<i4", "<i8", "|b1")}
MAX_AXES, MAX_LENGTH = 8, 2**24
NO_RUN = ""  # the run of no frame: the next frame begins one

T = TypeVar("T")
Natural = Annotated[int, msgspec.Meta(ge=0, lt=2**62)]


class StateFormatError(GradwatchError, ValueError):
    """Bytes that are not a value of the expected type in the format of this version."""


def encode_array(value: object) -> object:
    """Encodes an array as dtype, shape and bytes; the enc_hook of msgspec."""
    if isinstance(value, np.ndarray):
        return {"dtype": value.dtype.str, "shape": list(value.shape), "bytes": value.tobytes()}
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"a state holds arrays and plain values, got {type(value).__name__}")


def decode_array(kind: type, value: object) -> object:
    """Decodes what `encode_array` made, into a writable array; the dec_hook of msgspec.

    Raises TypeError, ValueError for anything else.
    """
    if not isinstance(value, dict) or value.keys() != {"dtype", "shape", "bytes"}:
        raise TypeError(f"expected an array for {kind}, got {type(value).__name__}")
    dtype, shape, content = DTYPES.get(str(value["dtype"])), value["shape"], value["bytes"]
    if dtype is None or not isinstance(shape, list) or not isinstance(content, bytes):
        raise ValueError(f"expected an array of {', '.join(DTYPES)}, got {str(value['dtype'])[:80]!r}")
    if len(shape) > MAX_AXES or not all(isinstance(n, int) and 0 <= n <= MAX_LENGTH for n in shape):
        raise ValueError(f"expected the shape of an array, got {str(shape)[:80]}")
    if math.prod(shape) * dtype.itemsize != len(content):
        raise ValueError(f"expected the bytes of an array of shape {shape} {dtype}, got {len(content)}")
    return np.frombuffer(content, dtype).reshape(shape).copy()


_encoder = msgspec.msgpack.Encoder(enc_hook=encode_array)


def dump(value: msgspec.Struct) -> bytes:
    """Encodes a struct, such as a JudgeState or a Calibration, as MessagePack: [FORMAT, name of its type, value]."""
    return _encoder.encode([FORMAT, type(value).__name__, value])


def load(content: bytes, kind: type[T]) -> T:
    """Decodes a value of type `kind` that `dump` encoded, and checks it whole. Raises StateFormatError."""
    try:
        number, name, value = msgspec.msgpack.decode(content, type=tuple[int, str, msgspec.Raw])
        if (number, name) != (FORMAT, kind.__name__):
            raise StateFormatError(f"expected {kind.__name__} of format {FORMAT}, got {name} of format {number}")
        loaded = msgspec.msgpack.decode(value, type=kind, dec_hook=decode_array)
        check(loaded)
        return loaded
    except (*UNREADABLE, StoredValueError) as error:
        raise StateFormatError(f"expected {kind.__name__} as MessagePack, got {len(content)} bytes: {error}") from error


class Covered(NamedTuple):
    """Which frames of a stream are finished: judged, dropped, rejected or failed, and their reports delivered.

    All below `next_offset` of the frames topic whose identity is `topic_id` ("" where the broker tells none);
    `run_id` and `seq` name the newest. `version` counts them, over all runs, partitions and workers: of two states of
    a stream the one with the higher version is newer, whatever any clock says.
    """

    next_offset: int = 0
    version: int = 0
    topic_id: str = ""
    run_id: str = NO_RUN
    seq: int = -1


NOTHING = Covered()


class StoredState(msgspec.Struct, frozen=True):
    """A stream's state without its calibration and clean frames, and what it covers, as in `Covered`."""

    next_offset: Natural
    version: Natural = msgspec.field(name="published_ns")  # the stored name: earlier versions took it from a clock
    models_id: str
    configuration_id: str
    calibration_id: str  # "" while the stream calibrates
    clean_frames: Natural
    state: JudgeState
    topic_id: str = ""
    seen_run: str = NO_RUN
    seen_seq: int = -1
    stored_ns: int = 0  # wall clock of the worker; 0: not known, an older version stored it

    @property
    def covered(self) -> Covered:
        """The frames that the state covers."""
        return Covered(self.next_offset, self.version, self.topic_id, self.seen_run, self.seen_seq)


class CleanChunk(msgspec.Struct, frozen=True):
    """Up to CHUNK clean frames, in order."""

    frames: tuple[CleanFrame, ...]


class Part(NamedTuple):
    """One record to write."""

    key: str
    value: bytes | None
    version: int


@dataclass(frozen=True, slots=True)
class Shelf:
    """What the topic holds beside a stream's state: its calibration, and the number of frames in each chunk."""

    calibration_id: str = ""
    chunks: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Found:
    """What the topic holds of one stream. `stored` is None if it can't be read, and `problem` says why.

    The state in `stored` has its clean frames, as many as were found.
    """

    stream_id: str
    stored: StoredState | None
    calibration: Calibration | None
    shelf: Shelf
    problem: str = ""

    @property
    def version(self) -> int:
        """That of the stored state, 0 where there is none."""
        return 0 if self.stored is None else self.stored.version


def parts(stored: StoredState, shelf: Shelf, given_id: str = "") -> tuple[list[Part], Shelf]:
    """The records to write for `stored`, in order, and the shelf after that.

    `stored.state` has its clean frames and calibration. The calibration `given_id` is not written: it comes from a file
    that the configuration names.
    """
    state, made = stored.state, stored.state.calibration
    chunks = dict(_chunks(state))
    written = [
        Part(key, dump(chunk), len(chunk.frames))
        for key, chunk in chunks.items()
        if shelf.chunks.get(key) != len(chunk.frames)
    ]
    calibration_id = shelf.calibration_id
    if made is not None and made.calibration_id not in (calibration_id, given_id):
        calibration_id = made.calibration_id
        written.append(Part(f"{state.stream_id}/calibration", dump(made), 0))
    small = replace(stored, state=replace(state, clean=(), calibration=None))
    written.append(Part(state.stream_id, dump(small), stored.version))
    return written, Shelf(calibration_id, {key: len(chunk.frames) for key, chunk in chunks.items()})


def found_in(values: Mapping[str, bytes]) -> list[Found]:
    """What one partition of the topic holds, by stream. Keys of unknown form are ignored."""
    names = {key.partition("/")[0] for key in values}
    return [_found(stream_id, values) for stream_id in sorted(names) if stream_id]


def _chunks(state: JudgeState) -> Iterator[tuple[str, CleanChunk]]:
    for start in range(0, len(state.clean), CHUNK):
        yield _chunk_key(state, start // CHUNK), CleanChunk(state.clean[start : start + CHUNK])


def _chunk_key(state: JudgeState, number: int) -> str:
    """A run may begin to gather more than once: each time its chunks have other keys."""
    begun = f"{state.clean_from}." if state.clean_from else ""
    return f"{state.stream_id}/clean/{state.run_id}/{begun}{number}"


def _found(stream_id: str, values: Mapping[str, bytes]) -> Found:
    problems: list[str] = []
    stored = calibration = None
    chunks: dict[str, CleanChunk] = {}
    for key in (key for key in values if key == stream_id or key.startswith(f"{stream_id}/")):
        try:
            if key == stream_id:
                stored = load(values[key], StoredState)
            elif key == f"{stream_id}/calibration":
                calibration = load(values[key], Calibration)
            elif key.startswith(f"{stream_id}/clean/"):
                chunks[key] = CleanChunk(())  # removed later even if it can't be read
                chunks[key] = load(values[key], CleanChunk)
        except StateFormatError as error:
            problems.append(f"{key}: {error}")
    if stored is not None:
        clean = tuple(_in_order(stored, chunks))[: stored.clean_frames]
        stored = replace(stored, state=replace(stored.state, clean=clean))
    shelf = Shelf(
        calibration.calibration_id if calibration else "", {key: len(chunk.frames) for key, chunk in chunks.items()}
    )
    return Found(stream_id, stored, calibration, shelf, "; ".join(problems))


def _in_order(stored: StoredState, chunks: Mapping[str, CleanChunk]) -> Iterable[CleanFrame]:
    """The clean frames of the state's run up to the first hole, the first step back in time, or the first of other
    networks."""
    last_ns, layer_count = -(2**63), None
    for number in range(len(chunks)):
        chunk = chunks.get(_chunk_key(stored.state, number), CleanChunk(()))
        for frame in chunk.frames:
            layer_count = frame.layer_count if layer_count is None else layer_count
            if frame.capture_ns <= last_ns or frame.layer_count != layer_count:
                return
            last_ns = frame.capture_ns
            yield frame
        if len(chunk.frames) < CHUNK:
            return


def resumed(
    found: Found, given: Calibration | None, models_id: str, configuration_id: str
) -> tuple[JudgeState | None, str]:
    """The state to continue from (None where there is none), and why the stored one was refused ("" if it was not).

    A state is continued only under the models, configuration and calibration that made it, with all its clean frames.
    A refused one leaves what outlives a run: its calibration, which `Pipeline` keeps while it fits, and its open
    episodes, so that the first frame closes them as those of an earlier run. `given` is the calibration that the
    configuration names for the stream.
    """
    stored = found.stored
    if stored is None:
        left = JudgeState(found.stream_id, NO_RUN, calibration=found.calibration) if found.calibration else None
        return left, "format" if found.problem else ""
    calibration = found.calibration
    if given is not None and given.calibration_id == stored.calibration_id:
        calibration = given
    cause = _refusal(stored, calibration, given, models_id, configuration_id)
    if cause:
        return replace(stored.state, run_id=NO_RUN, clean=(), calibration=calibration), cause
    return replace(stored.state, calibration=calibration if stored.calibration_id else None), ""


def _refusal(
    stored: StoredState, calibration: Calibration | None, given: Calibration | None, models_id: str, config_id: str
) -> str:
    if stored.models_id != models_id:
        return "models"
    if stored.configuration_id != config_id:
        return "configuration"
    if stored.calibration_id and (calibration is None or calibration.calibration_id != stored.calibration_id):
        return "calibration"
    if given is not None and given.calibration_id != stored.calibration_id and _fits(given, stored, calibration):
        return "calibration"  # the configuration has named another file since
    if len(stored.state.clean) != stored.clean_frames:
        return "clean_frames"
    return ""


def _fits(given: Calibration, stored: StoredState, calibration: Calibration | None) -> bool:
    """Whether `given` is for pictures of the stream's size; True where that size is unknown."""
    clean = stored.state.clean
    if clean:
        return clean[0].observation.size == (given.origin.width, given.origin.height)
    if calibration is not None and stored.calibration_id:
        return (calibration.origin.width, calibration.origin.height) == (given.origin.width, given.origin.height)
    return True
