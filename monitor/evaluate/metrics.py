"""Figures of merit."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def auroc(clean: Array, anomalous: Array) -> float:
    """Probability that an anomalous value is above a clean one, ties counting half; NaN without either.

    The Mann-Whitney statistic by ranks; anomalous is the positive class.
    """
    if not len(clean) or not len(anomalous):
        return float("nan")
    order = np.sort(clean)
    below = np.searchsorted(order, anomalous, side="left")
    not_above = np.searchsorted(order, anomalous, side="right")
    return float((below + not_above).sum() / (2 * len(clean) * len(anomalous)))


def median_delay(delays: Sequence[int | None], within: int) -> float | None:
    """Median over all drives; one that was not noticed `within` so many frames counts as infinitely late."""
    median = float(np.median([np.inf if d is None or d > within else d for d in delays]))
    return median if np.isfinite(median) else None


def spread(values: list[float]) -> dict[str, float]:
    """{min, median, max} of figures."""
    return {"min": float(min(values)), "median": float(np.median(values)), "max": float(max(values))}
