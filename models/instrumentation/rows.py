"""The rows of each last linear layer that reach the outputs, and the class heads that are made of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..manifest import InstrumentationError, Level
from ..outputs import Activation, Floats
from .linear import LinearLayer
from .tracing import Tail, Transform

Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class LayerRows:
    """The k rows of a layer that reach an output, in their order there.

    grid: (rows, columns) of locations that the layer is applied to; queries are rows of one column. row (k,): into
    the layer's weight. transforms (k,): a `Transform` each. output (k,): number of the output, position
    (k, locations): flat index within it.
    """

    layer: LinearLayer
    grid: tuple[int, int]
    row: Integers
    transforms: NDArray[np.int8]
    output: Integers
    position: Integers

    @property
    def locations(self) -> int:
        """Number of locations that the layer is applied to."""
        return self.grid[0] * self.grid[1]

    @property
    def runs(self) -> list[tuple[Transform, int]]:
        """The transforms in order, equal neighbors counted: [(COMPUTED, 4), (SIGMOID, 81)] for one YOLOv5 anchor."""
        return [(Transform(int(code)), len(list(equal))) for code, equal in groupby(self.transforms)]

    @property
    def is_complete(self) -> bool:
        """Whether all rows of the layer reach an output."""
        return len(self.row) == len(self.layer.weight)

    @property
    def transform(self) -> Transform | None:
        """The transform of all rows of the layer, None where rows differ or are missing."""
        return self.runs[0][0] if self.is_complete and len(self.runs) == 1 else None

    def take(self, chosen: NDArray[Any] | slice) -> LayerRows:
        """Some of these rows, in their order."""
        fields = ("row", "transforms", "output", "position")
        return replace(self, **{name: getattr(self, name)[chosen] for name in fields})

    def whole(self) -> LayerRows:
        """All rows of the layer, whether they reach an output or not."""
        rows = np.arange(len(self.layer.weight))
        absent = np.full(len(rows), -1)
        return LayerRows(self.layer, self.grid, rows, np.zeros(len(rows), np.int8), absent, absent[:, None])

    def values(self, tail: Tail) -> Floats:
        """The outputs of these rows in the tail's run, (locations, k)."""
        values = tail.values[self.layer.name].astype(np.float32)
        count = len(self.layer.weight)
        by_row = values.reshape(count, -1) if self.layer.is_map else values.reshape(self.locations, -1).T
        return by_row[self.row].T

    @property
    def weight(self) -> Floats:
        """(k, D) of these rows."""
        return self.layer.weight[self.row]

    @property
    def bias(self) -> Floats:
        """(k,) of these rows."""
        return self.layer.bias[self.row]

    def __str__(self) -> str:
        transforms = " + ".join(f"{count} {transform.name.lower()}" for transform, count in self.runs) or "none"
        rows, columns = self.grid
        size = f"{len(self.layer.weight)} rows at {rows}x{columns} locations"
        return f"{self.layer.name} ({size}, in the outputs: {transforms})"


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


def only_one(candidates: list[LayerRows], name: str) -> LayerRows | None:
    """The only candidate, None where there is none. Raises InstrumentationError for several."""
    if len(candidates) > 1:
        found = ", ".join(f"{each.layer.name} ({len(each.row)} classes)" for each in candidates)
        raise InstrumentationError(f"expected one {name}, found {len(candidates)}: {found}")
    return candidates[0] if candidates else None


def read_rows(tail: Tail) -> list[LayerRows]:
    """The rows of every layer of a tail, in the order of the layers in the graph."""
    return [_rows_of(tail, number) for number in range(len(tail.layers))]


def _rows_of(tail: Tail, number: int) -> LayerRows:
    layer, (first, last) = tail.layers[number], tail.start[number : number + 2]
    shape = tail.values[layer.name].shape
    count = len(layer.weight)
    grid = (shape[2], shape[3]) if layer.is_map else (int(np.prod(shape[:-1])), 1)
    locations = grid[0] * grid[1]
    output, transforms = np.full(count, -1), np.zeros(count, np.int8)
    position = np.full((count, locations), -1)
    for output_number, traced in enumerate(tail.outputs.values()):
        origin = traced.origin.ravel()
        at = np.flatnonzero((origin >= first) & (origin < last))
        local = origin[at] - first
        row, location = np.divmod(local, locations) if layer.is_map else np.divmod(local, count)[::-1]
        # A row counts in the first output that has all of its locations.
        complete = (np.bincount(row, minlength=count) == locations) & (output < 0)
        fits = complete[row]
        at, row, location = at[fits], row[fits], location[fits]
        position[row, location] = at
        output[row] = output_number
        transforms[row] = traced.transform.ravel()[at]
    found = np.flatnonzero(output >= 0)
    order = found[np.lexsort((position[found, 0], output[found]))]
    return LayerRows(layer, grid, order, transforms[order], output[order], position[order])
