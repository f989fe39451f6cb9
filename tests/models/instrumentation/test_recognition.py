"""Families are recognized by the structure of a graph; other files are refused with the reason."""

from __future__ import annotations

import json
import warnings

import msgspec
import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from gradwatch.models.instrument import instrument, recognize
from gradwatch.models.instrumentation.recognition import FAMILIES
from gradwatch.models.manifest import InstrumentationError, Manifest

from ...places import DOCS

LAYOUTS = {
    "nanodet": ("split", "joined", "apart"),
    "yolov5": ("decoded", "sliced", "both"),
    "yolov8": ("decoded", "apart", "raw"),
    "yolox": ("decoded", "raw"),
    "rtdetr": ("two", "joined"),
    "classifier": ("linear", "convolution", "tokens", "softmax"),
}


def export(network, path, **settings):
    picture = torch.zeros(1, 3, 64, 64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(network.eval(), (picture,), str(path), dynamo=False, opset_version=13, **settings)
    return path


@pytest.mark.parametrize(("family", "layout"), [(family, each) for family in LAYOUTS for each in LAYOUTS[family]])
def test_family_by_structure(foreign, family, layout):
    recognition = recognize(foreign(family, layout).path)
    heads = {"yolov5": 6, "rtdetr": 1, "classifier": 1}.get(family, 3)
    assert (recognition.family, recognition.class_count, len(recognition.levels)) == (family, 5, heads)
    assert recognition.matched.activation == ("softmax" if family == "classifier" else "sigmoid")
    strides = [level.stride_px for level in recognition.levels]
    assert strides == {6: [8, 8, 16, 16, 32, 32], 3: [8, 16, 32], 1: [0]}[heads]
    assert f"{family}, input 64x64 px, 5 classes" in recognition.describe()
    named = recognize(foreign(family, layout).path, family)
    assert named.describe() == recognition.describe()


@pytest.mark.parametrize(("family", "layout"), [("yolov5", "decoded"), ("yolov8", "decoded")])
def test_other_exporter(foreign, family, layout):
    """torch's newer exporter writes other nodes for the same network."""
    old, new = (recognize(foreign(family, layout, dynamo=dynamo).path) for dynamo in (False, True))
    assert new.family == family
    assert new.levels == old.levels
    for one, other in zip(old.matched.heads, new.matched.heads, strict=True):
        np.testing.assert_array_equal(one.classes.weight, other.classes.weight)


def test_anchors_are_computed_from_the_graph(foreign):
    anchors = [level.anchor_px for level in recognize(foreign("yolov5", "decoded").path).levels]
    assert anchors == [(10, 13), (16, 30), (30, 61), (62, 45), (50, 40), (60, 60)]


def test_unknown_anchors_must_be_specified(foreign):
    path = foreign("yolov5", "raw").path
    with pytest.raises(InstrumentationError, match="specify the anchors"):
        instrument(path)
    with pytest.raises(InstrumentationError, match="one for each of its heads, got 2 for 6"):
        instrument(path, anchors_px=[(1, 2), (3, 4)])
    with pytest.raises(InstrumentationError, match="a YOLOv5 only"):
        instrument(foreign("yolox", "raw").path, anchors_px=[(1, 2)] * 3)


def test_a_decoder_that_does_not_match_is_refused(foreign):
    with pytest.raises(
        InstrumentationError, match=r"no class head as of yolox; found .*heads.0.*37 rows at 8x8 locations"
    ):
        recognize(foreign("nanodet", "split").path, "yolox")
    with pytest.raises(InstrumentationError, match=r"expected a decoder of nanodet, .*got 'yolo'"):
        recognize(foreign("nanodet", "split").path, "yolo")


def test_other_files_are_refused(tmp_path):
    path = tmp_path / "model.onnx"
    with pytest.raises(FileNotFoundError, match=r"model\.onnx"):
        recognize(path)
    for content in (b"", b"PK\x03\x04 this is an archive", np.random.default_rng(0).bytes(5000)):
        path.write_bytes(content)
        with pytest.raises(InstrumentationError, match=r"model\.onnx: expected an ONNX"):
            recognize(path)


def test_no_class_head(tmp_path):
    path = export(nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3)), tmp_path / "maps.onnx")
    with pytest.raises(InstrumentationError, match="no class head"):
        recognize(path)


