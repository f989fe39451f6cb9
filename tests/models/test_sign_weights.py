"""The two shipped sign networks: the contract of their graphs, and that they find and classify signs."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest

from gradwatch.models.boxes import iou
from gradwatch.models.classifier import SignClassifier
from gradwatch.models.crops import crop
from gradwatch.models.onnx_runtime import load_session
from gradwatch.models.outputs import SIGN_CLASSES
from gradwatch.models.zoo import MODELS
from gradwatch.streams.world.signs import draw_sign

FIRST_SEED = 500_000  # far from the seeds that the networks were trained and measured on


@pytest.fixture(scope="module")
def classifier() -> SignClassifier:
    return SignClassifier(load_session(MODELS["sign_classifier"].path(), "cpu", 1))


@pytest.fixture(scope="module")
def detector() -> Any:
    return load_session(MODELS["sign_detector"].path(), "cpu", 1)


def street(size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Soft blotches of dull color, (height, width, 3) uint8: a background that is neither flat nor a sign."""
    coarse = rng.uniform(60, 180, (6, 8, 1)) + rng.uniform(-15, 15, (6, 8, 3))
    image = cv2.resize(coarse.astype(np.float32), size, interpolation=cv2.INTER_CUBIC)
    return np.clip(image + rng.normal(0, 3, image.shape), 0, 255).astype(np.uint8)


def put_sign(image: np.ndarray, label: str, seed: int, size_px: int, x: int, y: int) -> np.ndarray:
    """Draws the sign in place at (x, y) px, its top-left corner; returns its box (4,)."""
    rgba = draw_sign(label, size_px, seed).astype(np.float32)
    alpha = rgba[..., 3:] / 255
    under = image[y : y + size_px, x : x + size_px]
    under[:] = (under * (1 - alpha) + rgba[..., :3] * alpha).astype(np.uint8)
    ys, xs = np.nonzero(rgba[..., 3] > 127)
    return np.array([x + xs.min(), y + ys.min(), x + xs.max() + 1, y + ys.max() + 1], np.float32)


def drawn_crops(size_px: int, per_class: int) -> tuple[np.ndarray, np.ndarray]:
    """Crops of signs `size_px` long, cut by boxes displaced by up to 5 %, and their class ids."""
    rng = np.random.default_rng(size_px)
    crops, class_id = [], []
    for index, label in enumerate(SIGN_CLASSES):
        for seed in range(FIRST_SEED, FIRST_SEED + per_class):
            image = street((96, 96), rng)
            box = put_sign(image, label, seed, size_px, 24, 24)
            missed = box + rng.uniform(-0.05, 0.05, 4).astype(np.float32) * size_px
            crops.append(crop(image, missed[None])[0])
            class_id.append(index)
    return np.stack(crops), np.array(class_id)


def test_classifier_outputs_follow_from_its_head(classifier: SignClassifier) -> None:
    crops = np.random.default_rng(0).integers(0, 256, (7, 32, 32, 3), dtype=np.uint8)
    logits, features = classifier(crops)
    assert logits.shape == (7, 14)
    assert features.shape == (7, classifier.head.weight.shape[1])
    assert logits.dtype == features.dtype == np.float32
    assert np.abs(features @ classifier.head.weight.T + classifier.head.bias - logits).max() < 1e-5


def test_a_crops_logits_do_not_depend_on_its_batch(classifier: SignClassifier) -> None:
    crops = np.random.default_rng(1).integers(0, 256, (9, 32, 32, 3), dtype=np.uint8)
    together = classifier(crops)[0]
    alone = np.concatenate([classifier(crops[i : i + 1])[0] for i in range(len(crops))])
    assert np.abs(together - alone).max() < 1e-4


def test_classifier_accepts_zero_crops(classifier: SignClassifier) -> None:
    logits, features = classifier(np.zeros((0, 32, 32, 3), np.uint8))
    assert logits.shape == (0, 14)
    assert len(features) == 0


@pytest.mark.parametrize(("size_px", "floor"), [(12, 0.8), (16, 0.9), (24, 0.95), (48, 0.95)])
def test_classifier_recognizes_unseen_signs(classifier: SignClassifier, size_px: int, floor: float) -> None:
    crops, class_id = drawn_crops(size_px, per_class=8)
    assert (classifier(crops)[0].argmax(1) == class_id).mean() >= floor


def test_detector_returns_ranked_finite_boxes(detector: Any) -> None:
    image = street((512, 288), np.random.default_rng(2))
    boxes, scores = detector.run(["boxes", "scores"], {"image": image[None]})
    assert boxes.shape == (1, 32, 4)
    assert scores.shape == (1, 32)
    assert np.isfinite(boxes).all()
    assert ((scores >= 0) & (scores <= 1)).all()
    assert (np.diff(scores[0]) <= 0).all()
    assert (boxes[0, :, 2:] > boxes[0, :, :2]).all()


def test_detector_finds_each_type(detector: Any) -> None:
    """At three sizes, over all types: the box with the highest score is that of the sign."""
    rng = np.random.default_rng(3)
    found = []
    for index, label in enumerate(SIGN_CLASSES):
        for size_px in (12, 20, 40):
            image = street((512, 288), rng)
            x, y = (int(v) for v in rng.integers((10, 10), (450, 230)))
            box = put_sign(image, label, FIRST_SEED + index, size_px, x, y)
            boxes, _ = detector.run(["boxes", "scores"], {"image": image[None]})
            found.append(iou(boxes[0, 0], box) >= 0.5)
    assert np.mean(found) >= 0.9


def test_detector_finds_nothing_without_a_sign(detector: Any) -> None:
    rng = np.random.default_rng(4)
    best = [detector.run(["scores"], {"image": street((512, 288), rng)[None]})[0].max() for _ in range(10)]
    assert np.mean(np.array(best) >= 0.4) <= 0.1
