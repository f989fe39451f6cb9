"""Stored values that somebody has damaged: each is refused with its cause, or judges the next frame as any other.

Bytes are flipped, cut and inserted; values are replaced by other types, shapes, NaN and huge numbers, removed and
renamed. A good stream beside them is not interrupted.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import msgspec
import numpy as np
import pytest
from msgspec.structs import replace

from gradwatch.models.outputs import Head
from gradwatch.monitor.alarms.calibration import AlarmBudget, Calibration
from gradwatch.monitor.judging.judge import Judge
from gradwatch.monitor.judging.settings import JudgeSettings
from gradwatch.monitor.judging.state import JudgeState, new_run
from gradwatch.monitor.worker.pipeline import Pipeline
from gradwatch.monitor.worker.stored_state import (
    Shelf,
    StateFormatError,
    StoredState,
    dump,
    encode_array,
    found_in,
    load,
    parts,
)
from gradwatch.monitor.worker.verdict_feed import CorrectionBook
from gradwatch.streams.sinks import MemorySink
from gradwatch.streams.wire.checks import check_alert
from gradwatch.streams.wire.messages import Alert, ClassOverride, Outcome, RegionMute
from gradwatch.streams.wire.outputs import decode_alert, encode_alert, encode_correction, encode_report
from gradwatch.streams.wire.pixels import BadRecordError
from gradwatch.streams.wire.records import Record

from ..builders import StubObserver, add_signs, draw_observations, frame_stamp

CLEAN, ALERTING, START, STEP_NS = 100, 150, 10, 200_000_000
CLASSES = ("stop", "yield", "parking")
OTHERS: list[Any] = [
    None, True, -1, 0, 1, 2**31, 2**63, -(2**63), 2**64 - 1, 0.0, -1.5, 1e-320, 1e308, math.nan, math.inf, -math.inf,
    "", "\x00", "gradcon", "x" * 5000, b"", b"\xff" * 9, [], [[]], [1, "a"], {}, {"": 1}, {"dtype": "<f8"},
    *(encode_array(a) for a in (
        np.zeros(0), np.zeros((0, 4)), np.full(3, np.nan), np.zeros((3, 3)), np.ones(13), np.full((13, 13), 1e300),
        np.zeros(2, np.int64), np.full(1, 2**31 - 1, np.int32), np.zeros(5, np.float32), np.zeros((9, 2), np.int32),
    )),
    {"dtype": "|O", "shape": [1], "bytes": b"\0" * 8}, {"dtype": "<f8", "shape": [-1], "bytes": b""},
    {"dtype": "<f8", "shape": [2**40, 0], "bytes": b""}, {"dtype": "<M8[ns]", "shape": [1], "bytes": b"\0" * 8},
]  # fmt: skip


class Mutator:
    """Damages values; the same seed damages them in the same way."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)

    def __call__(self, content: bytes, decode: Callable[[bytes], Any], encode: Callable[[Any], bytes]) -> bytes:
        if self.random.random() < 0.3:
            return self._bytes(content)
        value = decode(content)
        for _ in range(int(self.random.integers(1, 3))):
            self._value(value)
        try:
            return encode(value)
        except (TypeError, ValueError, OverflowError):  # NaN and bytes can't be JSON
            return self._bytes(content)

    def _bytes(self, content: bytes) -> bytes:
        at, length = (int(n) for n in self.random.integers(0, [len(content), 9]))
        drawn = self.random.bytes(length)
        kind = self.random.integers(3)
        return content[:at] + [drawn + content[at + length :], content[at + length :], drawn + content[at:]][kind]

    def _value(self, root: Any) -> None:
        """Walks down at random, then replaces, removes or renames what it has come to."""
        inside = root
        while True:
            places = list(inside) if isinstance(inside, dict) else list(range(len(inside)))
            if not places:
                return
            place = places[self.random.integers(len(places))]
            below = inside[place]
            if not (isinstance(below, dict | list) and below and self.random.random() < 0.85):
                break
            inside = below
        kind = self.random.integers(8)
        if kind == 0:
            del inside[place]
        elif kind == 1 and isinstance(inside, dict):
            inside["renamed"] = inside.pop(place)
        elif kind == 2 and isinstance(below, list):
            inside[place] = below * 2
        elif kind == 3 and isinstance(below, int | float):
            inside[place] = below * [-1, 1e6, 1e-9, 2][self.random.integers(4)]
        else:
            inside[place] = deepcopy(OTHERS[self.random.integers(len(OTHERS))])


