"""A class head as it was found in a graph, with what belongs to it."""

from __future__ import annotations

from dataclasses import dataclass

from ..manifest import Level
from ..outputs import Activation
from .rows import LayerRows


@dataclass(frozen=True, slots=True)
class BoxColumns:
    """Boxes that the graph decodes itself: columns first..first+3 of a tensor (1, Q, X)."""

    name: str
    first: int


@dataclass(frozen=True, slots=True)
class FoundHead:
    """One level: the rows that are its classes, its boxes (none in a classifier) and its objectness."""

    level: Level
    classes: LayerRows
    boxes: LayerRows | BoxColumns | None = None
    objectness: LayerRows | None = None


@dataclass(frozen=True, slots=True)
class Match:
    """All heads of a graph. decoded: whether the graph gives boxes itself, beside the classes in the same output."""

    heads: list[FoundHead]
    activation: Activation
    decoded: bool = False
