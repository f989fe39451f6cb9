"""Instrumented files at run time: each box once, with the logits and features that it was computed from."""

from __future__ import annotations

import sys

import msgspec
import numpy as np
import onnxruntime
import pytest

onnx = pytest.importorskip("onnx")

from gradwatch.models.gradients.head import sigmoid  # noqa: E402
from gradwatch.models.instrument import instrument, open_instrumented  # noqa: E402
from gradwatch.models.instrumented import InstrumentedClassifier, InstrumentedDetector  # noqa: E402
from gradwatch.models.manifest import METADATA_KEY, NotInstrumentedError, Preprocessing  # noqa: E402
from gradwatch.models.onnx_runtime import CUDA, load_session  # noqa: E402
from gradwatch.models.zoo import MODELS  # noqa: E402

NAMES = ("car", "person", "dog")
SIDE_PX = 32
RAW = Preprocessing(scale=1 / 255)


def yolox(path, *, seed=0):
    """A detector of one level: three 1x1 convolutions on the means of 8x8 px, written without torch."""
    rng = np.random.default_rng(seed)
    weights = {
        "mean": np.repeat(np.eye(3, dtype=np.float32), 64, 1).reshape(3, 3, 8, 8) / 64,
        "boxes": rng.normal(0, 1, (4, 3, 1, 1)).astype(np.float32),
        "there": rng.normal(0, 3, (1, 3, 1, 1)).astype(np.float32),
        "classes": rng.normal(0, 5, (3, 3, 1, 1)).astype(np.float32),
    }
    node = onnx.helper.make_node
    nodes = [
        node("Conv", ["picture", "mean"], ["features"], strides=[8, 8]),
        *(node("Conv", ["features", name], [f"{name}_logits"]) for name in ("boxes", "there", "classes")),
        *(node("Sigmoid", [f"{name}_logits"], [f"{name}_p"]) for name in ("there", "classes")),
        node("Concat", ["boxes_logits", "there_p", "classes_p"], ["output"], axis=1),
    ]
    graph = onnx.helper.make_graph(
        nodes, "g",
        [onnx.helper.make_tensor_value_info("picture", onnx.TensorProto.FLOAT, [1, 3, SIDE_PX, SIDE_PX])],
        [onnx.helper.make_tensor_value_info("output", onnx.TensorProto.FLOAT, None)],
        [onnx.numpy_helper.from_array(array, name) for name, array in weights.items()],
    )  # fmt: skip
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def classifier(path):
    """Softmax of a Gemm on the picture's mean."""
    rng = np.random.default_rng(4)
    arrays = {"w": rng.normal(0, 3, (3, 3)).astype(np.float32), "b": rng.normal(0, 1, 3).astype(np.float32)}
    node = onnx.helper.make_node
    nodes = [
        node("GlobalAveragePool", ["picture"], ["pooled"]),
        node("Flatten", ["pooled"], ["flat"]),
        node("Gemm", ["flat", "w", "b"], ["raw_logits"], transB=1),
        node("Softmax", ["raw_logits"], ["output"], axis=1),
    ]
    graph = onnx.helper.make_graph(
        nodes, "g",
        [onnx.helper.make_tensor_value_info("picture", onnx.TensorProto.FLOAT, ["n", 3, SIDE_PX, SIDE_PX])],
        [onnx.helper.make_tensor_value_info("output", onnx.TensorProto.FLOAT, None)],
        [onnx.numpy_helper.from_array(array, name) for name, array in arrays.items()],
    )  # fmt: skip
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8), path)
    return arrays


@pytest.fixture
def instrumented(tmp_path):
    path = tmp_path / "detector.onnx"
    onnx.save(instrument(yolox(tmp_path / "raw.onnx"), classes=NAMES, preprocessing=RAW), path)
    return path


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.cuda)])
def session(request, instrumented):
    if request.param == "cuda" and CUDA not in onnxruntime.get_available_providers():
        pytest.skip("this ONNX Runtime has no CUDA")
    return load_session(instrumented, request.param)


@pytest.fixture
def image():
    return np.random.default_rng(1).integers(0, 256, (SIDE_PX, SIDE_PX, 3), dtype=np.uint8)


def test_every_box_belongs_to_one_head(session, image):
    detector = InstrumentedDetector(session, score_threshold=0.0, iou_threshold=1.0)
    found = detector(image)
    (head,), (level,) = detector.heads, found.levels
    assert len(found) == 16
    assert sorted(level.detection_index) == list(range(16))
    assert head.classes == NAMES
    assert (head.weight.shape, head.bias.shape, head.activation) == ((3, 3), (3,), "sigmoid")
    np.testing.assert_allclose(level.features @ head.weight.T + head.bias, level.logits, atol=1e-5)
    assert (level.logits.argmax(1) == found.class_id[level.detection_index]).all()
    # The features are the means of the 8x8 px of some location, each of them once.
    means = image.reshape(4, 8, 4, 8, 3).mean((1, 3)).reshape(16, 3) / 255
    nearest = np.abs(level.features[:, None] - means[None]).max(2).argmin(1)
    assert sorted(nearest) == list(range(16))
    np.testing.assert_allclose(level.features, means[nearest], atol=1e-5)


def test_best_first_and_limited(session, image):
    score = InstrumentedDetector(session, score_threshold=0.0, iou_threshold=1.0)(image).score
    assert (np.diff(score) <= 0).all()
    best = InstrumentedDetector(session, score_threshold=0.0, iou_threshold=1.0, limit=3)(image)
    np.testing.assert_array_equal(best.score, score[:3])
    assert sorted(best.levels[0].detection_index) == [0, 1, 2]


