"""NanoDet-m is shipped as the command makes it: instrumented, its layers before the head as published."""

from __future__ import annotations

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from gradwatch.models.coco import COCO_CLASSES, PERSON  # noqa: E402
from gradwatch.models.manifest import InstrumentationError, read_manifest  # noqa: E402
from gradwatch.models.onnx_runtime import load_session  # noqa: E402
from gradwatch.models.training.nanodet import main  # noqa: E402
from gradwatch.models.zoo import MODELS  # noqa: E402


def test_shipped_file_is_what_the_command_makes(shared, tmp_path):
    source = shared / "data" / "weights" / "nanodet" / "nanodet_m.onnx"
    main([str(source), "--output", str(tmp_path / "made.onnx")])
    made, shipped = onnx.load(tmp_path / "made.onnx"), onnx.load(MODELS["nanodet_m"].path())
    assert made.graph == shipped.graph
    assert made.metadata_props == shipped.metadata_props
    published = {tensor.name: tensor for tensor in onnx.load(source).graph.initializer}
    kept = [tensor for tensor in made.graph.initializer if not tensor.name.startswith("gradwatch/")]
    assert len(kept) > 100
    assert all(tensor == published[tensor.name] for tensor in kept)


def test_manifest_of_the_shipped_file():
    manifest = read_manifest(load_session(MODELS["nanodet_m"].path(), "cpu"))
    assert (manifest.family, manifest.input_size) == ("nanodet", (416, 416))
    assert [level.stride_px for level in manifest.levels] == [8, 16, 32]
    assert manifest.classes == COCO_CLASSES
    assert (manifest.ranked, COCO_CLASSES[PERSON]) == ((0,), "person")
    assert (manifest.preprocessing.channel_order, manifest.preprocessing.fill) == ("bgr", 0)


def test_shipped_logits_are_the_published_ones(shared):
    """At the returned locations, the sigmoid of all 80 logits is the output of the published graph."""
    blob = np.random.default_rng(0).normal(0, 1, (1, 3, 416, 416)).astype(np.float32)
    source = shared / "data" / "weights" / "nanodet" / "nanodet_m.onnx"
    published = load_session(source, "cpu").run(None, {"input.1": blob})
    shipped = load_session(MODELS["nanodet_m"].path(), "cpu")
    for level in range(3):
        names = [f"{name}_{level}" for name in ("index", "logits", "regression")]
        index, logits, bins = (output[0] for output in shipped.run(names, {"input.1": blob}))
        np.testing.assert_allclose(1 / (1 + np.exp(-logits)), published[level][0][index], atol=1e-4)
        np.testing.assert_allclose(bins, published[level + 3][0][index], atol=1e-3)
        # The 100 best people, best first.
        person = np.sort(published[level][0][:, PERSON])[::-1][:100]
        np.testing.assert_allclose(published[level][0][index, PERSON], person, atol=1e-6)


def test_another_graph_is_refused(tmp_path):
    graph = onnx.helper.make_graph([], "empty", [], [])
    onnx.save(onnx.helper.make_model(graph), tmp_path / "empty.onnx")
    with pytest.raises(InstrumentationError, match="expected an ONNX graph with nodes"):
        main([str(tmp_path / "empty.onnx"), "--output", str(tmp_path / "made.onnx")])
