"""How often clean frames raise an alarm: block bootstrap of their evidence, and the thresholds that follow."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .change import ChangeDetector
from .p_values import Array

DECLUSTER_S = 10.0  # exceedances of a threshold within this window are one alarm


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


def run_detector(detector: ChangeDetector, nats: Array, interval_s: float) -> Array:
    """The detector's statistic (T, …) after each of the T rows of evidence `nats` (T, …)."""
    result = np.empty_like(nats)
    statistic = np.full(nats.shape[1:], detector.start)
    for t, row in enumerate(nats):
        statistic = detector.step(statistic, row, interval_s)
        result[t] = statistic
    return result


def sustained(statistic: Array, duration_s: float, interval_s: float) -> Array:
    """The lowest value (T, …) of the statistic (T, …) in the last `duration_s`: an episode opens at this level."""
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

    At most half of the windows may reach it: a score that is absent from most frames rests at one value, and
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

    In the range of rates that can be counted, the logarithm of the rate falls about linearly with the threshold. The
    line through the thresholds of the supported rate and of a quarter of the highest countable rate is extended to the
    asked one. Never below what the bootstrap itself gives. For data so short that their supported rate is near the
    highest countable one, the smallest maximum stands for the line's lower end, which makes it as steep as possible.
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
