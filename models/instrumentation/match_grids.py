"""Detectors that look at grids of places, one grid a stride: NanoDet, YOLOv5, YOLOv8 and YOLOX."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from ..gradients.head import sigmoid
from ..manifest import Level
from .graphs import Graph
from .heads import FoundHead, Match
from .rows import LayerRows
from .tracing import Tail, Use

# Of the networks trained on COCO (ultralytics/yolov5, models/yolov5s.yaml); a graph that decodes its boxes has its own.
YOLOV5_ANCHORS_PX = {8: ((10, 13), (16, 30), (33, 23)), 16: ((30, 61), (62, 45), (59, 119)),
                     32: ((116, 90), (156, 198), (373, 326))}  # fmt: skip
NANODET_PLUS_LEVELS = 4  # strides of 8 to 64 px; NanoDet has three
FINEST_PX = 2  # the smallest stride that a head may have

Rows = list[LayerRows]


def match_nanodet(graph: Graph, tail: Tail, rows: Rows) -> Match | None:
    """NanoDet: classes under a sigmoid and bins of distances, of one convolution or of two."""
    match = _match_levels(graph, rows, _nanodet_head)
    return match if match and len(match.heads) != NANODET_PLUS_LEVELS else None


def match_nanodet_plus(graph: Graph, tail: Tail, rows: Rows) -> Match | None:
    """NanoDet-Plus: as NanoDet, with four strides and places at the corners of their cells."""
    match = _match_levels(graph, rows, _nanodet_head)
    return match if match and len(match.heads) == NANODET_PLUS_LEVELS else None


def match_yolov8(graph: Graph, tail: Tail, rows: Rows) -> Match | None:
    """YOLOv8, YOLO11: classes of a convolution of their own, boxes of another one, mostly decoded by the graph."""
    decoded = not any(each.layer.is_map and _only(each) == Use.PLAIN for each in rows)
    return _match_levels(graph, rows, _yolov8_head, decoded)


def match_yolox(graph: Graph, tail: Tail, rows: Rows) -> Match | None:
    """YOLOX: boxes, objectness and classes of a convolution each, boxes decoded by the graph or not."""
    decoded = any(_only(each) == Use.COMPUTED for each in rows)
    return _match_levels(graph, rows, _yolox_head, decoded)


def match_yolov5(graph: Graph, tail: Tail, rows: Rows) -> Match | None:
    """YOLOv5: one convolution a stride, of (4 boxes + objectness + classes) rows for each of its anchors."""
    heads: list[FoundHead] = []
    decoded = False
    for stride_px, (only, *others) in _by_grid(graph, rows):
        anchors = _anchor_count(tail, only)
        if others or anchors == 0 or len(only.row) % anchors:
            return None
        each = len(only.row) // anchors
        decoded = Use.COMPUTED in only.use
        for number in range(anchors):
            own = only.take(slice(number * each, (number + 1) * each))
            if each < 6:
                return None
            anchor_px = _anchor_size(tail, own) if decoded else _published_anchor(stride_px, number, anchors)
            heads.append(
                FoundHead(
                    _level(own, stride_px, anchor_px),
                    own.take(slice(5, None)),
                    own.take(slice(0, 4)),
                    own.take(slice(4, 5)),
                )
            )
    return Match(heads, "sigmoid", decoded) if heads else None


def _match_levels(
    graph: Graph, rows: Rows, read: Callable[[Rows, float], FoundHead | None], decoded: bool = False
) -> Match | None:
    heads = [read(group, stride_px) for stride_px, group in _by_grid(graph, rows)]
    found = [head for head in heads if head is not None]
    return Match(found, "sigmoid", decoded) if found and len(found) == len(heads) else None


def _by_grid(graph: Graph, rows: Rows) -> list[tuple[float, Rows]]:
    """Layers that look at the same grid, finest grid first; within one, as they stand in the outputs, unseen last."""
    grids: dict[int, Rows] = {}
    for each in rows:
        stride_px = _stride_px(graph, each)
        if stride_px is not None:
            grids.setdefault(stride_px, []).append(each)
    for group in grids.values():
        group.sort(key=lambda each: (int(each.output[0]), int(each.position[0, 0])) if len(each.row) else (1 << 30, 0))
    return [(stride_px, grids[stride_px]) for stride_px in sorted(grids)]


def _stride_px(graph: Graph, rows: LayerRows) -> int | None:
    """The stride of the grid that a layer looks at, a power of two; None for a layer that looks at no such grid.

    A picture that is no multiple of the stride has a last place that reaches over its border.
    """
    width, height = graph.input_size
    lines, columns = rows.grid
    stride_px = 1 << round(math.log2(height / lines))
    fits = math.ceil(height / stride_px) == lines and math.ceil(width / stride_px) == columns
    return stride_px if rows.layer.is_map and fits and stride_px >= FINEST_PX else None


def _level(rows: LayerRows, stride_px: float, anchor_px: tuple[float, float] | None = None) -> Level:
    return Level(rows=rows.grid[0], columns=rows.grid[1], stride_px=float(stride_px), anchor_px=anchor_px)


def _only(rows: LayerRows) -> Use | None:
    """What was done to all rows of a layer, None where rows differ or are missing."""
    runs = rows.runs
    return runs[0][0] if len(runs) == 1 and runs[0][1] == len(rows.layer.weight) else None


def _nanodet_head(group: Rows, stride_px: float) -> FoundHead | None:
    parts = [part for each in group for part in _parts(each)]
    if len(group) > 2 or [_only_use(part) for part in parts] != [Use.SIGMOID, Use.PLAIN]:
        return None
    classes, bins = parts
    unseen = sum(len(each.layer.weight) - len(each.row) for each in group)
    if unseen or not _are_bins(len(bins.row)):
        return None
    return FoundHead(_level(classes, stride_px), classes, bins)


def _parts(rows: LayerRows) -> list[LayerRows]:
    """The rows by what was done to them: under a sigmoid, plain, under a softmax, computed with; none empty."""
    parts = [rows.take(rows.use == use) for use in (Use.SIGMOID, Use.PLAIN, Use.SOFTMAX, Use.COMPUTED)]
    return [part for part in parts if len(part.row)]


def _only_use(rows: LayerRows) -> Use:
    return Use(int(rows.use[0]))


def _are_bins(count: int) -> bool:
    return count % 4 == 0 and count >= 8


def _yolov8_head(group: Rows, stride_px: float) -> FoundHead | None:
    if len(group) != 2:
        return None
    if _only(group[0]) == _only(group[1]) == Use.PLAIN:
        boxes, classes = group
    elif _only(group[0]) == Use.SIGMOID and not len(group[1].row):
        classes, boxes = group
        boxes = boxes.whole()
    else:
        return None
    if not _are_bins(len(boxes.layer.weight)):
        return None
    return FoundHead(_level(classes, stride_px), classes, boxes)


def _yolox_head(group: Rows, stride_px: float) -> FoundHead | None:
    if [len(each.layer.weight) for each in group[:2]] != [4, 1] or len(group) != 3:
        return None
    boxes, objectness, classes = group
    uses = [_only(each) for each in group]
    if uses[0] not in (Use.PLAIN, Use.COMPUTED) or uses[1:] not in ([Use.SIGMOID] * 2, [Use.PLAIN] * 2):
        return None
    return FoundHead(_level(classes, stride_px), classes, boxes, objectness)


def _anchor_count(tail: Tail, rows: LayerRows) -> int:
    """How many anchors a place of a YOLOv5 has, 0 where the layer is none of its heads."""
    runs = rows.runs
    if len(rows.row) != len(rows.layer.weight):
        return 0
    if [use for use, _ in runs] == [Use.COMPUTED, Use.SIGMOID] * (len(runs) // 2):
        same = all(run == runs[i % 2] for i, run in enumerate(runs))
        return len(runs) // 2 if same and runs[0][1] == 4 else 0
    shape = tail.values[list(tail.outputs)[int(rows.output[0])]].shape
    # Undecoded, anchors are the second axis of (1, anchors, rows, columns, 5 + classes).
    is_raw = _only(rows) in (Use.PLAIN, Use.SIGMOID) and len(shape) == 5 and shape[2:4] == rows.grid
    return shape[1] if is_raw else 0


def _anchor_size(tail: Tail, rows: LayerRows) -> tuple[float, float]:
    """The anchor by which the graph multiplied the sizes at the first place: size = (2 s(t))^2 * anchor."""
    decoded = tail.values[list(tail.outputs)[int(rows.output[0])]].ravel()[rows.position[2:4, 0]]
    raw = tail.values[rows.layer.name].reshape(len(rows.layer.weight), -1)[rows.row[2:4], 0]
    sizes = decoded / (2 * sigmoid(raw.astype(np.float64))) ** 2
    return round(float(sizes[0]), 2), round(float(sizes[1]), 2)


def _published_anchor(stride_px: float, number: int, anchors: int) -> tuple[float, float] | None:
    published = YOLOV5_ANCHORS_PX.get(int(stride_px), ())
    return published[number] if anchors == len(published) else None
