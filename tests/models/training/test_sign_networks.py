"""Training data of the two sign networks, and the shipped classifier on real photographs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gradwatch.models.classifier import SignClassifier
from gradwatch.models.onnx_runtime import load_session
from gradwatch.models.training.sign_pictures import SignPictures, gtsrb_crops, read_gtsrb
from gradwatch.models.training.sign_scenes import Scene, compose
from gradwatch.models.zoo import MODELS


def test_classifier_reads_the_public_test_photographs(shared: Path) -> None:
    classifier = SignClassifier(load_session(MODELS["sign_classifier"].path(), "cpu"))
    pictures = read_gtsrb(shared / "data" / "gtsrb32", "test_public")
    right = classifier(gtsrb_crops(pictures))[0].argmax(1) == pictures.class_id
    assert right.mean() >= 0.95


def test_training_targets_decode_to_their_boxes() -> None:
    torch = pytest.importorskip("torch")
    from gradwatch.models.training.sign_detector import decode, targets_of

    xyxy = np.array([[10, 12, 19, 21], [100, 40, 130, 75], [200.5, 100, 207.5, 108], [50, 100, 90, 140]], np.float32)
    required = np.array([True, True, True, False])
    targets = targets_of(Scene(np.zeros((160, 256, 3), np.uint8), xyxy, required))
    heat = np.log(np.clip(targets.heat, 1e-6, 1 - 1e-6)) - np.log1p(-np.clip(targets.heat, 1e-6, 1 - 1e-6))
    boxes, scores = decode(torch.from_numpy(np.concatenate([heat[None], targets.values])[None]))
    best = boxes[0, :3].numpy()
    assert np.abs(best[np.argsort(best[:, 0])] - xyxy[:3][np.argsort(xyxy[:3, 0])]).max() < 1e-3
    assert float(scores[0, 2]) > 0.99
    assert float(scores[0, 3]) < 0.5
    assert not targets.scored[30, 17]  # a sign that is not required has no loss


def test_composed_scenes_box_what_they_paste() -> None:
    rgba = np.zeros((1, 64, 64, 4), np.uint8)
    rgba[0, 8:56, 8:56] = (255, 0, 255, 255)
    signs = SignPictures(rgba, np.zeros(1, np.int64), np.ones(1, bool))
    rng = np.random.default_rng(5)
    empty = Scene(np.zeros((160, 256, 3), np.uint8), np.zeros((0, 4), np.float32), np.zeros(0, bool))
    boxes = 0
    for _ in range(30):
        scene = compose(signs, empty, rng)
        for x1, y1, x2, y2 in scene.xyxy[scene.required]:
            inside = scene.image[round(y1 + 1) : round(y2 - 1), round(x1 + 1) : round(x2 - 1)].astype(int)
            # Magenta under any light: green stays far below the other two.
            assert np.mean(inside[..., 1] < inside[..., 0] - 20) > 0.8
            boxes += 1
    assert boxes > 20
