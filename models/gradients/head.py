"""Gradient scores of a linear head z = W h + b, in closed form: no backward pass, no network, numpy alone.

For a loss J on the logits, delta = dJ/dz gives dJ/dW = delta h^T, so |dJ/dW|_2 = |delta|_2 |h|_2 and
|dJ/dW|_1 = |delta|_1 |h|_1 exactly. Each score is such a norm for one choice of the label:

    head_gradient_predicted   J to the predicted class (Lee and AlRegib, ICIP 2020, one-hot label)
    head_gradient_uniform     minus the L1 norm for J to the uniform label (GradNorm: Huang et al., NeurIPS 2021)
    head_gradient_ones        binary cross-entropy to the all-ones confounding label (Lee et al., IEEE Access 2023)
    expectancy_gradient       J to the expected class probabilities q (after Prabhushankar and AlRegib, Stochastic
                              Surprisal, Frontiers in Neuroscience 2023)

beside baselines that use no gradient: `msp` (1 - largest probability), `energy`, `feature_norm` and
`expectancy_surprisal` (-log of the expected class's probability). Higher = more anomalous for every score.
J is cross-entropy for a softmax head, and binary cross-entropy, mean over the classes, for a sigmoid head.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]

# float32's exp overflows above 88; sigmoid(-80) = 2e-35 is as good as 0 for every score.
LARGEST_EXPONENT = 80.0
TINY = 1e-30  # avoids 0 / 0 where no logit has a gradient

# Called as ufuncs: on eight crops the wrappers of numpy cost more than the arithmetic.
_max, _dot = np.maximum.reduce, np.vecdot


def softmax(logits: Array) -> Array:
    """Probabilities (n, C) of logits (n, C); stable for any finite logits."""
    exponents = np.exp(logits - _max(logits, axis=1, keepdims=True))
    probabilities: Array = exponents / _sum(exponents)[:, None]
    return probabilities


def sigmoid(logits: Array) -> Array:
    """1 / (1 + exp(-z)), elementwise; never overflows."""
    probabilities: Array = 1 / (1 + np.exp(np.minimum(-logits, LARGEST_EXPONENT)))
    return probabilities


def head_scores(
    logits: Array,
    features: Array,
    expected: Array | None = None,
    activation: Literal["softmax", "sigmoid"] = "softmax",
) -> dict[str, Array]:
    """All scores of n crops from logits (n, C) and features (n, D); each (n,), dtype as the inputs'.

    expected: class probabilities (n, C) expected from the object's track; None omits the two expectancy scores.
    n = 0 is legal. Raises ValueError for shapes that do not match.
    """
    if logits.ndim != 2 or features.ndim != 2 or len(logits) != len(features):
        raise ValueError(f"expected logits (n, C) and features (n, D), got {logits.shape} and {features.shape}")
    if expected is not None and expected.shape != logits.shape:
        raise ValueError(f"expected probabilities {logits.shape} as the logits, got {expected.shape}")
    scores = _softmax_scores if activation == "softmax" else _sigmoid_scores
    norm = np.sqrt(_dot(features, features))
    result = scores(logits, norm, _sum(np.abs(features)), expected)
    result["feature_norm"] = norm
    return result


@lru_cache(maxsize=64)
def _row_starts(n: int, classes: int) -> NDArray[np.intp]:
    """Index of each row's first element in a flattened (n, C) array."""
    starts = np.arange(n, dtype=np.intp) * classes
    starts.flags.writeable = False
    return starts


@lru_cache(maxsize=64)
def _ones(size: int, dtype: np.dtype[Any]) -> Array:
    return np.ones(size, dtype)


def _sum(rows: Array) -> Array:
    """The sum of each row (n,), as a product with ones: half the time of numpy's reduction at these sizes."""
    total: Array = _dot(rows, _ones(rows.shape[1], rows.dtype))
    return total


def gradtrust(logits: Array) -> Array:
    """Trust (n,) in the predicted class, in [1, C], higher = more trusted (Prabhushankar and AlRegib, MIPR 2024).

    max_c e_c / mean_c e_c with e_c = Var_k of the squared gradient of MSE(z, 1/C), which is (z_c - 1/C)^4. It measures
    whether a label is wrong, not whether a frame is unusual, so it is not among `head_scores`.
    All logits equal to 1/C have no gradient and get 1, the least trust.
    """
    power = logits - 1 / logits.shape[1]
    np.multiply(power, power, out=power)
    largest = _max(power, axis=1)
    trust: Array = (largest * largest + TINY) / (_dot(power, power) / logits.shape[1] + TINY)
    return trust


def _softmax_scores(logits: Array, norm: Array, norm_1: Array, expected: Array | None) -> dict[str, Array]:
    n, classes = logits.shape
    starts = _row_starts(n, classes)
    top = logits.argmax(axis=1)
    top += starts
    highest = logits.reshape(-1)[top]
    shifted = logits - highest[:, None]
    others = np.exp(shifted)
    # The largest exponent is 1; without it, 1 - p is a sum of small numbers instead of a difference of large ones.
    flat = others.reshape(-1)
    flat[top] = 0
    rest = _sum(others)
    total = rest + 1
    scale = norm / total
    log_total = np.log1p(rest)
    result = {
        "head_gradient_predicted": np.sqrt(rest * rest + _dot(others, others)) * scale,
        "msp": rest / total,
        "energy": -(highest + log_total),
        "head_gradient_ones": _ones_delta(logits) * norm,
    }
    flat[top] = 1
    probabilities = others
    probabilities /= total[:, None]
    if expected is not None:
        delta = probabilities - expected
        result["expectancy_gradient"] = np.sqrt(_dot(delta, delta)) * norm
        result["expectancy_surprisal"] = log_total - shifted.reshape(-1)[expected.argmax(axis=1) + starts]
    probabilities -= 1 / classes
    result["head_gradient_uniform"] = -_sum(np.abs(probabilities, out=probabilities)) * norm_1
    return result


def _ones_delta(logits: Array) -> Array:
    """|(sigmoid(z) - 1) / C|_2 (n,), the error of mean binary cross-entropy to the all-ones label."""
    away = np.minimum(logits, LARGEST_EXPONENT)
    np.exp(away, out=away)
    away += 1
    np.reciprocal(away, out=away)
    length: Array = np.sqrt(_dot(away, away)) / logits.shape[1]
    return length


def _sigmoid_scores(logits: Array, norm: Array, norm_1: Array, expected: Array | None) -> dict[str, Array]:
    n, classes = logits.shape
    starts = _row_starts(n, classes)
    top = logits.argmax(axis=1) + starts
    probabilities = sigmoid(logits)
    complements = sigmoid(-logits)
    softplus = np.logaddexp(0, logits)
    scale = norm / classes
    predicted = probabilities.copy()
    predicted.reshape(-1)[top] = complements.reshape(-1)[top]
    result = {
        "head_gradient_predicted": np.sqrt(_dot(predicted, predicted)) * scale,
        # The uniform label of a binary cross-entropy is 1/2 for every class.
        "head_gradient_uniform": -_sum(np.abs(probabilities - 0.5)) * norm_1 / classes,
        "head_gradient_ones": np.sqrt(_dot(complements, complements)) * scale,
        "msp": complements.reshape(-1)[top],
        "energy": -_sum(softplus),
    }
    if expected is not None:
        delta = probabilities - expected
        wanted = expected.argmax(axis=1) + starts
        result["expectancy_gradient"] = np.sqrt(_dot(delta, delta)) * scale
        result["expectancy_surprisal"] = (softplus - logits).reshape(-1)[wanted]
    return result