def test_two_class_heads(tmp_path):
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Linear(3, 10), nn.Linear(3, 7)

        def forward(self, x):
            pooled = x.mean((2, 3))
            return self.first(pooled), self.second(pooled)

    path = export(Two(), tmp_path / "two.onnx")
    with pytest.raises(InstrumentationError, match=r"one class head, found 2: .*\(10 classes\), .*\(7 classes\)"):
        recognize(path)


def test_two_families(foreign, tmp_path):
    """A detector that also classifies the scene: the decoder must be specified."""

    class Both(nn.Module):
        def __init__(self):
            super().__init__()
            self.detector, self.scene = foreign("yolox", "decoded").network, nn.Linear(3, 4)

        def forward(self, x):
            return self.detector(x), self.scene(x.mean((2, 3)))

    path = export(Both(), tmp_path / "both.onnx")
    with pytest.raises(InstrumentationError, match="one class head, found those of yolox and classifier: specify"):
        recognize(path)
    assert recognize(path, "yolox").class_count == 5
    assert recognize(path, "classifier").class_count == 4


def test_sides_that_are_no_multiple_of_the_stride(foreign, tmp_path):
    """56 px have two locations at a stride of 32, of which the second reaches over the border."""
    free = {"x": {2: "h", 3: "w"}}
    path = export(foreign("nanodet", "joined").network, tmp_path / "free.onnx", input_names=["x"], dynamic_axes=free)
    levels = recognize(path, input_size=(64, 56)).levels
    assert [(level.rows, level.columns, level.stride_px) for level in levels] == [(7, 8, 8), (4, 4, 16), (2, 2, 32)]


def test_families_are_documented():
    text = (DOCS / "onnx.md").read_text(encoding="utf-8")
    assert all(f"`{name}`" in text for name in FAMILIES)


def test_free_sides_must_be_specified(foreign, tmp_path):
    network = foreign("nanodet", "joined").network
    free = {"x": {0: "n", 2: "h", 3: "w"}}
    path = export(network, tmp_path / "free.onnx", input_names=["x"], dynamic_axes=free)
    with pytest.raises(InstrumentationError, match=r"free\.onnx: input x: expected fixed sides.*--size"):
        recognize(path)
    recognition = recognize(path, input_size=(96, 64))
    assert [(level.rows, level.columns) for level in recognition.levels] == [(8, 12), (4, 6), (2, 3)]
    session = onnxruntime.InferenceSession(
        instrument(recognition).SerializeToString(), providers=["CPUExecutionProvider"]
    )
    assert session.get_inputs()[0].shape == [1, 3, 64, 96]
    with pytest.raises(InstrumentationError, match=r"the file fixes 64x64 px, asked for \(96, 64\)"):
        recognize(foreign("nanodet", "joined").path, input_size=(96, 64))


def test_free_batch_becomes_one(foreign, tmp_path):
    axes = {"x": {0: "n"}}
    path = export(foreign("classifier", "linear").network, tmp_path / "free.onnx", input_names=["x"], dynamic_axes=axes)
    model = instrument(path)
    assert [side.dim_value for side in model.graph.input[0].type.tensor_type.shape.dim] == [1, 3, 64, 64]


@pytest.mark.parametrize(
    ("shape", "kind", "message"),
    [
        ([2, 3, 8, 8], TensorProto.FLOAT, "batch of one"),
        ([1, 4, 8, 8], TensorProto.FLOAT, r"expected an input \(1, 3, H, W\)"),
        ([1, 3, 8, 8], TensorProto.UINT8, "UINT8"),
        ([1, 3, 8], TensorProto.FLOAT, r"expected an input \(1, 3, H, W\)"),
    ],
)
def test_other_inputs_are_refused(shape, kind, message):
    value = helper.make_tensor_value_info("x", kind, shape)
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "g", [value], [])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    with pytest.raises(InstrumentationError, match=message):
        recognize(model)


