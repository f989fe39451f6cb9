"""NanoDet-m is shipped as published, but for the list of inputs."""

from __future__ import annotations

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")

from gradwatch.models.onnx_runtime import load_session  # noqa: E402
from gradwatch.models.training.nanodet import main, without_weight_inputs  # noqa: E402
from gradwatch.models.zoo import MODELS  # noqa: E402


def test_shipped_file_is_what_the_command_makes(shared, tmp_path):
    source = shared / "data" / "weights" / "nanodet" / "nanodet_m.onnx"
    main([str(source), "--output", str(tmp_path / "made.onnx")])
    assert (tmp_path / "made.onnx").read_bytes() == MODELS["nanodet_m"].path().read_bytes()
    published, made = onnx.load(source).graph, onnx.load(tmp_path / "made.onnx").graph
    assert made.node == published.node
    assert made.initializer == published.initializer
    assert [value.name for value in made.input] == ["input.1"]
    blob = np.random.default_rng(0).normal(0, 1, (1, 3, 416, 416)).astype(np.float32)
    outputs = [load_session(path, "cpu").run(None, {"input.1": blob}) for path in (source, tmp_path / "made.onnx")]
    for before, after in zip(*outputs, strict=True):
        np.testing.assert_allclose(after, before, rtol=1e-3, atol=1e-4)


def test_graph_without_a_picture():
    graph = onnx.helper.make_graph([], "empty", [], [])
    with pytest.raises(ValueError, match="expected one input"):
        without_weight_inputs(onnx.helper.make_model(graph))
