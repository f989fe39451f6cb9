"""`gradwatch instrument` on real files: output, written file, and refusals."""

from __future__ import annotations

import numpy as np
import pytest
from typer.testing import CliRunner

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from gradwatch import GradwatchError, MissingFileError  # noqa: E402
from gradwatch.models.instrumented import InstrumentedClassifier  # noqa: E402
from gradwatch.models.manifest import InstrumentationError, read_manifest  # noqa: E402
from gradwatch.models.onnx_runtime import load_session  # noqa: E402
from gradwatch.monitor.commands import app  # noqa: E402


def run(*arguments):
    return CliRunner().invoke(app, ["instrument", *map(str, arguments)])


@pytest.fixture
def classifier(tmp_path):
    """A network of four classes: a Gemm on the mean of a picture of any size."""
    weight = onnx.helper.make_tensor("w", onnx.TensorProto.FLOAT, [4, 3], [0.5] * 12)
    node = onnx.helper.make_node
    nodes = [
        node("GlobalAveragePool", ["picture"], ["pooled"]),
        node("Flatten", ["pooled"], ["flat"]),
        node("Gemm", ["flat", "w"], ["logits_made"], transB=1),
    ]
    picture = onnx.helper.make_tensor_value_info("picture", onnx.TensorProto.FLOAT, [1, 3, "h", "w"])
    output = onnx.helper.make_tensor_value_info("logits_made", onnx.TensorProto.FLOAT, [1, 4])
    graph = onnx.helper.make_graph(nodes, "g", [picture], [output], [weight])
    path = tmp_path / "classifier.onnx"
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def test_what_was_recognized_is_printed_and_written(classifier, tmp_path):
    names = tmp_path / "names.txt"
    names.write_text("car\nbus\n\ntram \nbicycle\n", encoding="utf-8")
    out = tmp_path / "made" / "classifier.onnx"
    result = run(classifier, "--out", out, "--size", "96x64", "--names", names)
    assert result.exit_code == 0, result.output
    assert "classifier, input 96x64 px, 4 classes (softmax)" in result.output
    assert "head 0: 3 features, layer logits_made" in result.output
    manifest = read_manifest(load_session(out, "cpu"))
    assert manifest.classes == ("car", "bus", "tram", "bicycle")
    assert manifest.input_size == (96, 64)


def test_nanodet_by_name(shared, tmp_path):
    source = shared / "data" / "weights" / "nanodet" / "nanodet_m.onnx"
    out = tmp_path / "nanodet.onnx"
    result = run(source, "--out", out, "--decoder", "nanodet", "--keep", 20, "--rank", 0, "--rank", 2)
    assert result.exit_code == 0, result.output
    assert "nanodet, input 416x416 px, 80 classes (sigmoid)" in result.output
    session = load_session(out, "cpu")
    assert read_manifest(session).ranked == (0, 2)
    assert [output.shape for output in session.get_outputs()][:2] == [[1, 20], [1, 20]]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--decoder", "yolo", "--size", "64x64"], "expected a decoder of nanodet"),
        (["--decoder", "yolox", "--size", "64x64"], "no class head as of yolox"),
        ([], "expected fixed sides"),
    ],
)
def test_refusals_are_errors_in_one_line(classifier, tmp_path, options, message):
    result = run(classifier, "--out", tmp_path / "out.onnx", *options)
    assert isinstance(result.exception, InstrumentationError)
    assert isinstance(result.exception, GradwatchError)
    assert str(result.exception).startswith("classifier.onnx: ")
    assert message in str(result.exception)
    assert not (tmp_path / "out.onnx").exists()


def test_a_missing_file_of_names_is_named(classifier, tmp_path):
    names = tmp_path / "absent.txt"
    result = run(classifier, "--out", tmp_path / "out.onnx", "--size", "96x64", "--names", names)
    assert isinstance(result.exception, MissingFileError)
    assert "absent.txt" in str(result.exception)


@pytest.mark.parametrize("content", [b"\xff\xfe", b"\x89PNG\r\n"])
def test_names_that_are_no_text_are_refused(classifier, tmp_path, content):
    names = tmp_path / "names.txt"
    names.write_bytes(content)
    result = run(classifier, "--out", tmp_path / "out.onnx", "--size", "96x64", "--names", names)
    assert isinstance(result.exception, GradwatchError)
    assert "--names: expected a text file in UTF-8" in str(result.exception)


def test_a_size_in_another_form_is_refused(classifier, tmp_path):
    result = run(classifier, "--out", tmp_path / "out.onnx", "--size", "640")
    assert result.exit_code == 2
    assert "WIDTHxHEIGHT" in result.output


@pytest.mark.parametrize("name", ["classifier.onnx", "link.onnx", "hard.onnx", "../{folder}/classifier.onnx"])
def test_the_input_is_never_overwritten(classifier, tmp_path, name):
    (tmp_path / "link.onnx").symlink_to(classifier)
    (tmp_path / "hard.onnx").hardlink_to(classifier)
    before = classifier.read_bytes()
    out = tmp_path / name.format(folder=tmp_path.name)
    result = run(classifier, "--out", out, "--size", "64x64")
    assert isinstance(result.exception, GradwatchError)
    assert "--out: expected another file than" in str(result.exception)
    assert classifier.read_bytes() == before


def test_tensors_that_are_called_as_the_new_outputs_are_renamed(classifier, tmp_path):
    """Many exporters call the output of a classifier `logits`, and the layer before it `features`."""
    model = onnx.load(classifier)
    for node in model.graph.node:
        for names in (node.input, node.output):
            names[:] = [{"logits_made": "logits", "flat": "features", "w": "weight"}.get(name, name) for name in names]
    model.graph.output[0].name, model.graph.initializer[0].name = "logits", "weight"
    renamed = tmp_path / "renamed.onnx"
    onnx.save(model, renamed)
    picture = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    results = []
    for path in (classifier, renamed):
        out = tmp_path / f"made_{path.name}"
        assert run(path, "--out", out, "--size", "64x64").exit_code == 0
        results.append(InstrumentedClassifier(load_session(out, "cpu"))([picture]))
    for one, other in zip(*results, strict=True):
        np.testing.assert_array_equal(one, other)
