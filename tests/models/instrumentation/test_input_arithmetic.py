"""Normalization inside of a file is recognized and taken over: the same objects are found as in the plain export."""

from __future__ import annotations

import msgspec
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from gradwatch.models.instrument import instrument, recognize
from gradwatch.models.instrumented import InstrumentedDetector
from gradwatch.models.manifest import InstrumentationError, Manifest, Preprocessing
from gradwatch.models.onnx_runtime import load_session

MEAN, DEVIATION = np.float32([103.53, 116.28, 123.675]), np.float32([57.375, 57.12, 58.395])  # of NanoDet: B, G, R
LAYOUTS = {"nanodet": "joined", "yolov8": "decoded", "yolox": "raw", "classifier": "linear"}


def planes(values):
    return np.float32(values).reshape(1, -1, 1, 1)


def node(kind, *inputs, out, **attributes):
    return helper.make_node(kind, inputs, [out], **attributes)


def standardize(name):
    return [node("Sub", name, "mean", out="centered"), node("Div", "centered", "deviation", out="ready")]


WEIGHTS = {
    "mean": planes(MEAN),
    "deviation": planes(DEVIATION),
    "factor": planes(1 / DEVIATION),
    "offset": planes(-MEAN / DEVIATION),
    "last_mean": MEAN.reshape(1, 1, 1, 3),
    "last_deviation": DEVIATION.reshape(1, 1, 1, 3),
    "one": np.float32([1, 1, 1]),
    "zero": np.float32([0, 0, 0]),
    "means": MEAN,
    "variances": DEVIATION**2,
    "whites": np.float32(255),
    "half": np.float32(127.5),
    "reverse": np.int64([2, 1, 0]),
    "zeroth": np.int64([0]),
    "first": np.int64([1]),
    "thousandth": np.float32(0.001),
    "minus": np.float32(-1),
    "black": np.float32(0),
}
# Family, nodes from `picture` to `ready`, layout and type of the file's own input.
SAME = {
    "mean and deviation": ("nanodet", standardize("picture"), "planes", "f4"),
    "factor and offset": (
        "nanodet",
        [node("Mul", "picture", "factor", out="scaled"), node("Add", "scaled", "offset", out="ready")],
        "planes",
        "f4",
    ),
    "batch normalization": (
        "nanodet",
        [node("BatchNormalization", "picture", "one", "zero", "means", "variances", out="ready", epsilon=0.0)],
        "planes",
        "f4",
    ),
    "bytes": ("nanodet", [node("Cast", "picture", out="floats", to=1), *standardize("floats")], "planes", "u1"),
    "planes last": (
        "nanodet",
        [node("Transpose", "picture", out="turned", perm=[0, 3, 1, 2]), *standardize("turned")],
        "last",
        "f4",
    ),
    "planes last, turned at the end": (
        "nanodet",
        [
            node("Cast", "picture", out="floats", to=1),
            node("Sub", "floats", "last_mean", out="centered"),
            node("Div", "centered", "last_deviation", out="divided"),
            node("Transpose", "divided", out="ready", perm=[0, 3, 1, 2]),
        ],
        "last",
        "u1",
    ),
    "from RGB": (
        "nanodet",
        [node("Gather", "picture", "reverse", out="turned", axis=1), *standardize("turned")],
        "planes",
        "f4",
    ),
    "from RGB alone": ("nanodet", [node("Gather", "picture", "reverse", out="ready", axis=1)], "planes", "f4"),
    "nothing": ("nanodet", [node("Identity", "picture", out="ready")], "planes", "f4"),
    "255": ("yolov8", [node("Div", "picture", "whites", out="ready")], "planes", "f4"),
    "bytes and 255": (
        "yolov8",
        [node("Cast", "picture", out="floats", to=1), node("Div", "floats", "whites", out="ready")],
        "planes",
        "u1",
    ),
    "fractions": ("yolox", [node("Mul", "picture", "whites", out="ready")], "planes", "f4"),
}


@pytest.fixture
def with_nodes(foreign, tmp_path):
    """A network of a family whose input passes through the nodes first."""

    def make(family, nodes, layout="planes", kind="f4"):
        model = onnx.load(foreign(family, LAYOUTS[family]).path)
        graph = model.graph
        for each in graph.node:
            for number, name in enumerate(each.input):
                if name == graph.input[0].name:
                    each.input[number] = "ready"
        shape = [1, 3, 64, 64] if layout == "planes" else [1, 64, 64, 3]
        picture = helper.make_tensor_value_info("picture", helper.np_dtype_to_tensor_dtype(np.dtype(kind)), shape)
        graph.input[0].CopyFrom(picture)
        for number, each in enumerate(nodes):
            graph.node.insert(number, each)
        graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in WEIGHTS.items())
        path = tmp_path / "inside.onnx"
        onnx.save(model, path)
        return path

    return make


