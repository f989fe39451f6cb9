"""Scores of the tile auto-encoder: GradCon (Kwon et al., ECCV 2020) and its plain reconstruction error.

A tile of sky and a tile of trees have different clean values, so each feature of a tile is first
standardized by the row of the grid that the tile lies in, then averaged over the tiles of the frame. The
distance is two-sided, for the baseline as well: blur, haze and darkness make tiles *easier* to reconstruct
than clean ones, so a one-sided score would miss them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from gradwatch.models.outputs import Observation, Tiles

from .contract import Array, CropScores, Family, Layout, Parameters, Unit
from .gaussian import fit_gaussian, mahalanobis

BETA = 0.12  # weight of the cosines in the published score
MIN_ROW_TILES = 20  # rows with fewer clean tiles than this are standardized by all tiles


def log_loss(tiles: Tiles) -> Array:
    """(t, 1): the logarithm of the reconstruction error, whose clean distribution is near symmetric."""
    return np.asarray(np.log(tiles.loss.astype(np.float64) + 1e-6)[:, None])


def fused(tiles: Tiles) -> Array:
    """(t, 1): the published abnormality, loss - beta * mean of the gradient cosines."""
    return np.asarray(tiles.loss - BETA * tiles.grad_cosines.mean(axis=1), dtype=np.float64)[:, None]


def cosines(tiles: Tiles) -> Array:
    """(t, K): the gradient cosine of every decoder layer, without the loss itself."""
    return tiles.grad_cosines.astype(np.float64)


def loss_and_cosines(tiles: Tiles) -> Array:
    """(t, 1 + K): what GradCon adds up, as a vector, so that each part may deviate either way."""
    return np.concatenate([log_loss(tiles), cosines(tiles)], axis=1)


@dataclass(frozen=True, slots=True)
class TileScore:
    """One value a frame from the `features` of its tiles; none for a frame without tiles."""

    features: Callable[[Tiles], Array]
    family: Family
    unit: Unit = "frame"
    layout: ClassVar[Layout] = {"centre": "rk", "spread": "rk", "mean": "k", "whitening": "kk"}

    def fit(self, observations: Sequence[Observation], crops: Sequence[CropScores]) -> Parameters:
        """Mean and deviation of every grid row's tiles, then a Gaussian of the frames' averages.

        {} where fewer than two frames have tiles: then the score does not apply to the stream.
        """
        if sum(len(o.tiles.loss) > 0 for o in observations) < 2:
            return {}
        rows = np.concatenate([o.tiles.position[:, 0] for o in observations])
        features = np.concatenate([self.features(o.tiles) for o in observations])
        centre, spread = _standards(rows, features)
        standards: Parameters = {"centre": centre, "spread": spread}
        averages = [self._average(o.tiles, standards) for o in observations if len(o.tiles.loss)]
        return standards | fit_gaussian(np.stack(averages), floor=0.05)

    def score(self, observation: Observation, crops: CropScores, parameters: Parameters) -> Array:
        """(1,) distance of the frame's average tile; (0,) for a frame without tiles or where nothing was fitted."""
        if not parameters or not len(observation.tiles.loss):
            return np.empty(0)
        return mahalanobis(self._average(observation.tiles, parameters)[None], parameters)

    def _average(self, tiles: Tiles, parameters: Parameters) -> Array:
        row = np.minimum(tiles.position[:, 0], len(parameters["centre"]) - 1)
        standard = (self.features(tiles) - parameters["centre"][row]) / parameters["spread"][row]
        return np.asarray(standard.mean(axis=0))


def _standards(rows: NDArray[np.int32], features: Array) -> tuple[Array, Array]:
    """Mean and standard deviation (rows, k) of the features by grid row."""
    count = int(rows.max(initial=0)) + 1
    everywhere = features.mean(axis=0), np.maximum(features.std(axis=0), 1e-6)
    centre = np.tile(everywhere[0], (count, 1))
    spread = np.tile(everywhere[1], (count, 1))
    for row in range(count):
        inside = features[rows == row]
        if len(inside) >= MIN_ROW_TILES:
            centre[row] = inside.mean(axis=0)
            spread[row] = np.maximum(inside.std(axis=0), 0.2 * everywhere[1])
    return centre, spread
