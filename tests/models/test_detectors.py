"""Decoding against plain code, and NanoDet-m on a real picture."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from gradwatch.models.detectors import (
    PedestrianDetector,
    SignDetector,
    join_detections,
    keep_best,
    no_detections,
)
from gradwatch.models.onnx_runtime import load_session
from gradwatch.models.outputs import PEDESTRIAN, SIGN
from gradwatch.models.zoo import MODELS

SIDE = 416


class FakeNanoDet:
    """A session with NanoDet-m's outputs, in an order of its own, whose content the test writes."""

    def __init__(self):
        self.arrays = {}
        for stride in (32, 8, 16):
            places = (SIDE // stride) ** 2
            self.arrays[f"bins{stride}"] = np.zeros((1, places, 32), np.float32)
            self.arrays[f"probability{stride}"] = np.zeros((1, places, 80), np.float32)

    def get_inputs(self):
        return [SimpleNamespace(name="input.1", shape=[1, 3, SIDE, SIDE])]

    def get_outputs(self):
        return [SimpleNamespace(name=name, shape=list(array.shape)) for name, array in self.arrays.items()]

    def run(self, names, feed):
        self.feed = feed["input.1"]
        return [self.arrays[name] for name in names]


@pytest.mark.parametrize("stride", [8, 16, 32])
def test_nanodet_decode_equals_plain_code(stride):
    session = FakeNanoDet()
    columns = SIDE // stride
    row, column = 5, 7
    place = row * columns + column
    bins = np.random.default_rng(stride).normal(0, 2, 32).astype(np.float32)
    session.arrays[f"probability{stride}"][0, place, 0] = 0.8
    session.arrays[f"probability{stride}"][0, place + 3, 9] = 0.99  # a traffic light is not a person
    session.arrays[f"bins{stride}"][0, place] = bins
    distances = []
    for side in range(4):
        weights = np.exp(bins[8 * side : 8 * side + 8])
        distances.append(sum(k * w for k, w in enumerate(weights)) / weights.sum() * stride)
    x, y = (column + 0.5) * stride, (row + 0.5) * stride
    wanted = np.clip([x - distances[0], y - distances[1], x + distances[2], y + distances[3]], 0, SIDE)
    found = PedestrianDetector(session)(np.zeros((SIDE, SIDE, 3), np.uint8))
    assert len(found) == 1
    assert found.class_id.tolist() == [PEDESTRIAN]
    np.testing.assert_allclose(found.xyxy[0], wanted, rtol=1e-5)
    assert found.score[0] == np.float32(0.8)


def test_nanodet_input_is_normalized_bgr():
    session = FakeNanoDet()
    image = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    PedestrianDetector(session)(image)
    mean, deviation = np.array([103.53, 116.28, 123.675]), np.array([57.375, 57.12, 58.395])
    wanted = ((image[:, :, ::-1] - mean) / deviation).transpose(2, 0, 1)
    np.testing.assert_allclose(session.feed[0], wanted, rtol=1e-4, atol=1e-5)


def test_nanodet_of_other_shapes_is_refused():
    session = FakeNanoDet()
    del session.arrays["bins8"]
    with pytest.raises(ValueError, match="expected outputs of shapes"):
        PedestrianDetector(session)


class FakeSigns:
    """A sign detector's session with three peaks, two of them on one sign."""

    def get_inputs(self):
        return [SimpleNamespace(name="image", shape=[1, 288, 512, 3])]

    def run(self, names, feed):
        assert names == ["boxes", "scores"]
        assert feed["image"].shape == (1, 288, 512, 3)
        boxes = [[100, 50, 120, 70], [101, 50, 121, 70], [300, 100, 330, 130], [0, 0, 9, 9]]
        return [np.array([boxes], np.float32), np.array([[0.7, 0.9, 0.6, 0.1]], np.float32)]


def test_sign_decode():
    found = SignDetector(FakeSigns())(np.zeros((576, 1024, 3), np.uint8))
    np.testing.assert_allclose(found.score, [0.9, 0.6])
    np.testing.assert_allclose(found.xyxy, [[202, 100, 242, 140], [600, 200, 660, 260]])
    assert found.class_id.tolist() == [SIGN, SIGN]


def test_nothing_found_is_legal():
    nothing = no_detections()
    assert len(join_detections([])) == len(join_detections([nothing, nothing])) == 0
    assert len(keep_best(nothing.xyxy, nothing.score, SIGN, 0.5, 8)) == 0
    assert len(SignDetector(FakeSigns(), score_threshold=0.95)(np.zeros((90, 160, 3), np.uint8))) == 0


def test_limit_keeps_the_best():
    boxes = np.array([[x, 0, x + 5, 5] for x in range(0, 100, 10)], np.float32)
    score = np.linspace(0.1, 1, 10).astype(np.float32)
    np.testing.assert_allclose(keep_best(boxes, score, SIGN, 0.5, 3).score, [1, 0.9, 0.8])


def first_frame(path, number):
    av = pytest.importorskip("av")
    with av.open(str(path)) as video:
        for i, frame in enumerate(video.decode(video=0)):
            if i == number:
                return frame.to_ndarray(format="rgb24")
    raise AssertionError(f"{path} has no frame {number}")


def test_nanodet_finds_people(shared):
    """Frame 90 of PETS 2009 S2.L1: five people stand free; each is found once, and little else."""
    pytest.importorskip("onnxruntime")
    image = first_frame(shared / "data" / "pets09_s2l1" / "pets_a.mp4", 90)
    found = PedestrianDetector(load_session(MODELS["nanodet_m"].path(), "cpu"))(image)
    centers = (found.xyxy[:, :2] + found.xyxy[:, 2:]) / 2
    for x, y in ((305, 224), (391, 220), (476, 197), (504, 198), (585, 216)):
        assert (np.abs(centers - (x, y)).max(1) < 8).sum() == 1
    assert len(found) <= 9


def test_nanodet_sees_nobody_in_an_empty_picture():
    pytest.importorskip("onnxruntime")
    detector = PedestrianDetector(load_session(MODELS["nanodet_m"].path(), "cpu"))
    assert len(detector(np.full((540, 960, 3), 128, np.uint8))) == 0
