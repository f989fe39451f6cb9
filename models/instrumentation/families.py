"""The families of networks whose heads can be recognized; one table, `FAMILIES`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..manifest import Preprocessing
from .graphs import Graph
from .heads import Match
from .match_classifier import match_classifier
from .match_grids import match_nanodet, match_nanodet_plus, match_yolov5, match_yolov8, match_yolox
from .match_queries import match_queries
from .rows import LayerRows
from .tracing import Tail


@dataclass(frozen=True, slots=True)
class Family:
    """How a family is matched, decoded (a key of `DECODERS`, None for classifiers) and preprocessed."""

    match: Callable[[Graph, Tail, list[LayerRows]], Match | None]
    decoder: str | None
    preprocessing: Preprocessing


# As in the configurations of RangiLyu/nanodet, which train and test without the gray border of other families.
NANODET_INPUT = Preprocessing(
    channel_order="bgr", scale=1, mean=(123.675, 116.28, 103.53), deviation=(58.395, 57.12, 57.375), fill=0
)
IMAGENET_INPUT = Preprocessing(mean=(0.485, 0.456, 0.406), deviation=(0.229, 0.224, 0.225), stretch=True)

FAMILIES = {
    "nanodet": Family(match_nanodet, "distance_bins", NANODET_INPUT),
    "nanodet-plus": Family(match_nanodet_plus, "distance_bins_at_corners", NANODET_INPUT),
    "yolov5": Family(match_yolov5, "anchor_boxes", Preprocessing()),
    "yolov8": Family(match_yolov8, "distance_bins", Preprocessing()),
    "yolox": Family(match_yolox, "center_offsets", Preprocessing(channel_order="bgr", scale=1)),
    "rtdetr": Family(match_queries, "queries", Preprocessing(stretch=True)),
    "classifier": Family(match_classifier, None, IMAGENET_INPUT),
}