class Stored:
    """A calibrated stream with tracks, an open alert and corrections, one that gathers clean frames, and a pipeline."""

    def __init__(self) -> None:
        head = Head(np.zeros((3, 8), np.float32), np.zeros(3, np.float32), "softmax", CLASSES)
        settings = JudgeSettings(calibration_frames=CLEAN, alarms=AlarmBudget(bootstrap_hours=1))
        judge = Judge({"signs": head}, "models", settings)
        generator = np.random.default_rng(0)
        plain = draw_observations(ALERTING + 20, seed=5, shift=8.0, shifted_from=CLEAN + 10)
        box = np.array([[100.0, 100.0, 140.0, 140.0]])
        signs = [(5 * np.eye(1, 3) + generator.normal(size=(1, 3)), np.ones((1, 8))) for _ in plain]
        self.seen = [add_signs(one, *read, box) for one, read in zip(plain, signs, strict=True)]
        self.pipeline = Pipeline(StubObserver(self.seen), judge, MemorySink(), None)
        mutes = (RegionMute("m", "town", "ada", 1, [(0.0, 0.0), (9.0, 0.0), (9.0, 9.0)], ["sign"]),)
        override = ClassOverride("o", "town", "ada", 1, "run", 0, "stop")
        book = self.pipeline.corrections
        for one in (*mutes, override):
            book.update(Record("verdicts", 0, 0, 0, f"town/{one.verdict_id}".encode(), encode_correction(one)))
        self.topic: dict[str, bytes] = {}
        self.alerts: list[Alert] = []
        for stream, frames in (("town", ALERTING), ("start", START)):
            for seq in range(frames):
                self.step(stream, seq)
            state = self.pipeline.states[stream]
            bound = state.calibration.calibration_id if state.calibration else ""
            models = judge.models_id, judge.configuration_id, bound
            written, _ = parts(StoredState(9, 9, *models, len(state.clean), state), Shelf())
            self.topic |= {part.key: part.value for part in written if part.value is not None}
        self.alert = encode_alert(self.alerts[-1])
        self.correction = encode_correction(mutes[0])

    def step(self, stream: str, seq: int) -> Any:
        """The report of the next frame."""
        stamp = frame_stamp(stream, seq, capture_ns=seq * STEP_NS, published_ns=seq * STEP_NS, offset=seq)
        judgement = self.pipeline.judge(stamp, self.seen[seq % len(self.seen)])
        encode_report(judgement.report)
        for one in judgement.alerts:
            encode_alert(one)
        self.alerts += judgement.alerts
        return judgement.report


@pytest.fixture(scope="module")
def stored() -> Stored:
    return Stored()


def state_topic(stored: Stored, stream: str, prefix: str, mutate: Mutator) -> str:
    """Damages one record of a stream; what is left is taken up, and judges the next frame."""
    own = {key: value for key, value in stored.topic.items() if key.split("/")[0] == stream}
    keys = [key for key in own if key.startswith(prefix) and (prefix.endswith("/") or key == prefix)]
    key = keys[mutate.random.integers(len(keys))]
    own[key] = mutate(own[key], msgspec.msgpack.decode, msgspec.msgpack.encode)
    problems = ""
    for found in found_in(own):
        stored.pipeline.take_up(found)
        problems += found.problem
    stored.pipeline.failures.forget(stream)
    seq = ALERTING if stream == "town" else START
    report = stored.step(stream, seq)
    assert report.outcome is Outcome.JUDGED, f"{key}: what was believed can't be judged with"
    state = stored.pipeline.states[stream]
    dump(state)
    return "refused" if problems else "believed"


def calibration_file(stored: Stored, mutate: Mutator) -> str:
    content = mutate(stored.topic["town/calibration"], msgspec.msgpack.decode, msgspec.msgpack.encode)
    try:
        calibration = load(content, Calibration)
    except StateFormatError:
        return "refused"
    state = replace(new_run(None, "town", "run"), calibration=calibration)
    stored.pipeline.states["town"] = state
    assert stored.step("town", ALERTING).outcome is Outcome.JUDGED
    assert calibration.note is not None
    return "believed"


def correction(stored: Stored, mutate: Mutator) -> str:
    book = CorrectionBook()
    content = mutate(stored.correction, msgspec.json.decode, msgspec.json.encode)
    book.update(Record("verdicts", 0, 0, 0, b"town/m", content))
    if not book.of("town"):
        return "refused"
    kept, stored.pipeline.corrections = stored.pipeline.corrections, book
    for seq in (ALERTING, ALERTING + 60):  # it applies 50 frames later
        assert stored.step("town", seq).outcome is Outcome.JUDGED
    stored.pipeline.corrections = kept
    load(dump(replace(stored.pipeline.states["town"], calibration=None, clean=())), JudgeState)
    return "believed"


def alert(stored: Stored, mutate: Mutator) -> str:
    content = mutate(stored.alert, msgspec.json.decode, msgspec.json.encode)
    try:
        read = decode_alert(content)
        check_alert(read)
    except (BadRecordError, ValueError):
        return "refused"
    encode_alert(read)
    return "believed"


KINDS: dict[str, Callable[[Stored, Mutator], str]] = {
    "state": lambda stored, mutate: state_topic(stored, "town", "town", mutate),
    "state of a start": lambda stored, mutate: state_topic(stored, "start", "start", mutate),
    "clean frames": lambda stored, mutate: state_topic(stored, "start", "start/clean/", mutate),
    "calibration": lambda stored, mutate: state_topic(stored, "town", "town/calibration", mutate),
    "calibration file": calibration_file,
    "correction": correction,
    "alert": alert,
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("count", [60, pytest.param(1500, marks=pytest.mark.slow)])
def test_what_was_damaged_is_refused_or_judges_on(stored: Stored, kind: str, count: int) -> None:
    mutate, results = Mutator(seed=count), Counter[str]()
    for number in range(count):
        results[KINDS[kind](stored, mutate)] += 1
        if number % 20 == 0:
            assert stored.step("good", number).outcome is Outcome.JUDGED
    stored.pipeline.forget("good")
    assert results["believed"] < count
