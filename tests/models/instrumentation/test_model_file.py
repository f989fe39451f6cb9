"""Foreign files of all kinds: read, or refused in one line that says what to do; never another error, within bounds."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from gradwatch.models.instrument import instrument, open_instrumented, recognize
from gradwatch.models.instrumentation import execution, model_file
from gradwatch.models.manifest import METADATA_KEY, InstrumentationError
from gradwatch.models.onnx_runtime import ModelError


@pytest.fixture
def saved(foreign, tmp_path):
    """The path of a copy of a YOLOv8, whose weights may lie in a file beside it."""

    def save(weights=None):
        model = onnx.load(foreign("yolov8", "decoded").path)
        beside = {} if weights is None else {"save_as_external_data": True, "location": weights, "size_threshold": 64}
        onnx.save(model, tmp_path / "model.onnx", **beside)
        return tmp_path / "model.onnx"

    return save


def refused(path, **options):
    with pytest.raises(InstrumentationError) as error:
        recognize(path, **options)
    said = str(error.value)
    assert said.startswith(f"{Path(path).name}: ")
    assert "\n" not in said
    return said


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "expected an ONNX graph with nodes"),
        (b"PK\x03\x04" + bytes(200), "a zip archive, as PyTorch's checkpoints"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "a pointer of Git LFS"),
        (b"<?xml version='1.0'?>", "OpenVINO"),
        (b"\xff" * 1000, "expected an ONNX file, but it cannot be read as one"),
        (b"\x0a" * 100_000, "expected an ONNX file, but it cannot be read as one"),
    ],
    ids=["empty", "zip", "pointer", "XML", "junk", "newlines"],
)
def test_other_files_are_named(tmp_path, content, message):
    path = tmp_path / "some.onnx"
    path.write_bytes(content)
    assert message in refused(path)
    with pytest.raises(ModelError, match=message):
        open_instrumented(path, "cpu")


def test_a_file_beyond_protobuf_s_limit_is_not_read(tmp_path, monkeypatch):
    path = tmp_path / "some.onnx"
    path.write_bytes(bytes(11))
    monkeypatch.setattr(model_file, "MAX_BYTES", 10)
    assert "at most 10 bytes, got 11" in refused(path)


def test_weights_beside_the_file_are_read(foreign, saved, tmp_path):
    path = saved("weights.bin")
    link = tmp_path / "elsewhere" / "link.onnx"
    link.parent.mkdir()
    link.symlink_to(path)
    expected = weights_of(foreign("yolov8", "decoded").path)
    for each in (path, link):
        np.testing.assert_array_equal(weights_of(each), expected)


def weights_of(path):
    return np.concatenate([head.classes.weight.ravel() for head in recognize(path).matched.heads])


def test_weights_that_are_missing_cut_or_elsewhere_are_named(saved, tmp_path):
    path, weights = saved("weights.bin"), tmp_path / "weights.bin"
    content = weights.read_bytes()
    weights.write_bytes(content[:-100])
    assert "of weights.bin, got a file of" in refused(path)
    weights.unlink()
    assert "(external data): expected weights.bin beside it, found none" in refused(path)
    for location in ("/etc/passwd", "../weights.bin", ""):
        model = onnx.load(path, load_external_data=False)
        for tensor in model.graph.initializer:
            for entry in tensor.external_data:
                entry.value = location if entry.key == "location" else entry.value
        path.write_bytes(model.SerializeToString())
        assert f"in a file beside it, got the location {location!r}" in refused(path)


def test_weights_that_claim_too_much_are_refused(saved, monkeypatch):
    path = saved("weights.bin")
    monkeypatch.setattr(model_file, "MAX_BYTES", path.stat().st_size + 100)
    assert "bytes of weights, got more in weights.bin" in refused(path)


def one_node(kind, *inputs, shape=(1, 3, 64, 64), weights=(), **attributes):
    """A graph of one node, or of several that are given."""
    nodes = kind if isinstance(kind, list) else [helper.make_node(kind, ["x", *inputs], ["y"], **attributes)]
    picture = helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes, "g", [picture], [output], list(weights))
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def test_a_huge_input_is_refused(tmp_path):
    path = tmp_path / "huge.onnx"
    onnx.save(one_node("Relu", shape=[1, 3, 10**6, 10**6]), path)
    assert "expected at most 16777216 pixels, got 1000000x1000000" in refused(path)
    onnx.save(one_node("Relu", shape=[1, 3, "h", "w"]), path)
    assert "pixels, got 99999x99999" in refused(path, input_size=(99_999, 99_999))


def test_a_tensor_that_claims_more_than_it_has_is_refused(tmp_path):
    path, weight = tmp_path / "claims.onnx", TensorProto(name="w", data_type=1, dims=[10**6, 10**6], raw_data=b"1234")
    onnx.save(one_node("MatMul", "w", weights=[weight]), path)
    refused(path)


def pooled(*nodes, result):
    """A graph of the mean color, the nodes that make `result` of it, and a last layer of five rows."""
    first = helper.make_node("GlobalAveragePool", ["x"], ["mean"])
    last = helper.make_node("MatMul", [result, "w"], ["y"])
    weights = {"w": np.ones((5, 5), np.float32), "sides": np.int64([1, 3, 64, 10**9]), "times": np.int64(2**62)}
    tensors = [numpy_helper.from_array(np.asarray(each), name) for name, each in weights.items()]
    return one_node([first, *nodes, last], weights=tensors)


def test_a_graph_that_fills_the_memory_is_stopped(tmp_path):
    path = tmp_path / "fills.onnx"
    onnx.save(pooled(helper.make_node("Expand", ["mean", "sides"], ["huge"]), result="huge"), path)
    assert "cannot run this graph" in refused(path)


def test_a_graph_that_never_ends_is_stopped(tmp_path, monkeypatch):
    monkeypatch.setattr(execution, "MAX_S", 1.0)
    kinds = {"i": TensorProto.INT64, "go": TensorProto.BOOL, "before": TensorProto.FLOAT}
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["go_on"]), helper.make_node("Sin", ["before"], ["after"])],
        "body",
        [helper.make_tensor_value_info(name, kind, [] if name != "before" else None) for name, kind in kinds.items()],
        [helper.make_tensor_value_info("go_on", TensorProto.BOOL, []), helper.make_tensor_value_info("after", 1, None)],
    )
    path = tmp_path / "endless.onnx"
    onnx.save(pooled(helper.make_node("Loop", ["times", "", "mean"], ["looped"], body=body), result="looped"), path)
    assert "cannot run this graph" in refused(path)


def test_deep_constants_are_refused(tmp_path):
    nodes = [helper.make_node("Identity", [f"c{n}"], [f"c{n + 1}"]) for n in range(5000)]
    path = tmp_path / "deep.onnx"
    weight = numpy_helper.from_array(np.ones((5, 64, 1, 1), np.float32), "c0")
    onnx.save(one_node([*nodes, helper.make_node("MatMul", ["x", "c5000"], ["y"])], weights=[weight]), path)
    refused(path)


def test_mutated_models_are_read_or_refused(foreign, tmp_path):
    """Bytes changed, removed and doubled, 300 times: a model or one line, never another error."""
    draw, path, read, refusals = random.Random(0), tmp_path / "mutated.onnx", 0, []
    originals = [
        foreign(family, layout).path.read_bytes() for family, layout in (("yolov8", "decoded"), ("rtdetr", "two"))
    ]
    for number in range(300):
        content = bytearray(originals[number % 2])
        for _ in range(draw.choice([1, 1, 2, 20])):
            at = draw.randrange(len(content))
            content[at : at + draw.choice([1, 1, 4])] = draw.randbytes(draw.choice([1, 1, 0, 4]))
        path.write_bytes(content)
        try:
            instrument(path)
            read += 1
        except InstrumentationError as error:
            refusals.append(str(error))
    assert read
    assert refusals
    assert not [said for said in refusals if "\n" in said]


@pytest.mark.parametrize("text", ["", "[]", "{", "{}", '{"version": 1}', '{"version": "x"}', "\x00"])
def test_a_manifest_that_cannot_be_read_is_refused(foreign, tmp_path, text):
    model = instrument(foreign("yolov8", "decoded").path)
    (entry,) = [each for each in model.metadata_props if each.key == METADATA_KEY]
    entry.value = text
    path = tmp_path / "made.onnx"
    onnx.save(model, path)
    with pytest.raises(ModelError):
        open_instrumented(path, "cpu")
