"""Overlap and suppression against plain code."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from gradwatch.models.boxes import area, iou, non_max_suppression


def random_boxes(seed, n):
    generator = np.random.default_rng(seed)
    corner = generator.uniform(0, 60, (n, 2))
    boxes = np.concatenate([corner, corner + generator.uniform(0, 40, (n, 2))], 1).astype(np.float32)
    score = generator.choice([0.1, 0.5, 0.7, 0.9], n).astype(np.float32)
    return boxes, score, generator.integers(0, 2, n).astype(np.int32)


def plain_iou(a, b):
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    intersection = max(width, 0) * max(height, 0)
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - intersection
    return intersection / union if union > 0 else 0.0


def plain_suppress(boxes, score, class_id, threshold):
    kept = []
    for i in sorted(range(len(score)), key=lambda i: (-score[i], i)):
        if all(class_id[i] != class_id[k] or plain_iou(boxes[i], boxes[k]) <= threshold for k in kept):
            kept.append(i)
    return kept


@settings(deadline=None, max_examples=50)
@given(seed=st.integers(0, 10_000), n=st.integers(0, 20), m=st.integers(0, 5))
def test_iou_equals_plain_code(seed, n, m):
    a, b = random_boxes(seed, n)[0], random_boxes(seed + 1, m)[0]
    wanted = np.array([[plain_iou(x, y) for y in b] for x in a]).reshape(n, m)
    np.testing.assert_allclose(iou(a[:, None], b), wanted, rtol=1e-4, atol=1e-6)


@settings(deadline=None, max_examples=100)
@given(seed=st.integers(0, 10_000), n=st.integers(0, 25), threshold=st.sampled_from([0.1, 0.3, 0.6]))
def test_suppression_equals_plain_code(seed, n, threshold):
    boxes, score, class_id = random_boxes(seed, n)
    kept = non_max_suppression(boxes, score, class_id, threshold).tolist()
    assert kept == plain_suppress(boxes, score, class_id, threshold)


def test_empty_and_inverted_boxes():
    boxes = np.array([[5, 5, 5, 5], [9, 9, 1, 1]], np.float32)
    assert area(boxes).tolist() == [0, 0]
    assert iou(boxes[:, None], boxes).tolist() == [[0, 0], [0, 0]]