def test_logits_stay_with_their_boxes_through_suppression(session, image):
    everything = InstrumentedDetector(session, score_threshold=0.0, iou_threshold=1.0)(image)
    logits_of = dict(zip(everything.score.tolist(), everything.levels[0].logits.tolist(), strict=True))
    few = InstrumentedDetector(session, score_threshold=0.0, iou_threshold=0.05)(image)
    assert 0 < len(few) < 16
    for index, logits in zip(few.levels[0].detection_index, few.levels[0].logits, strict=True):
        assert logits.tolist() == logits_of[float(few.score[index])]


def test_nothing_found_is_legal(session, image):
    nothing = InstrumentedDetector(session, score_threshold=1.1)(image)
    assert nothing.xyxy.shape == (0, 4)
    assert (len(nothing), len(nothing.class_id)) == (0, 0)
    assert nothing.levels[0].logits.shape == nothing.levels[0].features.shape == (0, 3)


def test_boxes_are_in_px_of_the_picture(session, image):
    """With every pixel doubled, the input is equal and boxes are twice as large."""
    detector = InstrumentedDetector(session, score_threshold=0.0, iou_threshold=1.0)
    small, large = detector(image), detector(image.repeat(2, 0).repeat(2, 1))
    np.testing.assert_allclose(large.xyxy, 2 * small.xyxy, atol=1e-3)


def test_one_class_has_its_own_score(session, image):
    detector = InstrumentedDetector(session, classes=[2], score_threshold=0.0, iou_threshold=1.0)
    found = detector(image)
    objectness, logits = session.run(["objectness_0", "logits_0"], {"picture": detector.normalize(image)})
    wanted = objectness[0] * sigmoid(logits[0, :, 2])
    np.testing.assert_allclose(found.score, np.sort(wanted)[::-1], atol=1e-6)
    assert (found.class_id == 2).all()


@pytest.mark.parametrize("classes", [[3], [-1], []])
def test_classes_that_the_file_does_not_rank_by_are_refused(session, classes):
    with pytest.raises(ValueError, match=r"yolox: expected classes among .*\[0, 1, 2\]"):
        InstrumentedDetector(session, classes=classes)


def test_raw_files_are_instrumented_in_memory(instrumented, tmp_path, image):
    session = open_instrumented(yolox(tmp_path / "other.onnx"), "cpu")
    one = InstrumentedDetector(session, score_threshold=0.1)
    assert one.manifest.preprocessing == Preprocessing(channel_order="bgr", scale=1)
    opened = open_instrumented(instrumented, "cpu")
    assert opened.get_modelmeta().custom_metadata_map == load_session(instrumented).get_modelmeta().custom_metadata_map


def test_raw_files_without_onnx_name_the_command(monkeypatch, tmp_path, instrumented):
    raw = yolox(tmp_path / "other.onnx")
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(NotInstrumentedError, match=r"gradwatch instrument other\.onnx --out FILE"):
        open_instrumented(raw, "cpu")
    assert open_instrumented(instrumented, "cpu").get_inputs()[0].name == "picture"


def test_other_graphs_are_refused(instrumented, tmp_path):
    with pytest.raises(NotInstrumentedError, match="only returns boxes, scores: gradwatch instrument"):
        InstrumentedDetector(load_session(MODELS["sign_detector"].path(), "cpu"))
    model = onnx.load(instrumented)
    (entry,) = [entry for entry in model.metadata_props if entry.key == METADATA_KEY]
    manifest = msgspec.json.decode(entry.value)
    entry.value = msgspec.json.encode(manifest | {"version": 99}).decode()
    onnx.save(model, tmp_path / "newer.onnx")
    with pytest.raises(NotInstrumentedError, match="version 1, got version 99"):
        InstrumentedDetector(load_session(tmp_path / "newer.onnx", "cpu"))


@pytest.mark.parametrize("order", ["rgb", "bgr"])
def test_preprocessing_equals_its_formula(order):
    canvas = np.random.default_rng(2).integers(0, 256, (4, 6, 3), dtype=np.uint8)
    mean, deviation = np.array([0.4, 0.5, 0.6]), np.array([0.1, 0.2, 0.3])
    wanted = (canvas / 255 - mean) / deviation
    wanted = (wanted if order == "rgb" else wanted[:, :, ::-1]).transpose(2, 0, 1)[None]
    made = Preprocessing(channel_order=order, mean=tuple(mean), deviation=tuple(deviation))(canvas)
    assert made.dtype == np.float32
    np.testing.assert_allclose(made, wanted, atol=1e-5)


def test_classifier(tmp_path):
    arrays = classifier(tmp_path / "raw.onnx")
    onnx.save(instrument(tmp_path / "raw.onnx", classes=NAMES, preprocessing=RAW), tmp_path / "made.onnx")
    session = load_session(tmp_path / "made.onnx", "cpu")
    network = InstrumentedClassifier(session)
    assert (network.head.activation, network.head.classes) == ("softmax", NAMES)
    np.testing.assert_array_equal(network.head.weight, arrays["w"])
    pictures = np.random.default_rng(3).integers(0, 256, (5, SIDE_PX, SIDE_PX, 3), dtype=np.uint8)
    logits, features = network(pictures)
    np.testing.assert_allclose(features, pictures.mean((1, 2)) / 255, atol=1e-5)
    np.testing.assert_allclose(logits, features @ arrays["w"].T + arrays["b"], atol=1e-5)
    assert [array.shape for array in network([])] == [(0, 3), (0, 3)]
    with pytest.raises(ValueError, match="expected a detector"):
        InstrumentedDetector(session)


def test_a_detector_is_refused_as_a_classifier(session):
    with pytest.raises(ValueError, match="expected a classifier, got a detector"):
        InstrumentedClassifier(session)
