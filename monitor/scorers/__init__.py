"""One table of scores, gradient scores beside their plain baselines.

A new score is its own file and one line here; `tests/contracts/test_scorers.py` runs on every entry.
"""

from __future__ import annotations

from .contract import CropScores, Parameters, Scorer
from .crops import CropScore
from .image_statistics import ImageStatistics
from .tiles import TileScore, cosines, fused, log_loss, loss_and_cosines

SCORERS: dict[str, Scorer] = {
    # per crop: closed forms of the head's gradient, and what they must be compared with
    "head_gradient_predicted": CropScore("head_gradient_predicted", "gradient"),
    "head_gradient_uniform": CropScore("head_gradient_uniform", "gradient"),
    "head_gradient_ones": CropScore("head_gradient_ones", "gradient"),
    "msp": CropScore("msp", "baseline"),
    "energy": CropScore("energy", "baseline"),
    "feature_norm": CropScore("feature_norm", "baseline"),
    # per crop of a track that has learned what to expect
    "expectancy_gradient": CropScore("expectancy_gradient", "gradient"),
    "expectancy_surprisal": CropScore("expectancy_surprisal", "baseline"),
    # per frame
    "gradcon": TileScore(fused, "gradient"),
    "gradcon_vector": TileScore(loss_and_cosines, "gradient"),
    "gradcon_direction": TileScore(cosines, "gradient"),
    "reconstruction_error": TileScore(log_loss, "baseline"),
    "image_statistics": ImageStatistics(),
}

__all__ = ["SCORERS", "CropScores", "Parameters", "Scorer"]
