from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from gradwatch.models.classifier import SignClassifier
from gradwatch.models.outputs import SIGN_CLASSES

WIDTH = 5


class CountingSession:
    """A graph whose features are the crop's first values; counts the runs that asked for logits."""

    def __init__(self, classes: int = len(SIGN_CLASSES)) -> None:
        rng = np.random.default_rng(0)
        self.weight = rng.standard_normal((classes, WIDTH), np.float32)
        self.bias = rng.standard_normal(classes, np.float32)
        self.runs = 0

    def get_inputs(self) -> list[Any]:
        return [SimpleNamespace(name="crops", shape=["n", 32, 32, 3], type="tensor(uint8)")]

    def run(self, names: list[str], feeds: dict[str, Any]) -> list[Any]:
        self.runs += "logits" in names
        features = feeds["crops"].reshape(len(feeds["crops"]), -1)[:, :WIDTH].astype(np.float32)
        outputs = {
            "features": features,
            "logits": features @ self.weight.T + self.bias,
            "weight": self.weight,
            "bias": self.bias,
        }
        return [outputs[name] for name in names]


def test_head_is_the_graphs_own() -> None:
    session = CountingSession()
    head = SignClassifier(session).head
    assert np.array_equal(head.weight, session.weight)
    assert np.array_equal(head.bias, session.bias)
    assert head.activation == "softmax"
    assert head.classes == SIGN_CLASSES


def test_logits_and_features_fit_the_head() -> None:
    classifier = SignClassifier(CountingSession())
    crops = np.random.default_rng(1).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
    logits, features = classifier(crops)
    assert logits.shape == (3, len(SIGN_CLASSES))
    assert features.shape == (3, WIDTH)
    assert np.allclose(features @ classifier.head.weight.T + classifier.head.bias, logits)


def test_no_crops_run_nothing() -> None:
    session = CountingSession()
    logits, features = SignClassifier(session)(np.zeros((0, 32, 32, 3), np.uint8))
    assert session.runs == 0
    assert logits.shape == (0, len(SIGN_CLASSES))
    assert features.shape == (0, WIDTH)
    assert logits.dtype == features.dtype == np.float32


@pytest.mark.parametrize(
    "crops",
    [
        np.zeros((2, 32, 31, 3), np.uint8),
        np.zeros((32, 32, 3), np.uint8),
        np.zeros((2, 3, 32, 32), np.uint8),
        np.zeros((2, 32, 32, 3), np.float32),
    ],
)
def test_other_crops_are_refused(crops: Any) -> None:
    with pytest.raises(ValueError, match="expected \\(n, 32, 32, 3\\) uint8, got"):
        SignClassifier(CountingSession())(crops)


def test_a_head_of_other_classes_is_refused() -> None:
    with pytest.raises(ValueError, match="14 classes"):
        SignClassifier(CountingSession(classes=43))
