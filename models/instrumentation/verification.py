"""Whether a decoder's boxes are those of the graph: both are worked out on one picture of noise."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..decoders import DECODERS
from ..manifest import InstrumentationError
from ..outputs import Floats
from .graphs import Graph
from .heads import BoxColumns, FoundHead, Match
from .rows import LayerRows
from .tracing import Tail

TOLERANCE_PX = 0.5
TOLERANCE_SHARE = 0.01  # of a box's side: float16 has 11 bits


def verify_boxes(family: str, decoder: str, match: Match, tail: Tail, graph: Graph) -> float | None:
    """By how many px the decoder's boxes differ at most from those in the graph's own output, None without any.

    Raises InstrumentationError where they differ by more than rounding does.
    """
    if isinstance(match.heads[0].boxes, BoxColumns):
        _verify_shares(family, match.heads[0].boxes, tail)
        return None
    if not match.decoded:
        return None
    worst_px = 0.0
    for head in match.heads:
        wanted = _own_boxes(head, tail)
        if wanted is None:
            return None
        found = _decoded_boxes(head, decoder, tail, graph.input_size)
        sizes = np.maximum(np.abs(wanted[:, 2:]), 1)
        differs = np.abs(found - wanted)
        if not (differs <= TOLERANCE_PX + TOLERANCE_SHARE * np.tile(sizes, 2)).all():
            raise InstrumentationError(
                f"{family}: expected boxes (center and size in px) as the decoder {decoder} gives them, "
                f"but the graph's own at {head.classes.layer.name} differ by up to {differs.max():.3g} px"
            )
        worst_px = max(worst_px, float(differs.max()))
    return worst_px


def _own_boxes(head: FoundHead, tail: Tail) -> NDArray[Any] | None:
    """Center and size (places, 4) px in the graph's output: the first four columns beside the classes."""
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
    """Center and size (places, 4) px by our decoder from what the head's rows said."""
    assert isinstance(head.boxes, LayerRows)
    xyxy = DECODERS[decoder](head.boxes.values(tail), np.arange(head.level.places), head.level, input_size)
    return np.concatenate([(xyxy[:, :2] + xyxy[:, 2:]) / 2, xyxy[:, 2:] - xyxy[:, :2]], axis=1)


def _verify_shares(family: str, boxes: BoxColumns, tail: Tail) -> None:
    shares = tail.values[boxes.name][0, :, boxes.first : boxes.first + 4]
    if not ((shares >= 0) & (shares <= 1)).all():
        raise InstrumentationError(
            f"{family}: expected boxes as shares of the picture in [0, 1], "
            f"but {boxes.name} holds {shares.min():.3g} to {shares.max():.3g}"
        )
