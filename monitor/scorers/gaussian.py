"""A Gaussian fitted to few, dependent, partly constant measurements, and the distance from it."""

from __future__ import annotations

import numpy as np

from .contract import Array, Parameters

MIN_SHRINKAGE, MAX_SHRINKAGE = 0.1, 0.5
RELATIVE_FLOOR, ABSOLUTE_FLOOR = 0.02, 1e-3


def fit_gaussian(measurements: Array, floor: float = ABSOLUTE_FLOOR) -> Parameters:
    """Mean and whitening matrix of `measurements` (n, s), n >= 2.

    The covariance is shrunk towards its diagonal, the more the fewer rows there are for its entries, and
    standard deviations are floored at `floor` and at 2 % of the mean: a camera that stands still has
    statistics that hardly move, and dividing by their deviation would make every later frame abnormal.
    Returns `mean` (s,) and `whitening` (s, s) with whitening @ covariance @ whitening.T = 1.
    Raises ValueError for fewer than two rows.
    """
    if measurements.ndim != 2 or len(measurements) < 2:
        raise ValueError(f"a Gaussian needs (n >= 2, s) measurements, got shape {measurements.shape}")
    count, size = measurements.shape
    mean = measurements.mean(axis=0)
    covariance = np.atleast_2d(np.cov(measurements, rowvar=False))
    shrinkage = float(np.clip(2 * size / count, MIN_SHRINKAGE, MAX_SHRINKAGE))
    variance = np.maximum(np.diag(covariance), np.maximum(floor, RELATIVE_FLOOR * np.abs(mean)) ** 2)
    covariance = (1 - shrinkage) * covariance
    np.fill_diagonal(covariance, variance)
    return {"mean": mean, "whitening": np.linalg.inv(np.linalg.cholesky(covariance))}


def mahalanobis(measurements: Array, parameters: Parameters) -> Array:
    """Root mean square of the whitened deviations of (n, s) `measurements`: (n,), about 1 on clean ones."""
    deviation = (measurements - parameters["mean"]) @ parameters["whitening"].T
    return np.asarray(np.sqrt(np.mean(deviation * deviation, axis=1)))
