"""Traces every element of a graph's outputs back to the linear layer that it comes from.

Exporters reshape, split, transpose and join the outputs of a detector's heads in many orders. Instead of matching each
order, every output of every last linear layer gets a number, and these numbers are moved through the rest of the graph
as the graph would move the values. What arrives at an output names the row of a layer, and the location.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..manifest import InstrumentationError
from .graphs import Graph
from .linear import LinearLayer, is_expectation, linear_layer
from .nodes import attributes_of

Numbers = NDArray[Any]
Shapes = list[tuple[int, ...]]
Values = dict[str, NDArray[Any]]

ARITHMETIC = {"Add", "Sub", "Mul", "Div", "Pow", "Exp", "Sqrt", "Clip", "Neg", "Relu", "Min", "Max"}
UNKNOWN = -1


class Transform(IntEnum):
    """How a number was transformed between its layer and an output."""

    PLAIN = 0
    SIGMOID = 1
    SOFTMAX = 2
    COMPUTED = 3  # by arithmetic with constants, as boxes are


@dataclass(frozen=True, slots=True)
class Trace:
    """Where the elements of one tensor come from; both arrays have the tensor's shape.

    origin: number of the element among the outputs of all layers, `UNKNOWN` for a mixture of several. transform: a
    `Transform` each.
    """

    origin: NDArray[np.int64]
    transform: NDArray[np.int8]


@dataclass(frozen=True, slots=True)
class Tail:
    """The last linear layers of a graph and all that follows them, in order.

    start: for each layer, the number of its first output. values: of every tensor of the tail in one run.
    """

    layers: list[LinearLayer]
    start: list[int]
    values: Values
    outputs: dict[str, Trace]


def trace(graph: Graph) -> Tail:
    """Traces the outputs of the graph's last linear layers. Raises InstrumentationError where it has none."""
    layers, nodes = _find_tail(graph)
    if not layers:
        raise InstrumentationError("no class head: found no 1x1 convolution, Gemm or MatMul with constant weights")
    read = {name for node in nodes for name in (*node.input, *node.output) if name}
    values = graph.run([*read, *(layer.name for layer in layers), *graph.outputs])
    values |= {name: value for name in read - set(values) if (value := graph.constant(name)) is not None}
    start, traces = [0], {}
    for layer in layers:
        shape, size = values[layer.name].shape, values[layer.name].size
        numbers = np.arange(start[-1], start[-1] + size, dtype=np.int64).reshape(shape)
        traces[layer.name] = Trace(numbers, np.zeros(shape, np.int8))
        start.append(start[-1] + size)
    for node in nodes:
        _follow(node, traces, values)
    return Tail(layers, start, values, {name: traces[name] for name in graph.outputs if name in traces})


def _find_tail(graph: Graph) -> tuple[list[LinearLayer], list[Any]]:
    """The first layers met on the way back from the outputs, and the nodes behind them, both in the graph's order."""
    layers: dict[str, LinearLayer] = {}
    behind, waiting = set(), list(graph.outputs)
    while waiting:
        name = waiting.pop()
        node = graph.producer.get(name)
        if node is None or name in layers or name in behind:
            continue
        layer = linear_layer(graph, node)
        if layer is not None:
            layers[name] = layer
            continue
        behind.update(node.output)
        is_other_weight = node.op_type in ("Conv", "ConvTranspose") and not is_expectation(graph, node)
        if not is_other_weight:
            waiting += [each for each in node.input if each in graph.varying]
    nodes = graph.model.graph.node
    ordered = [layers[name] for node in nodes for name in node.output if name in layers]
    return ordered, [node for node in nodes if not behind.isdisjoint(node.output)]


def _follow(node: Any, traces: dict[str, Trace], values: Values) -> None:
    """Adds the traces of a node's outputs; none for a node that does not depend on a layer."""
    fed = [name for name in node.input if name in traces]
    if not fed:
        return
    known = traces[fed[0]]
    if node.op_type in ("Sigmoid", "Softmax"):
        is_plain = known.transform == Transform.PLAIN
        transform = np.where(is_plain, Transform[node.op_type.upper()], Transform.COMPUTED).astype(np.int8)
        traces[node.output[0]] = Trace(known.origin, transform)
    elif node.op_type in ARITHMETIC and len(fed) == 1:
        shape = values[node.output[0]].shape
        origin = np.broadcast_to(known.origin, shape)
        traces[node.output[0]] = Trace(origin, np.full(shape, Transform.COMPUTED, np.int8))
    else:
        inputs = [traces.get(name) for name in node.input]
        origins = _move(node, [each.origin if each else None for each in inputs], values, UNKNOWN)
        transforms = _move(node, [each.transform if each else None for each in inputs], values, Transform.PLAIN)
        for name, origin, transform in zip(node.output, origins, transforms, strict=False):
            traces[name] = Trace(origin, transform)


def _move(node: Any, arrays: list[NDArray[Any] | None], values: Values, missing: int) -> list[NDArray[Any]]:
    """Moves numbers as the node moves values; all are `missing` after a node that does more than move."""
    shapes = [values[name].shape for name in node.output if name in values]
    if node.op_type == "Concat":
        full = [np.full(values[n].shape, missing) if a is None else a for n, a in zip(node.input, arrays, strict=True)]
        return [np.concatenate(full, axis=attributes_of(node)["axis"])]
    first = arrays[0]
    if first is None or node.op_type not in MOVES:
        return [np.full(shape, missing) for shape in shapes]
    return MOVES[node.op_type](node, first, shapes, values)


def _split(node: Any, numbers: Numbers, shapes: Shapes, values: Values) -> list[Numbers]:
    axis = attributes_of(node).get("axis", 0)
    return np.split(numbers, np.cumsum([shape[axis] for shape in shapes])[:-1], axis=axis)


def _gather(node: Any, numbers: Numbers, shapes: Shapes, values: Values) -> list[Numbers]:
    return [np.take(numbers, values[node.input[1]], axis=attributes_of(node).get("axis", 0))]


def _slice(node: Any, numbers: Numbers, shapes: Shapes, values: Values) -> list[Numbers]:
    starts, ends, *rest = ([int(x) for x in np.ravel(values[name])] if name else None for name in node.input[1:])
    axes = rest[0] if rest and rest[0] is not None else list(range(len(starts or [])))
    steps = rest[1] if len(rest) > 1 and rest[1] is not None else [1] * len(axes)
    cut = [slice(None)] * numbers.ndim
    for axis, first, last, step in zip(axes, starts or [], ends or [], steps, strict=True):
        # A backward slice to the very start ends, in ONNX, at a number below every index.
        cut[axis] = slice(first, None if step < 0 and last < -(1 << 30) else last, step)
    return [numbers[tuple(cut)]]


MOVES: dict[str, Callable[[Any, Numbers, Shapes, Values], list[Numbers]]] = {
    **dict.fromkeys(
        ("Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Cast", "Dropout"),
        lambda node, numbers, shapes, values: [numbers.reshape(shapes[0])],
    ),
    "Expand": lambda node, numbers, shapes, values: [np.broadcast_to(numbers, shapes[0])],
    "Transpose": lambda node, numbers, shapes, values: [numbers.transpose(attributes_of(node).get("perm"))],
    "Split": _split,
    "Slice": _slice,
    "Gather": _gather,
}
