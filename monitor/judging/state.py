"""All that the judge remembers of one stream, in one value that can be stored and taken up again.

The judge given the same state and the same frames says the same again, ids included; that is what resuming
after a crash rests on.
"""

from __future__ import annotations

from typing import TypeVar

import msgspec
import numpy as np

from gradwatch import GradwatchError
from gradwatch.streams.wire.messages import AlertKind

from ..alarms.calibration import Calibration, CleanFrame
from ..alarms.episodes import Episode
from .corrections import InForce, of_new_run
from .expectation import Expectations
from .regions import CoverageLedger, empty_ledger
from .tracking import TrackSet, no_tracks

FORMAT = 1

T = TypeVar("T")


class StateFormatError(GradwatchError, ValueError):
    """Bytes that are not a state of this version."""


class JudgeState(msgspec.Struct, frozen=True):
    """The memory of one run of one stream.

    `change` is the change statistic of every alarm-carrying score; `clean` the frames gathered so far while
    the stream calibrates on its own start.
    """

    stream_id: str
    run_id: str
    next_seq: int = 0
    capture_ns: int | None = None
    tracks: TrackSet = msgspec.field(default_factory=no_tracks)
    ledger: CoverageLedger = msgspec.field(default_factory=empty_ledger)
    expectations: dict[str, Expectations] = msgspec.field(default_factory=dict)
    change: dict[str, float] = msgspec.field(default_factory=dict)
    episodes: dict[AlertKind, Episode] = msgspec.field(default_factory=dict)
    clean: tuple[CleanFrame, ...] = ()
    calibration: Calibration | None = None
    verdicts: tuple[InForce, ...] = ()

    @property
    def alerting(self) -> bool:
        """Whether an alert is open."""
        return any(episode.revision for episode in self.episodes.values())


def new_run(previous: JudgeState | None, stream_id: str, run_id: str) -> JudgeState:
    """The state at the start of a run: nothing is remembered of an earlier one but its calibration and mutes."""
    if previous is None:
        return JudgeState(stream_id, run_id)
    verdicts = of_new_run(previous.verdicts, previous.next_seq)
    return JudgeState(stream_id, run_id, calibration=previous.calibration, verdicts=verdicts)


def encode_array(value: object) -> object:
    """Arrays as dtype, shape and bytes, for msgspec."""
    if isinstance(value, np.ndarray):
        return {"dtype": value.dtype.str, "shape": list(value.shape), "bytes": value.tobytes()}
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"a state holds arrays and plain values, got {type(value).__name__}")


def decode_array(kind: type, value: object) -> object:
    """The inverse of `encode_array`."""
    if isinstance(value, dict):
        return np.frombuffer(value["bytes"], dtype=value["dtype"]).reshape(value["shape"]).copy()
    raise TypeError(f"expected an array for {kind}, got {type(value).__name__}")


_encoder = msgspec.msgpack.Encoder(enc_hook=encode_array)


def dump(value: msgspec.Struct) -> bytes:
    """`value`, such as a JudgeState or a Calibration, as MessagePack: format number, name of its type, value."""
    return _encoder.encode([FORMAT, type(value).__name__, value])


def load_state(content: bytes) -> JudgeState:
    """The inverse of `dump` for states. Raises StateFormatError."""
    return load(content, JudgeState)


def load_calibration(content: bytes) -> Calibration:
    """The inverse of `dump` for calibrations. Raises StateFormatError."""
    return load(content, Calibration)


def load(content: bytes, kind: type[T]) -> T:
    """The inverse of `dump` for a value of type `kind`. Raises StateFormatError."""
    try:
        number, name, value = msgspec.msgpack.decode(content, type=tuple[int, str, msgspec.Raw])
        if (number, name) != (FORMAT, kind.__name__):
            raise StateFormatError(f"expected {kind.__name__} of format {FORMAT}, got {name} of format {number}")
        return msgspec.msgpack.decode(value, type=kind, dec_hook=decode_array)
    except msgspec.DecodeError as error:
        raise StateFormatError(f"expected {kind.__name__} as MessagePack, got {len(content)} bytes: {error}") from error
