"""Compares a decoder's boxes with those of the graph on one picture of noise."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..decoders import DECODERS
from ..manifest import InstrumentationError
from ..outputs import Floats
from .graphs import Graph
from .rows import BoxColumns, FoundHead, LayerRows, Match
from .tracing import Tail

TOLERANCE_PX = 0.5
RELATIVE_TOLERANCE = 0.01  # of a box's side: float16 has 11 bits


def verify_boxes(family: str, decoder: str, match: Match, tail: Tail, graph: Graph) -> float | None:
    """Largest difference (px) between the decoder's boxes and those in the graph's output, None without any there.

    Raises InstrumentationError where they differ by more than rounding does.
    """
    if isinstance(match.heads[0].boxes, BoxColumns):
        _verify_fractions(family, match.heads[0].boxes, tail)
        return None
    if not match.decoded:
        return None
    worst_px = 0.0
    for head in match.heads:
        expected = _graph_boxes(head, tail)
        if expected is None:
            return None
        decoded = _decoded_boxes(head, decoder, tail, graph.input_size)
        sizes = np.maximum(np.abs(expected[:, 2:]), 1)
        difference = np.abs(decoded - expected)
        if not (difference <= TOLERANCE_PX + RELATIVE_TOLERANCE * np.tile(sizes, 2)).all():
            raise InstrumentationError(
                f"{family}: expected boxes (center and size in px) as the decoder {decoder} computes them, "
                f"but the graph's own at {head.classes.layer.name} differ by up to {difference.max():.3g} px"
            )
        worst_px = max(worst_px, float(difference.max()))
    return worst_px


def _graph_boxes(head: FoundHead, tail: Tail) -> NDArray[Any] | None:
    """Center and size (locations, 4) px in the graph's output: the first four columns beside the classes."""
    rows = head.classes
    output = tail.values[list(tail.outputs)[int(rows.output[0])]]
    columns = 4 + (head.objectness is not None) + len(rows.row)
    at = np.stack(np.unravel_index(rows.position[0], output.shape))
    axes = [axis for axis, size in enumerate(output.shape) if size == columns and (at[axis] == at[axis, 0]).all()]
    if len(axes) != 1:
        return None
    at = np.repeat(at[:, :, None], 4, axis=2)
    at[axes[0]] = np.arange(4)
    return np.asarray(output[tuple(at)], np.float64)


def _decoded_boxes(head: FoundHead, decoder: str, tail: Tail, input_size: tuple[int, int]) -> Floats:
    """Center and size (locations, 4) px by our decoder from the outputs of the head's rows."""
    assert isinstance(head.boxes, LayerRows)
    xyxy = DECODERS[decoder](head.boxes.values(tail), np.arange(head.level.locations), head.level, input_size)
    return np.concatenate([(xyxy[:, :2] + xyxy[:, 2:]) / 2, xyxy[:, 2:] - xyxy[:, :2]], axis=1)


def _verify_fractions(family: str, boxes: BoxColumns, tail: Tail) -> None:
    fractions = tail.values[boxes.name][0, :, boxes.first : boxes.first + 4]
    if not ((fractions >= 0) & (fractions <= 1)).all():
        raise InstrumentationError(
            f"{family}: expected boxes as fractions of the picture in [0, 1], "
            f"but {boxes.name} contains {fractions.min():.3g} to {fractions.max():.3g}"
        )
