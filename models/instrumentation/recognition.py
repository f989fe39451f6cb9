"""From a graph to the linear heads of a known family (of `FAMILIES`): which rows are classes, objectness and boxes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from ..manifest import InstrumentationError, Level, Preprocessing
from .graphs import Graph
from .match_grids import match_nanodet, match_yolov5, match_yolov8, match_yolox
from .match_single import match_classifier, match_queries
from .names import describe_names
from .rows import LayerRows, Match, read_rows
from .tracing import Tail, trace
from .verification import verify_boxes


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

# Operators that leave only the best boxes of a detector.
SELECTING = {"NonMaxSuppression", "EfficientNMS_TRT", "BatchedNMS_TRT", "BatchedNMSDynamic_TRT", "MultiClassNMS",
             "TRTBatchedNMS", "NMS", "TopK"}  # fmt: skip

FAMILIES = {
    "nanodet": Family(match_nanodet, "distance_bins", NANODET_INPUT),
    "nanodet-plus": Family(partial(match_nanodet, plus=True), "distance_bins_at_corners", NANODET_INPUT),
    "yolov5": Family(match_yolov5, "anchor_boxes", Preprocessing()),
    "yolov8": Family(match_yolov8, "distance_bins", Preprocessing()),
    "yolox": Family(match_yolox, "center_offsets", Preprocessing(channel_order="bgr", scale=1)),
    "rtdetr": Family(match_queries, "queries", Preprocessing(stretch=True)),
    "classifier": Family(match_classifier, None, IMAGENET_INPUT),
}


@dataclass(frozen=True, slots=True)
class Recognition:
    """A graph with its family and heads.

    family: a key of `FAMILIES`. decoder: a key of `DECODERS`, None for a classifier. matched: the heads, level by
    level. boxes_px: largest difference between the decoder's boxes and the graph's own on a picture of noise, None
    where the graph decodes none.
    """

    graph: Graph
    family: str
    decoder: str | None
    preprocessing: Preprocessing
    matched: Match
    boxes_px: float | None

    @property
    def class_count(self) -> int:
        """Number of classes of the head."""
        return len(self.matched.heads[0].classes.weight)

    @property
    def levels(self) -> tuple[Level, ...]:
        """The level of each head."""
        return tuple(head.level for head in self.matched.heads)

    def describe(self) -> str:
        """Text for people: family, classes, heads, and how well the boxes agree with the graph's own."""
        width, height = self.graph.input_size
        objectness = ", objectness" if self.matched.heads[0].objectness else ""
        classes = f"{self.class_count} classes ({self.matched.activation}){objectness}"
        lines = [f"{self.family}, input {width}x{height} px, {classes}"]
        for number, head in enumerate(self.matched.heads):
            level = f"{head.level}, " if self.decoder else ""
            features = head.classes.weight.shape[1]
            lines.append(f"head {number}: {level}{features} features, layer {head.classes.layer.name}")
        lines.append(describe_names(self.graph.model, self.class_count))
        if self.boxes_px is not None:
            lines.append(f"boxes differ from the graph's own by at most {self.boxes_px:.2g} px")
        if self.graph.arithmetic is not None and not self.graph.arithmetic.is_identity:
            lines.append(f"the file normalizes its input itself; taken over as the preprocessing: {self.preprocessing}")
        return "\n".join(lines)


def recognize_graph(graph: Graph, decoder: str | None = None) -> Recognition:
    """Family and heads of a graph, by its structure or as named. Raises InstrumentationError."""
    if decoder is not None and decoder not in FAMILIES:
        raise InstrumentationError(f"expected a decoder of {', '.join(FAMILIES)}, got {decoder!r}")
    tail = trace(graph)
    rows = read_rows(tail)
    wanted = FAMILIES if decoder is None else {decoder: FAMILIES[decoder]}
    matches = {name: match for name, family in wanted.items() if (match := family.match(graph, tail, rows)) is not None}
    if len(matches) != 1:
        raise InstrumentationError(_mismatch(graph, list(wanted), list(matches), rows))
    ((name, matched),) = matches.items()
    counts = sorted({len(head.classes.weight) for head in matched.heads})
    if len(counts) > 1:
        raise InstrumentationError(f"{name}: expected the same number of classes at every level, got {counts}")
    family = FAMILIES[name]
    boxes_px = verify_boxes(name, family.decoder, matched, tail, graph) if family.decoder else None
    arithmetic = graph.arithmetic
    preprocessing = arithmetic.preprocessing(family.preprocessing) if arithmetic else family.preprocessing
    return Recognition(graph, name, family.decoder, preprocessing, matched, boxes_px)


def _mismatch(graph: Graph, wanted: list[str], matches: list[str], rows: list[LayerRows]) -> str:
    found = "; ".join(str(each) for each in rows)
    if matches:
        return f"expected one class head, found those of {' and '.join(matches)}: specify the decoder; found {found}"
    ending = next((node for node in reversed(graph.model.graph.node) if node.op_type in SELECTING), None)
    if ending is not None and ending.op_type != "TopK":
        return (
            f"the graph selects its boxes by non-maximum suppression ({ending.op_type}): gradient scores need all "
            "locations: export it without (ultralytics: nms=False)"
        )
    if ending is not None:
        return (
            "the graph selects its best boxes itself (TopK, an end-to-end export): gradient scores need all locations: "
            "export it without (ultralytics: end2end=False, YOLOv10 and YOLO26: the one-to-many head)"
        )
    return f"no class head as of {', '.join(wanted)}; found {found}"
