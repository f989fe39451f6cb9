"""From a score to a conformal p-value, and from there to evidence in nats, which adds up over time.

The reference of a score is its values on clean frames that its own fit had not seen (cross-fitted).
The conformal p-value of a new value x is (1 + #{reference >= x}) / (n + 1) (Vovk et al. 2005): at most a
share p of clean values is that extreme, whatever their distribution. It can't fall below 1 / (n + 1). The evidence
is -ln p; above the reference's upper tail it continues along an exponential of the tail's mean excess, so that it
grows with the size of an anomaly.
"""

from __future__ import annotations

import msgspec
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

TAIL_SHARE = 0.05  # of the reference makes up its tail
MIN_TAIL = 8  # values at least
MAX_EVIDENCE_NATS = 30.0  # so that a single frame can't outweigh seconds of clean ones
NEUTRAL_EVIDENCE_NATS = 1.0  # the mean of -ln p where p is uniform; for frames without a value of the score
MAX_REFERENCE = 20_000  # values kept; more are thinned evenly in rank


class Reference(msgspec.Struct, frozen=True):
    """Sorted clean values of one score and the exponential tail above `tail_start`."""

    values: Array
    tail_start: float
    tail_share: float
    tail_scale: float


def reference(clean: Array) -> Reference:
    """The reference of `clean` cross-fitted values (n,), n >= 1."""
    values = np.sort(clean.astype(np.float64))
    count = len(values)
    tail = min(max(MIN_TAIL, int(TAIL_SHARE * count)), count)
    start = float(values[count - tail])
    # a tail of equal values has no scale of its own: fall back to the spread of the whole
    scale = max(float(np.mean(values[count - tail :] - start)), 0.05 * float(values.std()), 1e-9)
    if count > MAX_REFERENCE:
        # the highest of each group of neighbors in rank: p-values become coarser and never smaller than they were
        values = values[-(-np.arange(1, MAX_REFERENCE + 1) * count // MAX_REFERENCE) - 1]
    return Reference(values, start, tail / count, scale)


def p_value(x: Array, ref: Reference) -> Array:
    """Conformal p-values (n,) in (0, 1] of the values `x` (n,)."""
    at_least = len(ref.values) - np.searchsorted(ref.values, x, side="left")
    return np.asarray((1 + at_least) / (len(ref.values) + 1))


def evidence_nats(x: Array, ref: Reference) -> Array:
    """-ln p (n,) of the values `x` (n,), exponential above the tail's start, in [0, MAX_EVIDENCE_NATS]."""
    body = -np.log(p_value(x, ref))
    tail = -np.log(ref.tail_share) + (x - ref.tail_start) / ref.tail_scale
    return np.asarray(np.clip(np.where(x > ref.tail_start, tail, body), 0.0, MAX_EVIDENCE_NATS))
