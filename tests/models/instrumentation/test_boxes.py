"""Boxes, scores and classes of every family and layout against a plain decode of the original file's outputs."""

from __future__ import annotations

import math

import numpy as np
import onnxruntime
import pytest

from gradwatch.models.instrument import instrument, open_instrumented
from gradwatch.models.instrumented import InstrumentedDetector
from gradwatch.models.onnx_runtime import CUDA

SIDE_PX, CLASSES, BINS = 64, 5, 8
STRIDES_PX = (8, 16, 32)
ANCHORS_PX = [[(10, 13), (16, 30)], [(30, 61), (62, 45)], [(50, 40), (60, 60)]]
LAYOUTS = [
    ("nanodet", "split"),
    ("nanodet", "joined"),
    ("nanodet", "apart"),
    ("yolov5", "decoded"),
    ("yolov5", "sliced"),
    ("yolov5", "both"),
    ("yolov5", "raw"),
    ("yolov8", "decoded"),
    ("yolov8", "apart"),
    ("yolov8", "raw"),
    ("yolox", "decoded"),
    ("yolox", "raw"),
    ("rtdetr", "two"),
    ("rtdetr", "joined"),
]
DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.cuda)]


def picture():
    return np.random.default_rng(5).integers(0, 256, (SIDE_PX, SIDE_PX, 3), dtype=np.uint8)


def network_input(family, image):
    """The input as the authors of each family preprocess it."""
    if family == "nanodet":
        blob = (image[:, :, ::-1] - np.array([103.53, 116.28, 123.675])) / np.array([57.375, 57.12, 58.395])
    elif family == "yolox":
        blob = image[:, :, ::-1]
    else:
        blob = image / 255
    return np.ascontiguousarray(blob.transpose(2, 0, 1)[None], np.float32)


def sigmoid(x):
    return 1 / (1 + np.exp(-np.asarray(x, np.float64)))


def centered(box):
    x, y, width, height = map(float, box)
    return [x - width / 2, y - height / 2, x + width / 2, y + height / 2]


def binned(bins, x, y, stride):
    """Sides at the expected distances of four softmax distributions over 0..7 strides."""
    sides = []
    for side in range(4):
        weights = [math.exp(bins[BINS * side + k]) for k in range(BINS)]
        sides.append(stride * sum(k * w for k, w in enumerate(weights)) / sum(weights))
    return [x - sides[0], y - sides[1], x + sides[2], y + sides[3]]


