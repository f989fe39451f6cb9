"""Change detection on evidence: has a stream left the distribution of its clean frames?

Scores of neighboring frames depend on each other, so textbook thresholds for independent values raise false
alarms by the minute. Here every threshold is taken from block-bootstrapped clean evidence, for a stated mean
time between false alarms (ARL0).

A detector has no state of its own: `step` maps a statistic to the next one, for one stream or, in the bootstrap, for
many at once. The statistic is bounded, so it recovers when the evidence ends. Thresholds hold at the frame interval
of the calibration: a longer gap counts as one such interval, because a frame after a gap is no more evidence than any
other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from .p_values import MAX_EVIDENCE_NATS, NEUTRAL_EVIDENCE_NATS, Array


class ChangeDetector(Protocol):
    """One detector of the table CHANGE_DETECTORS."""

    @property
    def start(self) -> float:
        """The statistic of a stream before its first frame."""

    @property
    def ceiling(self) -> float:
        """Upper bound of the statistic: a threshold there would never be crossed."""

    def step(self, statistic: Array, nats: Array, dt_s: float) -> Array:
        """The next statistic, elementwise, after evidence `nats`; `dt_s` is the time since the last frame."""


@dataclass(frozen=True, slots=True)
class Ewma:
    """Exponentially weighted mean of the evidence with time constant `tau_s`, on capture time."""

    tau_s: float = 1.5
    start: float = NEUTRAL_EVIDENCE_NATS
    ceiling: float = MAX_EVIDENCE_NATS

    def step(self, statistic: Array, nats: Array, dt_s: float) -> Array:
        """Moves the mean towards `nats` by the share of the time constant that went by."""
        share = 1.0 - np.exp(-max(dt_s, 0.0) / self.tau_s)
        return np.asarray(statistic + share * (nats - statistic))


@dataclass(frozen=True, slots=True)
class Cusum:
    """Page's cumulative sum of the evidence above `allowance` nats a second, bounded so that it recovers."""

    allowance: float = 3.0
    ceiling: float = 2 * MAX_EVIDENCE_NATS
    start: float = 0.0

    def step(self, statistic: Array, nats: Array, dt_s: float) -> Array:
        """The sum after `dt_s`, of which at most one second counts: a gap is no evidence."""
        gain = (nats - self.allowance) * min(max(dt_s, 0.0), 1.0)
        return np.clip(statistic + gain, 0.0, self.ceiling)


CHANGE_DETECTORS: dict[str, ChangeDetector] = {"ewma": Ewma(), "ewma_fast": Ewma(tau_s=0.5), "cusum": Cusum()}
