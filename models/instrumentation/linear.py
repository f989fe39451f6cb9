"""Linear layers: 1x1 convolutions and matrix products with constant weights, all as z = W h + b at each location."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..manifest import InstrumentationError
from ..outputs import Floats
from .graphs import Graph
from .nodes import attributes_of

QUANTIZED = {"DequantizeLinear", "QLinearConv", "QLinearMatMul", "ConvInteger", "MatMulInteger", "QGemm"}


@dataclass(frozen=True, slots=True)
class LinearLayer:
    """A layer whose every output is W h + b at one location.

    name: its output tensor, (1, M, rows, columns) with `is_map`, else (1, Q, M) or (Q, M). features: its input
    tensor. weight (M, D), bias (M,), float32.
    """

    name: str
    features: str
    weight: Floats
    bias: Floats
    is_map: bool


def linear_layer(graph: Graph, node: Any) -> LinearLayer | None:
    """The layer that ends with `node`, None if it is not linear. Raises InstrumentationError for quantized weights."""
    if node.op_type in QUANTIZED or (node.op_type == "Conv" and _is_quantized(graph, node.input[1])):
        raise InstrumentationError(
            f"expected weights in float32 or float16, got quantized ones at {node.op_type} {node.output[0]}: "
            "instrument the file before quantization"
        )
    parse = {"Conv": _convolution, "Gemm": _gemm, "MatMul": _product, "Add": _product_with_bias}.get(node.op_type)
    return parse(graph, node) if parse else None


def is_expectation(graph: Graph, node: Any) -> bool:
    """Whether a convolution computes the mean of bins 0, 1, 2, …, as the boxes of YOLOv8 do."""
    weight = graph.constant(node.input[1]) if node.op_type == "Conv" else None
    return weight is not None and len(weight) == 1 and bool(np.array_equal(weight.ravel(), np.arange(weight.size)))


def _convolution(graph: Graph, node: Any) -> LinearLayer | None:
    weight = graph.constant(node.input[1])
    if weight is None or weight.ndim != 4 or weight.shape[2:] != (1, 1) or is_expectation(graph, node):
        return None
    settings = attributes_of(node)
    shifts = [*settings.get("pads", [0]), *(step - 1 for step in settings.get("strides", [1]))]
    if any(shifts) or settings.get("group", 1) != 1 or settings.get("auto_pad", b"NOTSET") == b"SAME":
        return None
    return _layer(graph, node, weight[:, :, 0, 0], node.input[2] if len(node.input) > 2 else "", is_map=True)


def _gemm(graph: Graph, node: Any) -> LinearLayer | None:
    weight = graph.constant(node.input[1])
    settings = attributes_of(node)
    plain = settings.get("transA", 0) == 0 and settings.get("alpha", 1.0) == settings.get("beta", 1.0) == 1.0
    if weight is None or not plain:
        return None
    if not settings.get("transB", 0):
        weight = weight.T
    return _layer(graph, node, weight, node.input[2] if len(node.input) > 2 else "", is_map=False)


def _product(graph: Graph, node: Any) -> LinearLayer | None:
    weight = graph.constant(node.input[1])
    return None if weight is None or weight.ndim != 2 else _layer(graph, node, weight.T, "", is_map=False)


def _product_with_bias(graph: Graph, node: Any) -> LinearLayer | None:
    """MatMul and Add, with the operands of the sum in either order."""
    for product, bias in (node.input, reversed(node.input)):
        producer = graph.producer.get(product)
        value = graph.constant(bias)
        if producer is None or producer.op_type != "MatMul" or value is None:
            continue
        layer = _product(graph, producer)
        if layer and value.size == len(layer.weight):
            return LinearLayer(node.output[0], layer.features, layer.weight, _floats(value.ravel()), is_map=False)
    return None


def _layer(graph: Graph, node: Any, weight: NDArray[Any], bias: str, *, is_map: bool) -> LinearLayer | None:
    offset = graph.constant(bias) if bias else np.zeros(len(weight), np.float32)
    if offset is None or weight.ndim != 2 or offset.size not in (1, len(weight)):
        return None
    spread = np.broadcast_to(_floats(offset.ravel()), len(weight))
    return LinearLayer(node.output[0], node.input[0], _floats(weight), np.ascontiguousarray(spread), is_map)


def _floats(array: NDArray[Any]) -> Floats:
    return np.ascontiguousarray(array, np.float32)


def _is_quantized(graph: Graph, name: str) -> bool:
    node = graph.producer.get(name)
    return node is not None and node.op_type in QUANTIZED
