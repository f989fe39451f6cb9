"""Networks with one class head: classifiers on a vector for each picture, RT-DETR on a set of queries."""

from __future__ import annotations

from ..manifest import Level
from ..outputs import Activation
from .graphs import Graph
from .rows import BoxColumns, FoundHead, LayerRows, Match, only_one
from .tracing import Tail, Transform

ACTIVATIONS: dict[Transform | None, Activation] = {
    Transform.PLAIN: "softmax",
    Transform.SOFTMAX: "softmax",
    Transform.SIGMOID: "sigmoid",
}


def match_classifier(graph: Graph, tail: Tail, rows: list[LayerRows]) -> Match | None:
    """The last Gemm, MatMul and Add, or 1x1 convolution behind a global pool; plain outputs are logits of a softmax."""
    classes = only_one([each for each in rows if each.locations == 1 and each.is_complete], "class head")
    activation = ACTIVATIONS.get(classes.transform) if classes else None
    if classes is None or activation is None:
        return None
    return Match([FoundHead(Level(rows=1, columns=1, stride_px=0), classes)], activation)


def match_queries(graph: Graph, tail: Tail, rows: list[LayerRows]) -> Match | None:
    """RT-DETR: classes (1, Q, C) of a linear layer, and boxes (1, Q, 4) or as columns beside the classes."""
    candidates = [
        each
        for each in rows
        if not each.layer.is_map
        and each.locations > 1
        and each.is_complete
        and each.transform in (Transform.SIGMOID, Transform.PLAIN)
        and _boxes_beside(tail, each)
    ]
    classes = only_one(candidates, "class head on queries")
    if classes is None:
        return None
    level = Level(rows=classes.locations, columns=1, stride_px=0)
    return Match([FoundHead(level, classes, _boxes_beside(tail, classes))], "sigmoid")


def _boxes_beside(tail: Tail, classes: LayerRows) -> BoxColumns | None:
    """The boxes of the same queries: columns of the classes' own output, or the only other output of that shape."""
    names = list(tail.outputs)
    own = names[int(classes.output[0])]
    queries, count = classes.locations, len(classes.row)
    if tail.values[own].shape == (1, queries, 4 + count):
        first = int(classes.position[0, 0])
        return BoxColumns(own, 0 if first == 4 else count) if first in (0, 4) else None
    others = [name for name in names if name != own and tail.values[name].shape == (1, queries, 4)]
    return BoxColumns(others[0], 0) if len(others) == 1 else None
