"""Which rows of each last linear layer reach the outputs, in which order, and what was done to them there."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..outputs import Floats
from .linear import LinearLayer
from .tracing import Tail, Use

Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class LayerRows:
    """The k rows of a layer that reach an output, in the order in which they stand there.

    grid: (rows, columns) of places that the layer looks at; queries are rows of one column. row (k,): into the
    layer's weight. use (k,): a `Use`. output (k,): number of the output, position (k, places): flat, within it.
    """

    layer: LinearLayer
    grid: tuple[int, int]
    row: Integers
    use: NDArray[np.int8]
    output: Integers
    position: Integers

    @property
    def places(self) -> int:
        """How many places the layer looks at."""
        return self.grid[0] * self.grid[1]

    @property
    def runs(self) -> list[tuple[Use, int]]:
        """The uses in order, equal neighbors counted: [(COMPUTED, 4), (SIGMOID, 81)] for a YOLOv5 of one anchor."""
        return [(Use(int(use)), len(list(equal))) for use, equal in groupby(self.use)]

    def take(self, chosen: NDArray[Any] | slice) -> LayerRows:
        """Some of these rows, in their order."""
        return replace(
            self,
            row=self.row[chosen],
            use=self.use[chosen],
            output=self.output[chosen],
            position=self.position[chosen],
        )

    def whole(self) -> LayerRows:
        """All rows of the layer, seen in an output or not."""
        rows = np.arange(len(self.layer.weight))
        unseen = np.full(len(rows), -1)
        return LayerRows(self.layer, self.grid, rows, np.zeros(len(rows), np.int8), unseen, unseen[:, None])

    def values(self, tail: Tail) -> Floats:
        """What the rows said in the tail's run, (places, k)."""
        made = tail.values[self.layer.name].astype(np.float32)
        by_row = made.reshape(len(self.layer.weight), -1) if self.layer.is_map else made.reshape(self.places, -1).T
        return by_row[self.row].T

    @property
    def weight(self) -> Floats:
        """(k, D) of the rows alone."""
        return self.layer.weight[self.row]

    @property
    def bias(self) -> Floats:
        """(k,) of the rows alone."""
        return self.layer.bias[self.row]

    def __str__(self) -> str:
        uses = " + ".join(f"{count} {use.name.lower()}" for use, count in self.runs) or "none"
        rows, columns = self.grid
        size = f"{len(self.layer.weight)} rows at {rows}x{columns} places"
        return f"{self.layer.name} ({size}, in the outputs: {uses})"


def read_rows(tail: Tail) -> list[LayerRows]:
    """The rows of every layer of a tail, in the order in which the layers stand in the graph."""
    return [_rows_of(tail, number) for number in range(len(tail.layers))]


def _rows_of(tail: Tail, number: int) -> LayerRows:
    layer, (first, last) = tail.layers[number], tail.start[number : number + 2]
    shape = tail.values[layer.name].shape
    count = len(layer.weight)
    grid = (shape[2], shape[3]) if layer.is_map else (int(np.prod(shape[:-1])), 1)
    places = grid[0] * grid[1]
    output, use = np.full(count, -1), np.zeros(count, np.int8)
    position = np.full((count, places), -1)
    for output_number, traced in enumerate(tail.outputs.values()):
        origin = traced.origin.ravel()
        at = np.flatnonzero((origin >= first) & (origin < last))
        local = origin[at] - first
        row, place = np.divmod(local, places) if layer.is_map else np.divmod(local, count)[::-1]
        # A row counts where it is first seen, and only if all of its places are there.
        whole = (np.bincount(row, minlength=count) == places) & (output < 0)
        fits = whole[row]
        at, row, place = at[fits], row[fits], place[fits]
        position[row, place] = at
        output[row] = output_number
        use[row] = traced.use.ravel()[at]
    seen = np.flatnonzero(output >= 0)
    order = seen[np.lexsort((position[seen, 0], output[seen]))]
    return LayerRows(layer, grid, order, use[order], output[order], position[order])