def test_old_opsets_and_second_inputs(foreign):
    model = onnx.load(foreign("classifier", "linear").path)
    model.opset_import[0].version = 9
    with pytest.raises(InstrumentationError, match="opset 11 or newer, got 9"):
        recognize(model)
    model.opset_import[0].version = 12
    model.graph.input.append(helper.make_tensor_value_info("sizes", TensorProto.FLOAT, [1, 2]))
    with pytest.raises(InstrumentationError, match="one input besides the weights, got 2"):
        recognize(model)


def test_names_and_ids_that_do_not_fit(foreign):
    path = foreign("yolox", "decoded").path
    with pytest.raises(InstrumentationError, match=r"expected 5 class names .*, got 2"):
        instrument(path, classes=["car", "person"])
    for ranked in ([5], [-1], []):
        with pytest.raises(InstrumentationError, match="classes of 0 to 4"):
            instrument(path, ranked=ranked)
    with pytest.raises(InstrumentationError, match="at least one location"):
        instrument(path, keep=0)


def test_quantized_weights(foreign):
    model = onnx.load(foreign("nanodet", "joined").path)
    (head,) = [node for node in model.graph.node if node.op_type == "Conv" and node.output[0].startswith("/heads.0")]
    initializers = {each.name: each for each in model.graph.initializer}
    weight = numpy_helper.to_array(initializers[head.input[1]])
    levels = np.round(weight / np.abs(weight).max() * 127).astype(np.int8)
    model.graph.initializer.extend(
        [numpy_helper.from_array(levels, "q"), numpy_helper.from_array(np.float32(np.abs(weight).max() / 127), "s")]
    )
    model.graph.node.insert(0, helper.make_node("DequantizeLinear", ["q", "s"], ["dequantized"]))
    head.input[1] = "dequantized"
    with pytest.raises(InstrumentationError, match="quantized"):
        recognize(model)


def test_boxes_of_another_form_are_noticed(foreign):
    """A YOLOv8 whose graph decodes other boxes: the decoder would be silently wrong."""
    model = onnx.load(foreign("yolov8", "decoded").path)
    (joint,) = [node for node in model.graph.node if node.output[0] == model.graph.output[0].name]
    boxes = joint.input[0]
    half = numpy_helper.from_array(np.array([[[1.5], [1.5], [1], [1]]], np.float32), "wider")
    model.graph.initializer.append(half)
    model.graph.node.insert(len(model.graph.node) - 1, helper.make_node("Mul", [boxes, "wider"], ["moved"]))
    joint.input[0] = "moved"
    with pytest.raises(InstrumentationError, match=r"yolov8: expected boxes .* differ by up to"):
        recognize(model)


def test_instrumented_files_are_not_instrumented_again(foreign):
    with pytest.raises(InstrumentationError, match="instrumented already"):
        instrument(instrument(foreign("yolox", "decoded").path))


def test_original_is_not_changed(foreign):
    model = onnx.load(foreign("nanodet", "split").path)
    before = model.SerializeToString()
    instrument(model)
    assert model.SerializeToString() == before


def test_weights_among_the_inputs(foreign, tmp_path):
    path = export(foreign("nanodet", "joined").network, tmp_path / "old.onnx", keep_initializers_as_inputs=True)
    assert len(onnx.load(path).graph.input) > 1
    model = instrument(path)
    assert len(model.graph.input) == 1


