"""Change detection on evidence: has a stream left its calibration, and since when?

Scores of neighboring frames depend on each other, so textbook thresholds for independent values raise false
alarms by the minute. Here every threshold is read off block-bootstrapped clean evidence, for a stated mean
time between false alarms (ARL0).

A detector is stateless: `step` takes the statistic and gives the next one, for one stream or, in the
bootstrap, for many at once. Its statistic is bounded, so it recovers when the evidence goes. Thresholds hold at
the frame interval of the calibration: a longer gap counts as one such interval, because a frame after a gap is
no more evidence than any other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from .p_values import EVIDENCE_CAP, NEUTRAL_EVIDENCE

Array = NDArray[np.float64]


class ChangeDetector(Protocol):
    """One detector of the table CHANGE_DETECTORS."""

    @property
    def start(self) -> float:
        """The statistic of a stream that nothing is known of."""

    @property
    def ceiling(self) -> float:
        """What the statistic never goes beyond: a threshold there would never be reached."""

    def step(self, statistic: Array, evidence: Array, dt_s: float) -> Array:
        """The next statistic, elementwise; `dt_s` is the time since the last frame."""


@dataclass(frozen=True, slots=True)
class Ewma:
    """Exponentially weighted mean of the evidence with time constant `tau_s`, on capture time."""

    tau_s: float = 1.5
    start: float = NEUTRAL_EVIDENCE
    ceiling: float = EVIDENCE_CAP

    def step(self, statistic: Array, evidence: Array, dt_s: float) -> Array:
        """The mean moved towards `evidence` by the share of the time constant that went by."""
        share = 1.0 - np.exp(-max(dt_s, 0.0) / self.tau_s)
        return np.asarray(statistic + share * (evidence - statistic))


@dataclass(frozen=True, slots=True)
class Cusum:
    """Page's cumulative sum of the evidence above `allowance` nats a second, bounded so that it recovers."""

    allowance: float = 3.0
    ceiling: float = 2 * EVIDENCE_CAP
    start: float = 0.0

    def step(self, statistic: Array, evidence: Array, dt_s: float) -> Array:
        """The sum after `dt_s` (at most one second counts: a gap is no evidence)."""
        gain = (evidence - self.allowance) * min(max(dt_s, 0.0), 1.0)
        return np.clip(statistic + gain, 0.0, self.ceiling)


CHANGE_DETECTORS: dict[str, ChangeDetector] = {"ewma": Ewma(), "ewma_fast": Ewma(tau_s=0.5), "cusum": Cusum()}
