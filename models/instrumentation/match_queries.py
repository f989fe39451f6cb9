"""Detectors whose class head looks at a set of queries: RT-DETR."""

from __future__ import annotations

from ..manifest import InstrumentationError, Level
from .graphs import Graph
from .heads import BoxColumns, FoundHead, Match
from .rows import LayerRows
from .tracing import Tail, Use


def match_queries(graph: Graph, tail: Tail, rows: list[LayerRows]) -> Match | None:
    """RT-DETR: classes (1, Q, C) of a linear layer, and boxes (1, Q, 4) or as columns beside the classes."""
    candidates = []
    for each in rows:
        if each.layer.is_map or each.places < 2 or len(each.row) != len(each.layer.weight):
            continue
        boxes = _boxes_beside(tail, each)
        if boxes is not None and {Use(int(use)) for use in each.use} in ({Use.SIGMOID}, {Use.PLAIN}):
            candidates.append((each, boxes))
    if len(candidates) > 1:
        named = ", ".join(f"{each.layer.name} ({len(each.row)} rows)" for each, _ in candidates)
        raise InstrumentationError(f"expected one class head on queries, found {len(candidates)}: {named}")
    if not candidates:
        return None
    ((classes, boxes),) = candidates
    level = Level(rows=classes.places, columns=1, stride_px=0)
    return Match([FoundHead(level, classes, boxes)], "sigmoid")


def _boxes_beside(tail: Tail, classes: LayerRows) -> BoxColumns | None:
    """Where the boxes of the same queries are, in the output of the classes or in another one."""
    names = list(tail.outputs)
    own = names[int(classes.output[0])]
    queries, count = classes.places, len(classes.row)
    if tail.values[own].shape == (1, queries, 4 + count):
        first = int(classes.position[0, 0])
        return BoxColumns(own, 0 if first == 4 else count) if first in (0, 4) else None
    others = [name for name in names if name != own and tail.values[name].shape == (1, queries, 4)]
    return BoxColumns(others[0], 0) if len(others) == 1 else None