def test_half_precision(foreign, tmp_path):
    """Weights and inputs in float16: outputs are float32, and the logits agree within float16's rounding."""
    model = onnx.load(foreign("yolox", "decoded").path)
    for tensor in model.graph.initializer:
        if tensor.data_type == TensorProto.FLOAT:
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float16), tensor.name))
    for node in model.graph.node:
        for attribute in node.attribute:
            if attribute.name == "value" and attribute.t.data_type == TensorProto.FLOAT:
                attribute.t.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(attribute.t).astype(np.float16)))
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.elem_type = TensorProto.FLOAT16
    del model.graph.value_info[:]
    made = instrument(model)
    session = onnxruntime.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
    assert {o.type for o in session.get_outputs()} == {"tensor(float)", "tensor(int64)"}
    whole = instrument(foreign("yolox", "decoded").path).SerializeToString()
    other = onnxruntime.InferenceSession(whole, providers=["CPUExecutionProvider"])
    blob = np.random.default_rng(0).random((1, 3, 64, 64)).astype(np.float16)
    # All 16 locations of the second level, by their number: rounding may change their order.
    index, logits = session.run(["index_1", "logits_1"], {session.get_inputs()[0].name: blob})
    wanted_index, wanted = other.run(["index_1", "logits_1"], {other.get_inputs()[0].name: blob.astype(np.float32)})
    np.testing.assert_allclose(logits[0][index[0].argsort()], wanted[0][wanted_index[0].argsort()], atol=0.02)


NAMES = ("Fußgänger", "авто", "狗", "driver's mate", "e")


@pytest.mark.parametrize(
    "text",
    [
        str(dict(enumerate(NAMES))),
        str(list(NAMES)),
        json.dumps(dict(enumerate(NAMES))),
        json.dumps(list(NAMES), ensure_ascii=False),
    ],
    ids=["Python's dict", "Python's list", "JSON's object", "JSON's list"],
)
def test_class_names_in_the_file(foreign, text):
    model = onnx.load(foreign("yolov8", "decoded").path)
    model.metadata_props.add(key="names", value=text)
    recognition = recognize(model)
    assert f"class names in the file: {', '.join(NAMES)}" in recognition.describe()
    assert classes_of(instrument(recognition)) == NAMES


@pytest.mark.parametrize(
    "text",
    ["no dictionary", "a,b,c,d,e", "", "7", "(" * 10_000, "[" * 100_000, "9**9**9"],
    ids=["text", "commas", "empty", "number", "parentheses", "brackets", "power"],
)
def test_other_names_are_left_out_and_it_is_said(foreign, text):
    model = onnx.load(foreign("yolov8", "decoded").path)
    model.metadata_props.add(key="names", value=text)
    recognition = recognize(model)
    assert "class names: none in the file that can be read, numbers are used" in recognition.describe()
    assert classes_of(instrument(recognition)) == ("0", "1", "2", "3", "4")


@pytest.mark.parametrize("text", ["{0: 'a', 1: 'b'}", '["a", "b"]', "{}"])
def test_names_of_another_number_of_classes_are_refused(foreign, tmp_path, text):
    model = onnx.load(foreign("yolov8", "decoded").path)
    model.metadata_props.add(key="names", value=text)
    onnx.save(model, tmp_path / "some.onnx")
    with pytest.raises(InstrumentationError, match=r"^some.onnx: .* names of \d classes, but its head has rows for 5"):
        instrument(tmp_path / "some.onnx")


def classes_of(model):
    return msgspec.json.decode(model.metadata_props[-1].value, type=Manifest).classes


@pytest.mark.parametrize(
    ("kind", "message"), [("NonMaxSuppression", "non-maximum suppression"), ("TopK", "an end-to-end export")]
)
def test_graphs_that_select_boxes_themselves_are_named_as_their_users_do(foreign, kind, message):
    model = onnx.load(foreign("yolov8", "decoded", opset=13).path)
    del model.graph.output[:]
    for name, values in (("rows", [4, 5]), ("one", [1])):
        model.graph.initializer.append(helper.make_tensor(name, TensorProto.INT64, [len(values)], values))
    name = model.graph.node[-1].output[0]
    split = helper.make_node("Split", [name, "rows"], ["boxes", "scores"], axis=1)
    turned = helper.make_node("Transpose", ["boxes"], ["turned"], perm=[0, 2, 1])
    ends = {
        "NonMaxSuppression": helper.make_node(kind, ["turned", "scores", "one"], ["selected"]),
        "TopK": helper.make_node(kind, ["scores", "one"], ["best", "selected"]),
    }
    model.graph.node.extend([split, turned, ends[kind]])
    model.graph.output.append(helper.make_tensor_value_info("selected", TensorProto.INT64, None))
    with pytest.raises(InstrumentationError, match=message):
        recognize(model)
