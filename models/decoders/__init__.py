"""Decoders from a detector's regression outputs to boxes; one table, `DECODERS`.

A decoder takes regression (m, R), locations (m,) int64 numbered row by row, their level and the input's size (width,
height) px, and returns boxes (m, 4) xyxy px of the input. m = 0 is legal. Decoders are pure numpy; they must never
know a session, a graph or a picture.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from ..manifest import Level
from ..outputs import Floats
from .anchor_boxes import anchor_boxes
from .center_offsets import center_offsets
from .distance_bins import distance_bins
from .grids import Locations
from .queries import queries

Decoder = Callable[[Floats, Locations, Level, tuple[int, int]], Floats]

DECODERS: dict[str, Decoder] = {
    "anchor_boxes": anchor_boxes,
    "center_offsets": center_offsets,
    "distance_bins": distance_bins,
    "distance_bins_at_corners": partial(distance_bins, offset=0.0),  # NanoDet-Plus
    "queries": queries,
}
