"""What a node of an ONNX graph reads, and its attributes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from onnx import AttributeProto, helper


def attributes_of(node: Any) -> dict[str, Any]:
    """The attributes of a node by name; those left at their default are absent."""
    return {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}


def inputs_of(node: Any) -> set[str]:
    """All tensors that a node reads, those too that its own subgraphs (of If and Loop) may read around them."""
    inner = [each for attribute in node.attribute for each in _graphs_of(attribute)]
    return {*node.input, *(name for graph in inner for each in graph.node for name in inputs_of(each))} - {""}


def _graphs_of(attribute: Any) -> list[Any]:
    return [attribute.g] if attribute.type == AttributeProto.GRAPH else list(attribute.graphs)


def prune(graph: Any) -> None:
    """Removes nodes and weights that no output needs."""
    producer = {name: node for node in graph.node for name in node.output}
    needed: set[str] = set()
    waiting = [value.name for value in graph.output]
    while waiting:
        name = waiting.pop()
        if name in needed:
            continue
        needed.add(name)
        if name in producer:
            waiting += inputs_of(producer[name])
    nodes = [node for node in graph.node if not needed.isdisjoint(node.output)]
    weights = [tensor for tensor in graph.initializer if tensor.name in needed]
    for kept, field in ((nodes, graph.node), (weights, graph.initializer)):
        del field[:]
        field.extend(kept)


def rename(graph: Any, names: Mapping[str, str]) -> None:
    """Gives tensors other names, also inside of the graph's subgraphs."""
    for value in (*graph.input, *graph.initializer, *graph.output):
        value.name = names.get(value.name, value.name)
    for node in graph.node:
        for tensors in (node.input, node.output):
            tensors[:] = [names.get(name, name) for name in tensors]
        for attribute in node.attribute:
            for inner in _graphs_of(attribute):
                rename(inner, names)
