"""Follows every number of a graph's outputs back to the linear layer that it comes from.

Exporters reshape, split, transpose and join what a detector's heads say in many orders. Instead of matching each, every
output of every last linear layer gets a number, and these numbers are moved through the rest of the graph as the
graph would move the values. What arrives at an output says which row of which layer it is, and at which place.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..manifest import InstrumentationError
from .graphs import Graph, attributes_of
from .linear import LinearLayer, is_expectation, linear_layer

Numbers = NDArray[Any]
Shapes = list[tuple[int, ...]]
Values = dict[str, NDArray[Any]]

ARITHMETIC = {"Add", "Sub", "Mul", "Div", "Pow", "Exp", "Sqrt", "Clip", "Neg", "Relu", "Min", "Max"}
UNKNOWN = -1


class Use(IntEnum):
    """What was done to a number on its way to an output."""

    PLAIN = 0
    SIGMOID = 1
    SOFTMAX = 2
    COMPUTED = 3  # with constants, as boxes are


@dataclass(frozen=True, slots=True)
class Trace:
    """Where the elements of one tensor come from; both arrays have the tensor's shape.

    origin: number of the element among the outputs of all layers, `UNKNOWN` for what mixes several. use: a `Use`.
    """

    origin: NDArray[np.int64]
    use: NDArray[np.int8]


@dataclass(frozen=True, slots=True)
class Tail:
    """The last linear layers of a graph and all that comes after them, in order.

    start: for each layer, the number of its first output. values: of every tensor of the tail in one run.
    """

    layers: list[LinearLayer]
    start: list[int]
    values: Values
    outputs: dict[str, Trace]


def trace(graph: Graph) -> Tail:
    """Follows the outputs of the graph's last linear layers. Raises InstrumentationError where there are none."""
    layers, nodes = _find_tail(graph)
    if not layers:
        raise InstrumentationError("no class head: found no 1x1 convolution, Gemm or MatMul with constant weights")
    read = {name for node in nodes for name in (*node.input, *node.output) if name}
    values = graph.run([*read, *(layer.name for layer in layers), *graph.outputs])
    values |= {name: value for name in read - set(values) if (value := graph.constant(name)) is not None}
    sizes = [values[layer.name].size for layer in layers]
    start = [0, *np.cumsum(sizes).tolist()]
    traces = {}
    for layer, first, size in zip(layers, start, sizes, strict=False):
        shape = values[layer.name].shape
        numbers = np.arange(first, first + size, dtype=np.int64).reshape(shape)
        traces[layer.name] = Trace(numbers, np.zeros(shape, np.int8))
    for node in nodes:
        _follow(node, traces, values)
    return Tail(layers, start, values, {name: traces[name] for name in graph.outputs if name in traces})


def _find_tail(graph: Graph) -> tuple[list[LinearLayer], list[Any]]:
    """The layers met first on the way back from the outputs, and the nodes behind them in the graph's order."""
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
    order = {node.output[0]: i for i, node in enumerate(graph.model.graph.node)}
    nodes = [node for node in graph.model.graph.node if not behind.isdisjoint(node.output)]
    made = {name: order[graph.producer[name].output[0]] for name in layers}
    return [layers[name] for name in sorted(layers, key=lambda name: made[name])], nodes


def _follow(node: Any, traces: dict[str, Trace], values: Values) -> None:
    """Adds the traces of a node's outputs; nothing for a node that no layer feeds."""
    fed = [name for name in node.input if name in traces]
    if not fed:
        return
    known = traces[fed[0]]
    if node.op_type in ("Sigmoid", "Softmax"):
        use = np.where(known.use == Use.PLAIN, Use[node.op_type.upper()], Use.COMPUTED).astype(np.int8)
        traces[node.output[0]] = Trace(known.origin, use)
    elif node.op_type in ARITHMETIC and len(fed) == 1:
        shape = values[node.output[0]].shape
        origin = np.broadcast_to(known.origin, shape)
        traces[node.output[0]] = Trace(origin, np.full(shape, Use.COMPUTED, np.int8))
    else:
        origins = _move(node, [traces[n].origin if n in traces else None for n in node.input], values, UNKNOWN)
        uses = _move(node, [traces[n].use if n in traces else None for n in node.input], values, Use.PLAIN)
        for name, origin, used in zip(node.output, origins, uses, strict=False):
            traces[name] = Trace(origin, used)


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


def _reshape(node: Any, numbers: Numbers, shapes: Shapes, values: Values) -> list[Numbers]:
    return [numbers.reshape(shapes[0])]


def _transpose(node: Any, numbers: Numbers, shapes: Shapes, values: Values) -> list[Numbers]:
    return [numbers.transpose(attributes_of(node).get("perm"))]


def _split(node: Any, numbers: Numbers, shapes: Shapes, values: Values) -> list[Numbers]:
    axis = attributes_of(node).get("axis", 0)
    return np.split(numbers, np.cumsum([shape[axis] for shape in shapes])[:-1], axis=axis)


def _gather(node: Any, numbers: Numbers, shapes: Shapes, values: Values) -> list[Numbers]:
    return [np.take(numbers, values[node.input[1]], axis=attributes_of(node).get("axis", 0))]


def _expand(node: Any, numbers: Numbers, shapes: Shapes, values: Values) -> list[Numbers]:
    return [np.broadcast_to(numbers, shapes[0])]


def _slice(node: Any, numbers: Numbers, shapes: Shapes, values: Values) -> list[Numbers]:
    return [numbers[_slices(node, values, numbers.ndim)]]


def _slices(node: Any, values: Values, ndim: int) -> tuple[slice, ...]:
    starts, ends, *rest = ([int(x) for x in np.ravel(values[name])] if name else None for name in node.input[1:])
    axes = rest[0] if rest and rest[0] is not None else list(range(len(starts or [])))
    steps = rest[1] if len(rest) > 1 and rest[1] is not None else [1] * len(axes)
    cut = [slice(None)] * ndim
    for axis, first, last, step in zip(axes, starts or [], ends or [], steps, strict=True):
        # ONNX says "to the very start" of a backward slice by a number below every index.
        cut[axis] = slice(first, None if step < 0 and last < -(1 << 30) else last, step)
    return tuple(cut)


MOVES: dict[str, Callable[[Any, Numbers, Shapes, Values], list[Numbers]]] = {
    **dict.fromkeys(("Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Cast", "Dropout"), _reshape),
    "Transpose": _transpose,
    "Split": _split,
    "Slice": _slice,
    "Gather": _gather,
    "Expand": _expand,
}
