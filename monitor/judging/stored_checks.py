"""Checks a stored value whole before it is believed, whoever wrote it: types, shapes, ranges, and what must agree.

msgspec has decoded it, so every field is of its type. `check` walks through it: every array must be one of ARRAYS,
every number finite and in its range (NUMBERS), every name of a score known (SCORE_NAMES), and RULES say what must agree
within one value. What passes can be judged with.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any, NamedTuple

import msgspec
import numpy as np

from gradwatch.models.image_statistics import STATISTICS
from gradwatch.models.outputs import KINDS, Detections, Observation, Tiles
from gradwatch.streams.wire.messages import ClassOverride, RegionMute

from ..alarms.calibration import INTERVAL_S, Calibration, CleanFrame, Origin
from ..alarms.change import CHANGE_DETECTORS
from ..alarms.episodes import Episode, Moment
from ..alarms.p_values import MAX_REFERENCE, NEUTRAL_EVIDENCE_NATS, Reference
from ..scorers import SCORERS, ClosedForm
from .expectation import Expectations
from .forecasts import LEDGER_CAPACITY, CoverageLedger
from .runs import Runs
from .state import NOTHING_FRAMES, JudgeState
from .stream_time import KEPT_STEPS, LONGEST_STEP_NS, SURE, StreamTime
from .tracking import MIN_SIZE_PX, TrackSet

HUGE = 1e15  # no number in a state is as large, and its square is far from overflowing
TIMES_NS = (-(2**62), 2**62)  # of a stream's own time, so that differences stay within 64 bits
INTEGERS = (-(2**63), 2**64 - 1)
COUNT = (0, 2**53)
MAX_TEXT, MAX_ITEMS = 4096, 100_000
GRID = (0, 1023)  # rows and columns of tiles
MAX_HEADS = 64
MAX_STATISTIC = max(detector.ceiling for detector in CHANGE_DETECTORS.values())


class StoredValueError(ValueError):
    """What was expected of a stored value, what it is, and where in it."""


class Array(NamedTuple):
    """What an array must be: its type, its shape, in which letters are equal lengths, and the range of its values."""

    dtype: str
    shape: tuple[str | int, ...]
    low: float = -HUGE
    high: float = HUGE


ARRAYS: Mapping[type, Mapping[str, Array]] = {
    TrackSet: {
        "track_id": Array("i8", ("m",), *COUNT),
        "kind": Array("i4", ("m",), 0, len(KINDS) - 1),
        "mean": Array("f8", ("m", 4, 2)),
        "covariance": Array("f8", ("m", 4, 2, 2)),
        "born_ns": Array("i8", ("m",), *TIMES_NS),
        "seen_ns": Array("i8", ("m",), *TIMES_NS),
        "hits": Array("i4", ("m",), 1, 2**30),
        "score": Array("f8", ("m",), 0, 1),
    },
    CoverageLedger: {
        "pending_id": Array("i8", ("k",), *COUNT),
        "due_ns": Array("i8", ("k",), *TIMES_NS),
        "mean": Array("f8", ("k", 2)),
        "radius": Array("f8", ("k",), 0),
        "last_id": Array("i8", ("j",), *COUNT),
        "last_ns": Array("i8", ("j",), *TIMES_NS),
        "last_center": Array("f8", ("j", 2)),
    },
    Expectations: {
        "track_id": Array("i8", ("e",), *COUNT),
        "crops": Array("i8", ("e",), *COUNT),
        "weight": Array("f8", ("e",), 0),
        "q": Array("f8", ("e", "c"), 0, 1),
    },
    Reference: {"values": Array("f8", ("n",))},
    Observation: {"image_statistics": Array("f4", (len(STATISTICS),))},
    Detections: {
        "xyxy": Array("f4", (0, 4)),
        "score": Array("f4", (0,)),
        "class_id": Array("i4", (0,)),
    },
    Tiles: {
        "position": Array("i4", ("t", 2), *GRID),
        "loss": Array("f4", ("t",), 0),
        "grad_cosines": Array("f4", ("t", "k"), -2, 2),
    },
    ClosedForm: {
        "values": Array("f4", ("k",)),
        "detection_index": Array("i4", ("k",), 0, 2**30),
        "head": Array("i4", ("k",), 0, MAX_HEADS - 1),
    },
}
NUMBERS: Mapping[type, Mapping[str, tuple[float, float]]] = {
    JudgeState: {"next_seq": (0, 2**63), "clean_from": (0, 2**63), "idle_frames": (0, 2 * NOTHING_FRAMES)},
    StreamTime: {"now_ns": (0, 2**62), "steps_ns": (0, LONGEST_STEP_NS), "doubt": (0, SURE)},
    Runs: {"rival_frames": COUNT},
    TrackSet: {"next_id": COUNT, "time_ns": TIMES_NS},
    CoverageLedger: dict.fromkeys(("checked", "hit", "lost", "skipped"), COUNT),
    Moment: {"time_ns": TIMES_NS, "track_id": COUNT, "ratios": (0, HUGE), "p_values": (0, 1)},
    Episode: {"peak": (0, HUGE), "smallest_p": (0, 1), "revision": COUNT, "announced": COUNT},
    Reference: {"tail_share": (1e-9, 1), "tail_scale": (1e-9, HUGE)},
    Calibration: {
        "frames": (1, HUGE),
        "interval_s": INTERVAL_S,
        "false_alarms_per_hour": (1e-9, 1e6),
        "supported_per_hour": (1e-9, 1e9),
        "thresholds": (NEUTRAL_EVIDENCE_NATS, MAX_STATISTIC),
    },
    Origin: {"width": (1, 2**20), "height": (1, 2**20)},
    Observation: {"size": (1, 2**20)},
    CleanFrame: {"capture_ns": TIMES_NS, "segment": COUNT},
    ClassOverride: {"track_id": COUNT},
}
SCORE_NAMES: Mapping[type, tuple[str, ...]] = {
    JudgeState: ("change",),
    Moment: ("ratios", "p_values"),
    Episode: ("carried_by",),
    CleanFrame: ("crops",),
    Calibration: ("parameters", "references", "thresholds", "silent"),
}


def check(value: Any, where: str = "") -> None:
    """Checks a stored value and all in it. Raises StoredValueError."""
    kind = type(value)
    if isinstance(value, np.ndarray):
        raise StoredValueError(f"{where}: expected no array here")
    if isinstance(value, str):
        _expect(len(value) <= MAX_TEXT, where, f"at most {MAX_TEXT} characters", len(value))
    elif isinstance(value, int | float):
        _in_range(value, where, INTEGERS if isinstance(value, int) else (-HUGE, HUGE))
    elif isinstance(value, Mapping):
        _expect(len(value) <= MAX_ITEMS, where, f"at most {MAX_ITEMS} entries", len(value))
        for key, inner in value.items():
            check(str(key), where)
            check(inner, f"{where}.{str(key)[:80]}")
    elif isinstance(value, list | tuple):
        _expect(len(value) <= MAX_ITEMS, where, f"at most {MAX_ITEMS} items", len(value))
        for number, inner in enumerate(value):
            check(inner, f"{where}[{number}]")
    elif isinstance(value, msgspec.Struct) or is_dataclass(value):
        _check_fields(value, kind, where or kind.__name__)


def _check_fields(value: Any, kind: type, where: str) -> None:
    arrays = ARRAYS.get(kind, {})
    _check_arrays({name: getattr(value, name) for name in arrays}, arrays, where)
    for name, (low, high) in NUMBERS.get(kind, {}).items():
        for number in _numbers(getattr(value, name)):
            _in_range(number, f"{where}.{name}", (low, high))
    for name in SCORE_NAMES.get(kind, ()):
        unknown = sorted(set(getattr(value, name)) - SCORERS.keys())
        _expect(not unknown, f"{where}.{name}", "names of scores", str(unknown)[:200])
    skipped = set(arrays)
    if kind is Calibration:
        _check_parameters(value.parameters, f"{where}.parameters")
        skipped.add("parameters")
    for name in _names(value):
        if name not in skipped:
            check(getattr(value, name), f"{where}.{name}")
    for holds, expected in RULES.get(kind, ()):
        _expect(holds(value), where, expected, "other values")


def _check_arrays(values: Mapping[str, Any], expected: Mapping[str, Array], where: str) -> None:
    lengths: dict[str, int] = {}
    for name, rule in expected.items():
        array, place = values[name], f"{where}.{name}"
        wanted = np.dtype(rule.dtype)
        _expect(isinstance(array, np.ndarray) and array.dtype == wanted, place, f"an array of {wanted}", "another type")
        _expect(array.ndim == len(rule.shape), place, f"shape {rule.shape}", array.shape)
        axes = zip(rule.shape, array.shape, strict=True)
        shape = tuple(lengths.setdefault(axis, n) if isinstance(axis, str) else axis for axis, n in axes)
        _expect(array.shape == shape, place, f"shape {shape}", array.shape)
        inside = bool(np.isfinite(array).all()) and bool(((array >= rule.low) & (array <= rule.high)).all())
        _expect(inside, place, f"values from {rule.low:g} to {rule.high:g}", "others")


def _check_parameters(parameters: Mapping[str, Mapping[str, Any]], where: str) -> None:
    """Each score has none, or exactly those of its layout; a spread is divided by."""
    for score, own in parameters.items():
        layout = SCORERS[score].layout
        names = set(layout) if own else set()
        _expect(set(own) == names, f"{where}.{score}", f"the parameters {sorted(names)}", sorted(own))
        rules = {name: Array("f8", tuple(layout[name]), *((1e-9, HUGE) if name == "spread" else ())) for name in own}
        _check_arrays(own, rules, f"{where}.{score}")
        _expect(all(len(array) for array in own.values()), f"{where}.{score}", "rows in each", "none")


def _tracks_agree(tracks: TrackSet) -> bool:
    variance, rate = tracks.covariance[..., 0, 0], tracks.covariance[..., 1, 1]
    shared = tracks.covariance[..., 0, 1]
    return (
        len(np.unique(tracks.track_id)) == len(tracks)
        and bool((tracks.track_id < tracks.next_id).all())
        and bool((tracks.mean[:, 2:, 0] >= MIN_SIZE_PX / 2).all())
        and bool(((tracks.born_ns <= tracks.seen_ns) & (tracks.seen_ns <= tracks.time_ns)).all())
        and bool(((variance >= 0) & (rate >= 0) & (shared**2 <= variance * rate * (1 + 1e-6) + 1e-9)).all())
        and bool(np.allclose(shared, tracks.covariance[..., 1, 0]))
    )


def _state_agrees(state: JudgeState) -> bool:
    moments = [m for e in state.episodes.values() for m in (e.onset, e.last, e.subject, e.top) if m is not None]
    return all(moment.identity.stream_id == state.stream_id for moment in moments)


def _numbers(value: Any) -> Iterable[float]:
    """The numbers directly in a field: itself, or those of a mapping or a tuple."""
    if value is None:
        return ()
    if isinstance(value, Mapping):
        return value.values()
    return value if isinstance(value, tuple | list) else (value,)


Rule = tuple[Callable[[Any], bool], str]
RULES: Mapping[type, tuple[Rule, ...]] = {
    TrackSet: ((_tracks_agree, "tracks with ids of their own, sizes, variances, and times in order"),),
    CoverageLedger: (
        (lambda v: len(v.pending_id) <= LEDGER_CAPACITY, f"at most {LEDGER_CAPACITY} pending forecasts"),
        (lambda v: v.hit <= v.checked, "no more hits than checks"),
    ),
    Reference: (
        (lambda v: 1 <= len(v.values) <= MAX_REFERENCE, f"1 to {MAX_REFERENCE} values"),
        (lambda v: bool((np.diff(v.values) >= 0).all()), "values in order"),
    ),
    Episode: ((lambda v: bool(v.carried_by), "the scores that carry it"),),
    StreamTime: ((lambda v: len(v.steps_ns) <= KEPT_STEPS, f"at most {KEPT_STEPS} steps"),),
    JudgeState: (
        (_state_agrees, "episodes of its own stream"),
        (lambda v: all(0 <= s <= MAX_STATISTIC for s in v.change.values()), f"change statistics to {MAX_STATISTIC:g}"),
    ),
    Observation: ((lambda v: not v.heads, "no outputs of heads"),),
    Calibration: (
        (lambda v: v.thresholds.keys() <= v.references.keys() <= v.parameters.keys(), "scores that are fitted"),
    ),
    RegionMute: ((lambda v: len(v.polygon) >= 3, "a polygon"),),
}


def _names(value: Any) -> Iterable[str]:
    return value.__struct_fields__ if isinstance(value, msgspec.Struct) else [field.name for field in fields(value)]


def _in_range(value: float, where: str, limits: tuple[float, float]) -> None:
    _expect(limits[0] <= value <= limits[1], where, f"a number from {limits[0]:g} to {limits[1]:g}", value)


def _expect(holds: bool, where: str, expected: str, got: object) -> None:
    if not holds:
        raise StoredValueError(f"{where}: expected {expected}, got {got}")