def found_by(model, path):
    path.write_bytes(model.SerializeToString())
    picture = np.random.default_rng(2).integers(0, 256, (64, 64, 3), np.uint8)
    return InstrumentedDetector(load_session(path, "cpu"), score_threshold=0.0)(picture)


@pytest.mark.parametrize("name", SAME)
def test_the_same_is_found_as_without_normalization_inside(foreign, with_nodes, tmp_path, name):
    family, nodes, layout, kind = SAME[name]
    found = found_by(instrument(with_nodes(family, nodes, layout, kind)), tmp_path / "a.onnx")
    expected = found_by(instrument(foreign(family, LAYOUTS[family]).path), tmp_path / "b.onnx")
    assert len(expected) > 0
    np.testing.assert_allclose(found.xyxy, expected.xyxy, atol=0.05)
    np.testing.assert_allclose(found.score, expected.score, atol=1e-3)
    np.testing.assert_array_equal(found.class_id, expected.class_id)


def test_it_is_said_what_was_taken_over(with_nodes):
    said = recognize(with_nodes("nanodet", standardize("picture"))).describe()
    expected = "taken over as the preprocessing: BGR, (pixel - (123.7, 116.3, 103.5)) / (58.4, 57.12, 57.38)"
    assert expected in said


def test_another_normalization_than_the_family_s_is_taken_over(with_nodes):
    nodes = [node("Sub", "picture", "half", out="centered"), node("Div", "centered", "half", out="ready")]
    made = recognize(with_nodes("yolov8", nodes)).preprocessing
    assert made.scale == 1
    np.testing.assert_allclose(made.mean, 127.5, rtol=1e-4)
    np.testing.assert_allclose(made.deviation, 127.5, rtol=1e-4)


def test_a_preprocessing_that_is_given_is_of_the_file_s_own_input(with_nodes):
    path = with_nodes("classifier", [node("Div", "picture", "whites", out="ready")])
    made = instrument(path, preprocessing=Preprocessing(scale=1.0, mean=(10.0, 20.0, 30.0)))
    manifest = msgspec.json.decode(made.metadata_props[-1].value, type=Manifest)
    np.testing.assert_allclose(manifest.preprocessing.mean, (10, 20, 30), rtol=1e-4)
    np.testing.assert_allclose(manifest.preprocessing.deviation, 255, rtol=1e-4)


def test_a_graph_that_reads_the_shape_of_its_input_is_cut_too(with_nodes, tmp_path):
    """Exports with free sizes compute their grids from it."""
    path = with_nodes("yolov8", [node("Div", "picture", "whites", out="ready")])
    model = onnx.load(path)
    output = model.graph.output[0].name
    model.graph.node.append(node("Shape", "picture", out="shape"))
    model.graph.output.append(helper.make_tensor_value_info("shape", TensorProto.INT64, [4]))
    made = recognize(model)
    assert made.preprocessing == Preprocessing()
    assert made.graph.outputs == [output, "shape"]


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ([node("Clip", "picture", out="ready")], "got Clip"),
        ([node("Mul", "picture", "picture", out="ready")], "got other arithmetic up to ready"),
        ([node("Mul", "picture", "minus", out="ready")], "a scale above 0"),
        ([node("Mul", "picture", "black", out="ready")], "a scale above 0"),
        ([node("Mul", "picture", "thousandth", out="ready")], "normalizes pixels of 0 to 255 or of 0 to 1"),
        (
            [
                node("ReduceMean", "picture", out="mean_of_it", axes=[1, 2, 3], keepdims=1),
                node("Sub", "picture", "mean_of_it", out="ready"),
            ],
            "got Sub",
        ),
        (
            [
                node("Slice", "picture", "zeroth", "first", "first", out="gray"),
                node("Concat", *["gray"] * 3, out="ready", axis=1),
            ],
            "got other arithmetic up to ready",
        ),
    ],
)
def test_other_arithmetic_is_refused(with_nodes, nodes, message):
    path = with_nodes("yolov8", nodes)
    model = onnx.load(path)
    model.graph.initializer.extend(
        numpy_helper.from_array(np.int64([x]), name) for name, x in zip("abc", (0, 1, 1), strict=True)
    )
    onnx.save(model, path)
    with pytest.raises(InstrumentationError, match=message):
        recognize(path)


@pytest.mark.parametrize(
    ("layout", "kind", "message"), [("planes", "u1", "got picture UINT8"), ("last", "f4", r"\(1, H, W, 3\), NHWC")]
)
def test_bytes_and_planes_last_need_a_node_that_changes_them(with_nodes, layout, kind, message):
    path = with_nodes("yolov8", [node("Identity", "picture", out="ready")], layout, kind)
    with pytest.raises(InstrumentationError, match=message):
        recognize(path)
