"""One table of scores, gradient scores beside their plain baselines.

A new score is its own file and one line here; `tests/contracts/test_scorers.py` runs on every entry. Pure functions of
observations: they may import the types of observations alone, and know no stream, alarm or ground truth.
"""

from __future__ import annotations

from .contract import PEDESTRIAN_PREFIX, ClosedForm, CropScores, Family, Parameters, Scorer
from .crops import PedestrianScore, SignScore
from .image_statistics import ImageStatistics
from .tiles import TileScore, cosines, fused, log_loss, loss_and_cosines

CLOSED_FORMS: dict[str, Family] = {
    # per crop: closed forms of the head's gradient, and the baselines that they must be compared with
    "head_gradient_predicted": "gradient",
    "head_gradient_uniform": "gradient",
    "head_gradient_ones": "gradient",
    "msp": "baseline",
    "energy": "baseline",
    "feature_norm": "baseline",
    # per crop of a track that has learned what to expect
    "expectancy_gradient": "gradient",
    "expectancy_surprisal": "baseline",
}

SCORERS: dict[str, Scorer] = {
    **{name: SignScore(name, family) for name, family in CLOSED_FORMS.items()},
    **{
        PEDESTRIAN_PREFIX + name: PedestrianScore(PEDESTRIAN_PREFIX + name, family)
        for name, family in CLOSED_FORMS.items()
    },
    # per frame
    "gradcon": TileScore(fused, "gradient"),
    "gradcon_vector": TileScore(loss_and_cosines, "gradient"),
    "gradcon_direction": TileScore(cosines, "gradient"),
    "reconstruction_error": TileScore(log_loss, "baseline"),
    "image_statistics": ImageStatistics(),
}

__all__ = ["PEDESTRIAN_PREFIX", "SCORERS", "ClosedForm", "CropScores", "Parameters", "Scorer"]