def cells(strides=STRIDES_PX):
    """(stride, column, row) of every location, finest level first, row by row."""
    for stride in strides:
        for row in range(SIDE_PX // stride):
            for column in range(SIDE_PX // stride):
                yield stride, column, row


def read_nanodet(layout, outputs):
    if layout == "split":
        scores, bins = np.concatenate(outputs[:3], 1)[0], np.concatenate(outputs[3:], 1)[0]
    else:
        scores, bins = outputs[0][0, :, :CLASSES], outputs[0][0, :, CLASSES:]
    boxes = [binned(b, (x + 0.5) * s, (y + 0.5) * s, s) for b, (s, x, y) in zip(bins, cells(), strict=True)]
    return scores, boxes


def read_yolov5(layout, outputs):
    if layout != "raw":
        raw = outputs[0][0]
        return raw[:, 4:5] * raw[:, 5:], [centered(box) for box in raw[:, :4]]
    scores, boxes = [], []
    for level, raw in enumerate(outputs):
        for anchor, (width, height) in enumerate(ANCHORS_PX[level]):
            for row in range(raw.shape[2]):
                for column in range(raw.shape[3]):
                    t = sigmoid(raw[0, anchor, row, column])
                    x, y = (2 * t[0] - 0.5 + column) * STRIDES_PX[level], (2 * t[1] - 0.5 + row) * STRIDES_PX[level]
                    boxes.append(centered((x, y, (2 * t[2]) ** 2 * width, (2 * t[3]) ** 2 * height)))
                    scores.append(t[4] * t[5:])
    return np.array(scores), boxes


def read_yolov8(layout, outputs):
    if layout != "raw":
        return outputs[0][0, 4:].T, [centered(box) for box in outputs[0][0, :4].T]
    raw = np.concatenate([output[0].reshape(4 * BINS + CLASSES, -1).T for output in outputs])
    boxes = [binned(t, (x + 0.5) * s, (y + 0.5) * s, s) for t, (s, x, y) in zip(raw, cells(), strict=True)]
    return sigmoid(raw[:, 4 * BINS :]), boxes


def read_yolox(layout, outputs):
    raw = outputs[0][0]
    boxes = [centered(t[:4]) for t in raw]
    if layout == "raw":
        boxes = [
            centered(((t[0] + x) * s, (t[1] + y) * s, math.exp(t[2]) * s, math.exp(t[3]) * s))
            for t, (s, x, y) in zip(raw, cells(), strict=True)
        ]
    return raw[:, 4:5] * raw[:, 5:], boxes


def read_rtdetr(layout, outputs):
    if layout == "two":
        return sigmoid(outputs[0][0]), [centered(box * SIDE_PX) for box in outputs[1][0]]
    return outputs[0][0, :, 4:], [centered(box * SIDE_PX) for box in outputs[0][0, :, :4]]


READERS = {
    "nanodet": read_nanodet,
    "yolov5": read_yolov5,
    "yolov8": read_yolov8,
    "yolox": read_yolox,
    "rtdetr": read_rtdetr,
}


def wanted(file, image):
    """Scores (locations, C) and boxes (locations, 4) px, cut at the picture's borders."""
    session = onnxruntime.InferenceSession(str(file.path), providers=["CPUExecutionProvider"])
    feed = {session.get_inputs()[0].name: network_input(file.family, image)}
    scores, boxes = READERS[file.family](file.layout, session.run(None, feed))
    return scores, np.clip(boxes, 0, SIDE_PX)


def save(model, folder):
    path = folder / "instrumented.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def anchors_of(file):
    flat = [anchor for level in ANCHORS_PX for anchor in level]
    return {"anchors_px": flat} if (file.family, file.layout) == ("yolov5", "raw") else {}


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(("family", "layout"), LAYOUTS)
def test_boxes_equal_a_plain_decode(foreign, tmp_path, family, layout, device):
    if device == "cuda" and CUDA not in onnxruntime.get_available_providers():
        pytest.skip("this ONNX Runtime has no CUDA")
    file, image = foreign(family, layout), picture()
    path = save(instrument(file.path, keep=1000, **anchors_of(file)), tmp_path)
    scores, boxes = wanted(file, image)
    best = scores.max(1)
    threshold = float(np.median(best))
    detector = InstrumentedDetector(
        open_instrumented(path, device), score_threshold=threshold, iou_threshold=1.0, limit=10_000
    )
    found = detector(image)
    order = np.argsort(-best)[: len(found)]
    assert abs(len(found) - (best >= threshold).sum()) <= 1  # the one on the threshold may fall on either side
    np.testing.assert_allclose(found.score, best[order], atol=1e-5)
    assert (found.class_id == scores.argmax(1)[order]).all()
    np.testing.assert_allclose(found.xyxy, boxes[order], atol=0.01)


@pytest.mark.parametrize("family", READERS)
def test_selected_classes(foreign, tmp_path, family):
    """Class 3 alone: its own score, also where another class is likelier at the same location."""
    file, image = foreign(family, LAYOUTS[[f for f, _ in LAYOUTS].index(family)][1]), picture()
    path = save(instrument(file.path, keep=1000, **anchors_of(file)), tmp_path)
    scores, boxes = wanted(file, image)
    threshold = float(np.quantile(scores[:, 3], 0.6))
    session = open_instrumented(path, "cpu")
    found = InstrumentedDetector(session, classes=[3], score_threshold=threshold, iou_threshold=1.0, limit=10_000)(
        image
    )
    order = np.argsort(-scores[:, 3])[: len(found)]
    assert abs(len(found) - (scores[:, 3] >= threshold).sum()) <= 1
    assert (found.class_id == 3).all()
    np.testing.assert_allclose(found.score, scores[order, 3], atol=1e-5)
    np.testing.assert_allclose(found.xyxy, boxes[order], atol=0.01)


@pytest.mark.parametrize("ranked", [(3,), (1, 4)])
def test_locations_are_ranked_by_the_ranked_classes(foreign, tmp_path, ranked):
    """The two locations of each level are those where the ranked classes score best, not any class."""
    file, image = foreign("yolox", "decoded"), picture()
    path = save(instrument(file.path, keep=2, ranked=ranked), tmp_path)
    scores, _ = wanted(file, image)
    found = InstrumentedDetector(open_instrumented(path, "cpu"), score_threshold=0, iou_threshold=1.0)(image)
    best, first = scores[:, list(ranked)].max(1), 0
    expected = []
    for stride in STRIDES_PX:
        count = (SIDE_PX // stride) ** 2
        expected += sorted(best[first : first + count], reverse=True)[:2]
        first += count
    np.testing.assert_allclose(found.score, sorted(expected, reverse=True), atol=1e-5)
    with pytest.raises(ValueError, match=r"expected classes among those .* got \[0\]"):
        InstrumentedDetector(open_instrumented(path, "cpu"), classes=[0])


def test_nanodet_plus_has_its_locations_at_corners(foreign, tmp_path):
    file, image = foreign("nanodet", "joined", levels=4), picture()
    path = save(instrument(file.path), tmp_path)
    session = onnxruntime.InferenceSession(str(file.path), providers=["CPUExecutionProvider"])
    raw = session.run(None, {session.get_inputs()[0].name: network_input("nanodet", image)})[0][0]
    strides = (*STRIDES_PX, 64)
    boxes = [binned(t[CLASSES:], x * s, y * s, s) for t, (s, x, y) in zip(raw, cells(strides), strict=True)]
    detector = InstrumentedDetector(open_instrumented(path, "cpu"), score_threshold=0, iou_threshold=1.0)
    assert detector.manifest.family == "nanodet-plus"
    assert tuple(level.stride_px for level in detector.manifest.levels) == strides
    order = np.argsort(-raw[:, :CLASSES].max(1))
    found = detector(image)
    assert len(found) == 85
    np.testing.assert_allclose(found.xyxy, np.clip(boxes, 0, SIDE_PX)[order], atol=0.01)
