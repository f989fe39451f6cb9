"""How often would clean frames raise an alarm? Block bootstrap of evidence, and thresholds read off it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .change import ChangeDetector

Array = NDArray[np.float64]

DECLUSTER_S = 10.0  # exceedances of a threshold within this window are one alarm


@dataclass(frozen=True, slots=True)
class CleanEvidence:
    """Evidence (T, S) of S scores on T clean frames in order; `segment` (T,) numbers the drives they come from."""

    evidence: Array
    segment: NDArray[np.int64]
    interval_s: float

    @property
    def hours(self) -> float:
        """Length of what was watched."""
        return len(self.evidence) * self.interval_s / 3600


def block_indices(segment: NDArray[np.int64], block: int, length: int, columns: int, seed: int) -> NDArray[np.int64]:
    """Frame numbers (length, columns) made of runs of `block` frames that lie within one segment each.

    Blocks keep the dependence between neighboring frames (Künsch 1989). A segment shorter than a block is
    one shorter block; its last frame then repeats.
    """
    generator = np.random.default_rng(seed)
    last_of_segment = np.flatnonzero(np.append(np.diff(segment) != 0, True))
    last = last_of_segment[np.searchsorted(last_of_segment, np.arange(len(segment)))]
    first = np.concatenate([[0], last_of_segment[:-1] + 1])
    # a block may start wherever it fits into its segment
    starts = np.concatenate(
        [np.arange(a, max(b - block + 1, a) + 1) for a, b in zip(first, last_of_segment, strict=True)]
    )
    chosen = generator.choice(starts, size=(-(-length // block), 1, columns))
    frames = np.minimum(chosen + np.arange(block)[None, :, None], last[chosen])
    return np.asarray(frames.reshape(-1, columns)[:length])


def statistics_of(detector: ChangeDetector, evidence: Array, interval_s: float) -> Array:
    """The detector's statistic (T, …) after each of the T rows of `evidence` (T, …)."""
    result = np.empty_like(evidence)
    statistic = np.full(evidence.shape[1:], detector.start)
    for t, row in enumerate(evidence):
        statistic = detector.step(statistic, row, interval_s)
        result[t] = statistic
    return result


def lasting(statistic: Array, duration_s: float, interval_s: float) -> Array:
    """The level (T, …) that the statistic (T, …) has not fallen below for `duration_s`: what an episode goes by."""
    result = statistic.copy()
    for back in range(1, int(np.ceil(duration_s / interval_s - 1e-9)) + 1):
        result[back:] = np.minimum(result[back:], statistic[:-back])
    return result


def window_maxima(statistic: Array, interval_s: float) -> Array:
    """Maxima (T // w, …) of the statistic (T, …) over windows of DECLUSTER_S: each holds at most one alarm."""
    width = max(1, round(DECLUSTER_S / interval_s))
    windows = len(statistic) // width
    return np.asarray(statistic[: windows * width].reshape(windows, width, *statistic.shape[1:]).max(axis=1))


def alarms_per_hour(maxima: Array, threshold: float, hours: float) -> float:
    """Alarms an hour at `threshold`, adjacent windows over it counting once; `maxima` (windows, columns)."""
    over = maxima >= threshold
    starts = over & ~np.concatenate([np.zeros_like(over[:1]), over[:-1]])
    return float(starts.sum()) / hours


def threshold_for(maxima: Array, per_hour: float, hours: float) -> float:
    """The lowest threshold from which on `maxima` (windows, columns) of `hours` raise at most `per_hour` alarms.

    At most half of the windows may reach it: a score that says nothing of most frames rests at one value, and
    a statistic over its threshold all the time would count as a single alarm.
    """
    before = np.concatenate([np.full_like(maxima[:1], -np.inf), maxima[:-1]])
    rising = maxima > before
    begins, begun = np.sort(maxima[rising]), np.sort(before[rising])  # an alarm starts where it lies between the two
    values = np.unique(maxima)
    values = values[values >= np.median(maxima)]
    # starts over each value: risings that end above it, less those that began above it as well
    starts = np.searchsorted(begun, values, side="right") - np.searchsorted(begins, values, side="right")
    too_many = np.flatnonzero(starts > per_hour * hours)
    return float(np.nextafter(values[too_many[-1] + 1 if len(too_many) else 0], np.inf))


def extrapolated_threshold(maxima: Array, per_hour: float, supported_per_hour: float, hours: float) -> float:
    """Threshold for a rate that the data are too short to show.

    Where the rate can be seen, its logarithm falls about linearly with the threshold; the line through the
    thresholds of the supported rate and of a quarter of the highest countable rate is followed down to the
    asked one. Never below what the bootstrap itself gives. Data so short that their supported rate is near the
    highest countable one have hardly a line to follow: there the smallest maximum stands for its lower end,
    which makes it as steep as it can be.
    """
    plain = threshold_for(maxima, per_hour, hours)
    if per_hour >= supported_per_hour:
        return plain
    countable = 900 / DECLUSTER_S
    often = min(8 * supported_per_hour, countable)
    rarely = min(supported_per_hour, often / 2)
    high = threshold_for(maxima, rarely, hours)
    low = threshold_for(maxima, often, hours) if often < countable else float(maxima.min())
    slope = max(high - low, 0.0) / np.log(often / rarely)
    return max(plain, high + float(slope * np.log(rarely / per_hour)))
