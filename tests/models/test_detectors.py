"""People and signs against plain code, and NanoDet-m on real pictures."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from gradwatch.models.boxes import non_max_suppression
from gradwatch.models.detectors import PedestrianDetector, SignDetector, join_detections
from gradwatch.models.gradients.head import sigmoid
from gradwatch.models.onnx_runtime import load_session
from gradwatch.models.outputs import NO_DETECTIONS, PEDESTRIAN, SIGN, Detections
from gradwatch.models.preprocess import letterbox
from gradwatch.models.zoo import MODELS

STRIDES_PX, SIDE_PX, BINS = (8, 16, 32), 416, 8


@pytest.fixture(scope="module")
def nanodet():
    pytest.importorskip("onnxruntime")
    return PedestrianDetector(load_session(MODELS["nanodet_m"].path(), "cpu"))


def read_plainly(session, image):
    """People by the published graph and NanoDet's own formulas, one location after the other."""
    canvas, box = letterbox(image, (SIDE_PX, SIDE_PX), fill=0)
    blob = (canvas[:, :, ::-1] - np.array([103.53, 116.28, 123.675])) / np.array([57.375, 57.12, 58.395])
    outputs = session.run(None, {"input.1": np.ascontiguousarray(blob.transpose(2, 0, 1)[None], np.float32)})
    xyxy, score = [], []
    for stride, probability, bins in zip(STRIDES_PX, outputs[:3], outputs[3:], strict=True):
        for place in np.flatnonzero(probability[0, :, 0] >= 0.35):
            weights = np.exp(bins[0, place].reshape(4, BINS).astype(np.float64))
            left, top, right, bottom = stride * (weights @ np.arange(BINS)) / weights.sum(1)
            row, column = divmod(int(place), SIDE_PX // stride)
            x, y = (column + 0.5) * stride, (row + 0.5) * stride
            xyxy.append([x - left, y - top, x + right, y + bottom])
            score.append(probability[0, place, 0])
    boxes = box.to_picture(np.array(xyxy, np.float32).reshape(-1, 4))
    scores, class_id = np.array(score, np.float32), np.full(len(score), PEDESTRIAN, np.int32)
    kept = non_max_suppression(boxes, scores, class_id, 0.6)[:100]
    return Detections(boxes[kept], scores[kept], class_id[kept])


def test_people_are_those_of_the_published_graph(shared, nanodet):
    published = load_session(shared / "data" / "weights" / "nanodet" / "nanodet_m.onnx", "cpu")
    video = shared / "data" / "pets09_s2l1" / "pets_a.mp4"
    people = 0
    for image in (*(first_frame(video, number) for number in (0, 60, 120)), np.zeros((270, 480, 3), np.uint8)):
        wanted, (found, _) = read_plainly(published, image), nanodet(image)
        people += len(wanted)
        assert len(found) == len(wanted)
        np.testing.assert_allclose(found.xyxy, wanted.xyxy, atol=1e-3)
        np.testing.assert_allclose(found.score, wanted.score, atol=1e-5)
        assert (found.class_id == PEDESTRIAN).all()
    assert people >= 10


def test_every_person_belongs_to_one_head():
    pytest.importorskip("onnxruntime")
    session = load_session(MODELS["nanodet_m"].path(), "cpu")
    detector = PedestrianDetector(session, score_threshold=0.02, iou_threshold=0.9)
    image = np.random.default_rng(0).integers(0, 256, (360, 640, 3), dtype=np.uint8)
    image[80:300, 300:360] = 30
    people, outputs = detector(image)
    assert len(people) > 0
    assert list(outputs) == list(detector.heads) == ["pedestrians_0", "pedestrians_1", "pedestrians_2"]
    index = np.concatenate([own.detection_index for own in outputs.values()])
    assert sorted(index) == list(range(len(people)))
    for name, head in detector.heads.items():
        own = outputs[name]
        assert (head.kind, head.activation, len(head.classes)) == ("pedestrian", "sigmoid", 80)
        np.testing.assert_allclose(own.features @ head.weight.T + head.bias, own.logits, atol=1e-4)
        person = sigmoid(own.logits[:, head.classes.index("person")])
        np.testing.assert_allclose(person, people.score[own.detection_index], atol=1e-6)


def test_a_detector_without_people_is_refused(monkeypatch, nanodet):
    monkeypatch.setattr("gradwatch.models.detectors.PERSON_NAME", "unicorn")
    with pytest.raises(ValueError, match="expected a class 'unicorn', got person, bicycle"):
        PedestrianDetector(load_session(MODELS["nanodet_m"].path(), "cpu"))


def test_nanodet_input_is_normalized_bgr(nanodet):
    image = np.random.default_rng(0).integers(0, 256, (SIDE_PX, SIDE_PX, 3), dtype=np.uint8)
    mean, deviation = np.array([103.53, 116.28, 123.675]), np.array([57.375, 57.12, 58.395])
    wanted = ((image[:, :, ::-1] - mean) / deviation).transpose(2, 0, 1)
    np.testing.assert_allclose(nanodet.network.normalize(image)[0], wanted, rtol=1e-4, atol=1e-5)


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
    assert len(join_detections([])) == len(join_detections([NO_DETECTIONS, NO_DETECTIONS])) == 0
    assert len(SignDetector(FakeSigns(), score_threshold=0.95)(np.zeros((90, 160, 3), np.uint8))) == 0


def first_frame(path, number):
    av = pytest.importorskip("av")
    with av.open(str(path)) as video:
        for i, frame in enumerate(video.decode(video=0)):
            if i == number:
                return frame.to_ndarray(format="rgb24")
    raise AssertionError(f"{path} has no frame {number}")


def test_nanodet_finds_people(shared, nanodet):
    """Frame 90 of PETS 2009 S2.L1: five people are not occluded; each is found once, with few other boxes."""
    found, _ = nanodet(first_frame(shared / "data" / "pets09_s2l1" / "pets_a.mp4", 90))
    centers = (found.xyxy[:, :2] + found.xyxy[:, 2:]) / 2
    for x, y in ((305, 224), (391, 220), (476, 197), (504, 198), (585, 216)):
        assert (np.abs(centers - (x, y)).max(1) < 8).sum() == 1
    assert len(found) <= 9


def test_nanodet_finds_nobody_in_an_empty_picture(nanodet):
    assert len(nanodet(np.full((540, 960, 3), 128, np.uint8))[0]) == 0
