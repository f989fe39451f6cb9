"""Adds outputs to a graph: for the best locations of each head its logits, regression and inputs."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from ..manifest import METADATA_KEY, Manifest
from .graphs import Graph
from .nodes import prune, rename
from .rows import BoxColumns, FoundHead, LayerRows


class GraphExtension:
    """Nodes and weights to be added to a graph, all under one prefix.

    Uses only operators whose form is the same in all opsets from 11 on, except for ReduceMax.
    """

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._nodes: list[Any] = []
        self._weights: list[Any] = []
        self._outputs: list[Any] = []
        self._features: dict[tuple[str, bool], str] = {}

    def add(self, kind: str, *inputs: str, outputs: int = 1, **attributes: Any) -> str:
        """Adds a node; returns the name of its last output."""
        names = [f"gradwatch/{kind}_{len(self._nodes)}_{i}" for i in range(outputs)]
        self._nodes.append(helper.make_node(kind, inputs, names, **attributes))
        return names[-1]

    def weight(self, array: NDArray[Any]) -> str:
        """Adds a constant; returns its name."""
        name = f"gradwatch/weight_{len(self._weights)}"
        self._weights.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def reshape(self, name: str, *shape: int) -> str:
        """The tensor in another shape."""
        return self.add("Reshape", name, self.weight(np.array(shape, np.int64)))

    def output(self, name: str, tensor: str, *shape: int, dtype: int = onnx.TensorProto.FLOAT) -> None:
        """Makes a tensor an output of the graph, under a name that `finish` takes from other tensors."""
        self._nodes.append(helper.make_node("Identity", [tensor], [name]))
        self._outputs.append(helper.make_tensor_value_info(name, dtype, shape))

    def features(self, rows: LayerRows) -> str:
        """The inputs of a layer, float32: (D, locations) of a map, else (locations, D); added once if shared."""
        layer = rows.layer
        key = (layer.features, layer.is_map)
        if key not in self._features:
            floats = self.add("Cast", layer.features, to=onnx.TensorProto.FLOAT)
            width = layer.weight.shape[1]
            shape = (width, rows.locations) if layer.is_map else (rows.locations, width)
            self._features[key] = self.reshape(floats, *shape)
        return self._features[key]

    def logits(self, rows: LayerRows, chosen: tuple[int, ...]) -> str:
        """Logits (k, locations) of the chosen rows at all locations of a map, else (locations, k)."""
        weight, bias = rows.weight[list(chosen)], rows.bias[list(chosen)]
        features = self.features(rows)
        if not rows.layer.is_map:
            return self.add("Gemm", features, self.weight(weight), self.weight(bias), transB=1)
        return self.add("Gemm", self.weight(weight), features, self.weight(bias[:, None]))

    def maximum(self, name: str, axis: int) -> str:
        """The largest element of each row (axis 1) or column (axis 0) of a matrix, as a vector."""
        if self._graph.opset >= 18:
            return self.add("ReduceMax", name, self.weight(np.array([axis], np.int64)), keepdims=0)
        return self.add("ReduceMax", name, axes=[axis], keepdims=0)

    def features_at(self, rows: LayerRows, index: str) -> str:
        """The inputs (K, D) of a layer at locations (K,)."""
        if not rows.layer.is_map:
            return self.add("Gather", self.features(rows), index, axis=0)
        return self.add("Transpose", self.add("Gather", self.features(rows), index, axis=1), perm=[1, 0])

    def finish(self, manifest: Manifest) -> Any:
        """The model with the new outputs instead of the old ones, and without nodes that no output needs."""
        model = self._graph.model
        graph = model.graph
        taken = {value.name: f"gradwatch/original/{value.name}" for value in self._outputs}
        rename(graph, taken)
        for node in self._nodes:
            node.input[:] = [taken.get(name, name) for name in node.input]
        graph.node.extend(self._nodes)
        graph.initializer.extend(self._weights)
        for values in (graph.output, graph.value_info):
            del values[:]
        graph.output.extend(self._outputs)
        prune(graph)
        model.metadata_props.add(key=METADATA_KEY, value=msgspec.json.encode(manifest).decode())
        onnx.checker.check_model(model)
        return model


def add_level(extension: GraphExtension, number: int, head: FoundHead, ranked: tuple[int, ...], keep: int) -> None:
    """Adds the outputs of one level of a detector; locations are ranked by the best of the `ranked` classes."""
    classes, kept = head.classes, min(keep, head.level.locations)
    axis = 0 if classes.layer.is_map else 1
    everywhere = extension.logits(classes, ranked)
    best = extension.maximum(everywhere, axis) if len(ranked) > 1 else extension.reshape(everywhere, -1)
    if head.objectness:
        objectness = extension.add("Sigmoid", extension.reshape(extension.logits(head.objectness, (0,)), -1))
        best = extension.add("Mul", extension.add("Sigmoid", best), objectness)
    index = extension.add("TopK", best, extension.weight(np.array([kept], np.int64)), outputs=2, axis=0)
    score = extension.add("Gather", best, index, axis=0)
    if not head.objectness:
        score = extension.add("Sigmoid", score)
    weight, bias = extension.weight(classes.weight), extension.weight(classes.bias)
    features = extension.features_at(classes, index)
    logits = extension.add("Gemm", features, weight, bias, transB=1)
    count, width = classes.weight.shape
    boxes, boxes_width = _boxes_at(extension, head, index, features)

    def output(name: str, tensor: str, *shape: int, dtype: int = onnx.TensorProto.FLOAT) -> None:
        extension.output(f"{name}_{number}", extension.reshape(tensor, *shape), *shape, dtype=dtype)

    output("index", index, 1, kept, dtype=onnx.TensorProto.INT64)
    output("score", score, 1, kept)
    output("regression", boxes, 1, kept, boxes_width)
    output("logits", logits, 1, kept, count)
    output("features", features, 1, kept, width)
    if head.objectness:
        output("objectness", extension.add("Gather", objectness, index, axis=0), 1, kept)
    extension.output(f"weight_{number}", weight, count, width)
    extension.output(f"bias_{number}", bias, count)


def add_classifier(extension: GraphExtension, head: FoundHead) -> None:
    """Adds the outputs of a classifier."""
    classes = head.classes
    count, width = classes.weight.shape
    weight, bias = extension.weight(classes.weight), extension.weight(classes.bias)
    features = extension.reshape(extension.features(classes), 1, width)
    logits = extension.add("Gemm", features, weight, bias, transB=1)
    extension.output("logits", logits, 1, count)
    extension.output("features", features, 1, width)
    extension.output("weight", weight, count, width)
    extension.output("bias", bias, count)


def _boxes_at(extension: GraphExtension, head: FoundHead, index: str, features: str) -> tuple[str, int]:
    """The regression (K, R) at the locations kept, and R."""
    boxes = head.boxes
    if isinstance(boxes, LayerRows):
        if boxes.layer.features != head.classes.layer.features:
            features = extension.features_at(boxes, index)
        weight, bias = extension.weight(boxes.weight), extension.weight(boxes.bias)
        return extension.add("Gemm", features, weight, bias, transB=1), len(boxes.weight)
    assert isinstance(boxes, BoxColumns)
    bounds = [extension.weight(np.array([x], np.int64)) for x in (boxes.first, boxes.first + 4, 2)]
    columns = extension.add("Slice", extension.add("Cast", boxes.name, to=onnx.TensorProto.FLOAT), *bounds)
    return extension.add("Gather", extension.reshape(columns, head.level.locations, 4), index, axis=0), 4
