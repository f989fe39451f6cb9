"""Plain classifiers: one linear head on one vector a picture."""

from __future__ import annotations

from ..manifest import InstrumentationError, Level
from ..outputs import Activation
from .graphs import Graph
from .heads import FoundHead, Match
from .rows import LayerRows
from .tracing import Tail, Use

ACTIVATIONS: dict[Use, Activation] = {Use.PLAIN: "softmax", Use.SOFTMAX: "softmax", Use.SIGMOID: "sigmoid"}


def match_classifier(graph: Graph, tail: Tail, rows: list[LayerRows]) -> Match | None:
    """The last Gemm, MatMul and Add, or 1x1 convolution behind a global pool; plain outputs count as softmax's."""
    candidates = [each for each in rows if each.places == 1 and len(each.row) == len(each.layer.weight)]
    if len(candidates) > 1:
        named = ", ".join(f"{each.layer.name} ({len(each.row)} classes)" for each in candidates)
        raise InstrumentationError(f"expected one class head, found {len(candidates)}: {named}")
    if not candidates:
        return None
    (classes,) = candidates
    uses = {Use(int(use)) for use in classes.use}
    activation = ACTIVATIONS.get(uses.pop()) if len(uses) == 1 else None
    if activation is None:
        return None
    return Match([FoundHead(Level(rows=1, columns=1, stride_px=0), classes)], activation)
