"""The class heads found in a graph, each with its boxes and objectness."""

from __future__ import annotations

from dataclasses import dataclass

from ..manifest import Level
from ..outputs import Activation
from .rows import LayerRows


@dataclass(frozen=True, slots=True)
class BoxColumns:
    """Boxes decoded by the graph: columns first..first+3 of a tensor (1, Q, X)."""

    name: str
    first: int


@dataclass(frozen=True, slots=True)
class FoundHead:
    """One level: the rows of its classes, of its boxes (None in a classifier) and of its objectness."""

    level: Level
    classes: LayerRows
    boxes: LayerRows | BoxColumns | None = None
    objectness: LayerRows | None = None


@dataclass(frozen=True, slots=True)
class Match:
    """All heads of a graph. decoded: whether the graph decodes the boxes, in the same output as the classes."""

    heads: list[FoundHead]
    activation: Activation
    decoded: bool = False
