"""Figures of merit."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def auroc(clean: Array, anomalous: Array) -> float:
    """Probability that an anomalous value is above a clean one, ties counting half; NaN if either is empty.

    The Mann-Whitney statistic by ranks; anomalous is the positive class.
    """
    if not len(clean) or not len(anomalous):
        return float("nan")
    order = np.sort(clean)
    below = np.searchsorted(order, anomalous, side="left")
    not_above = np.searchsorted(order, anomalous, side="right")
    return float((below + not_above).sum() / (2 * len(clean) * len(anomalous)))


def delay_figures(delays: Sequence[int | None], within: int) -> dict[str, float | None]:
    """{share, median, worst} of delays in frames; a delay that is None or above `within` is a miss.

    A miss counts as infinitely late in the median; `worst` is None unless there is no miss.
    """
    hits = [delay for delay in delays if delay is not None and delay <= within]
    median = float(np.median([*hits, *[np.inf] * (len(delays) - len(hits))]))
    return {
        "share": len(hits) / len(delays),
        "median": median if np.isfinite(median) else None,
        "worst": max(hits) if len(hits) == len(delays) else None,
    }


def spreads(rounds: Sequence[dict[str, float]]) -> dict[str, dict[str, float]]:
    """Figure -> {min, median, max} over the rounds, each of which measured the same figures."""
    values = {name: [one[name] for one in rounds] for name in rounds[0]}
    return {
        name: {"min": float(min(v)), "median": float(np.median(v)), "max": float(max(v))} for name, v in values.items()
    }
