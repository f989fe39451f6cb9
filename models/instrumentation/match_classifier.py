"""Classifiers: one linear head on one vector for each picture."""

from __future__ import annotations

from ..manifest import Level
from ..outputs import Activation
from .graphs import Graph
from .heads import FoundHead, Match
from .rows import LayerRows, only_one
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
