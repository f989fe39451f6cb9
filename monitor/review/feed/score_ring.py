"""The scores of one camera over the last ten minutes, in arrays of bounded size."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gradwatch.streams.wire.messages import FrameReport, StreamState

from ...scorers import SCORERS
from ..shapes import finite
from ..store.schema import Json

SPAN_NS = 600 * 1_000_000_000
INTERVAL_NS = 100_000_000  # of a faster camera one report in this time is kept
FIRST_ROWS, MAX_ROWS = 256, 6_000
MAX_NAMES = 40
STATES = list(StreamState)
NEAR = 5  # frames by which an earlier one may stand for that asked for


class Series(NamedTuple):
    """Scores by frame, oldest first: n frames, k scores. NaN where a score did not apply."""

    names: list[str]  # k
    seq: NDArray[np.int64]  # (n,)
    capture_ns: NDArray[np.int64]  # (n,)
    published_ns: NDArray[np.int64]  # (n,)
    state: list[StreamState]  # n
    values: NDArray[np.float32]  # (n, k, 3): value (largest of all crops), p-value (smallest), ratio


class ScoreRing:
    """Scores of one run; a report of another run empties it. Not thread-safe."""

    def __init__(self) -> None:
        self.run_id = ""
        self._names: dict[str, int] = {}
        self._times = np.zeros((FIRST_ROWS, 3), np.int64)  # seq, capture_ns, published_ns
        self._states = np.zeros(FIRST_ROWS, np.uint8)
        self._values = np.full((FIRST_ROWS, 0, 3), np.nan, np.float32)
        self._next = self._count = 0

    @property
    def nbytes(self) -> int:
        """Memory of the arrays."""
        return self._times.nbytes + self._states.nbytes + self._values.nbytes

    def append(self, report: FrameReport, thinned: bool = True) -> None:
        """Adds the scores of a judged frame; if `thinned`, skips one within `INTERVAL_NS` of the last."""
        if report.identity.run_id != self.run_id:
            self.run_id, self._count, self._next = report.identity.run_id, 0, 0
        elif thinned and self._count and 0 <= report.published_ns - int(self._times[self._next - 1, 2]) < INTERVAL_NS:
            return
        for name in (*report.scores, *report.change):
            if name not in self._names and len(self._names) < MAX_NAMES:
                self._names[name] = len(self._names)
        self._make_room()
        row = self._next
        self._times[row] = report.identity.seq, report.capture_ns, report.published_ns
        self._states[row] = STATES.index(report.state)
        self._values[row] = np.nan
        for name, column in self._names.items():
            self._values[row, column] = (
                _finite(np.max, report.scores.get(name)),
                _finite(np.min, report.p_values.get(name)),
                report.change.get(name, np.nan),
            )
        self._next = (row + 1) % len(self._times)
        self._count = min(self._count + 1, len(self._times))

    def series(self, since_ns: int = 0, max_points: int = MAX_ROWS) -> Series:
        """At most `max_points` rows published after `since_ns`, those with the largest ratios: no peak is lost."""
        rows = self._rows()
        newest = int(self._times[rows[-1], 2]) if len(rows) else 0
        rows = rows[self._times[rows, 2] > max(since_ns, newest - SPAN_NS)]
        rows = rows[_peaks(self._values[rows, :, 2], max_points)]
        times = self._times[rows]
        states = [STATES[state] for state in self._states[rows]]
        return Series(list(self._names), times[:, 0], times[:, 1], times[:, 2], states, self._values[rows])

    def at(self, run_id: str, seq: int) -> list[Json] | None:
        """Scores of a frame, or of one just before it if that was skipped; None where neither is held."""
        rows = self._rows()
        if run_id != self.run_id or not len(rows):
            return None
        at = int(np.searchsorted(self._times[rows, 0], seq, side="right")) - 1
        if at < 0 or seq - self._times[rows[at], 0] > NEAR:
            return None
        found = {name: map(finite, self._values[rows[at], column]) for name, column in self._names.items()}
        return [
            {"name": name, "family": family_of(name), **dict(zip(("value", "p_value", "ratio"), numbers, strict=True))}
            for name, numbers in found.items()
        ]

    def _rows(self) -> NDArray[np.intp]:
        """Indices of the rows, oldest first."""
        return (np.arange(self._count) + self._next - self._count) % len(self._times)

    def _make_room(self) -> None:
        if len(self._names) > self._values.shape[1]:
            more = np.full((len(self._values), len(self._names) - self._values.shape[1], 3), np.nan, np.float32)
            self._values = np.concatenate([self._values, more], axis=1)
        if self._count == len(self._times) < MAX_ROWS:
            rows, length = self._rows(), min(2 * len(self._times), MAX_ROWS)
            self._times = np.resize(self._times[rows], (length, 3))
            self._states = np.resize(self._states[rows], length)
            self._values = np.resize(self._values[rows], (length, *self._values.shape[1:]))
            self._next = self._count


def family_of(name: str) -> str:
    """`gradient` or `baseline`; `unknown` for a score of a later version."""
    return SCORERS[name].family if name in SCORERS else "unknown"


def _finite(extreme: Callable[[Any], Any], values: NDArray[np.float32] | None) -> float:
    """The extreme of the finite `values`, NaN where there are none."""
    found = np.empty(0) if values is None else values[np.isfinite(values)]
    return float(extreme(found)) if len(found) else math.nan


def _peaks(ratios: NDArray[np.float32], max_points: int) -> NDArray[np.intp]:
    """Indices of at most `max_points` of n rows: the one with the largest ratio of each stretch."""
    count = len(ratios)
    if count <= max_points:
        return np.arange(count)
    largest = np.nan_to_num(ratios, nan=-np.inf).max(axis=1, initial=-np.inf)
    edges = np.linspace(0, count, max_points + 1).astype(int)
    return np.array([a + int(largest[a:b].argmax()) for a, b in pairwise(edges)], np.intp)
