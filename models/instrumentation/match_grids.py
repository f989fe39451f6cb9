"""Detectors whose heads are applied to grids of locations, one grid for each stride: NanoDet, YOLOv5, YOLOv8, YOLOX."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from ..gradients.head import sigmoid
from ..manifest import Level
from .graphs import Graph
from .rows import FoundHead, LayerRows, Match
from .tracing import Tail, Transform

# Of the networks trained on COCO (ultralytics/yolov5, models/yolov5s.yaml), for graphs that do not decode their boxes.
YOLOV5_ANCHORS_PX = {8: ((10, 13), (16, 30), (33, 23)), 16: ((30, 61), (62, 45), (59, 119)),
                     32: ((116, 90), (156, 198), (373, 326))}  # fmt: skip
NANODET_PLUS_LEVELS = 4  # strides of 8 to 64 px; NanoDet has three
FINEST_PX = 2  # the smallest stride that a head may have

Rows = list[LayerRows]


def match_nanodet(graph: Graph, tail: Tail, rows: Rows, plus: bool = False) -> Match | None:
    """NanoDet: classes under a sigmoid and bins of distances, of one convolution or of two.

    plus: NanoDet-Plus, which has four strides and locations at the corners of their cells.
    """
    match = _match_levels(graph, rows, _nanodet_head)
    return match if match and (len(match.heads) == NANODET_PLUS_LEVELS) == plus else None


def match_yolov8(graph: Graph, tail: Tail, rows: Rows) -> Match | None:
    """YOLOv8, YOLO11: one convolution for classes and one for boxes, which most graphs decode."""
    decoded = not any(each.layer.is_map and each.transform == Transform.PLAIN for each in rows)
    return _match_levels(graph, rows, _yolov8_head, decoded)


def match_yolox(graph: Graph, tail: Tail, rows: Rows) -> Match | None:
    """YOLOX: one convolution each for boxes, objectness and classes; boxes decoded by the graph or not."""
    decoded = any(each.transform == Transform.COMPUTED for each in rows)
    return _match_levels(graph, rows, _yolox_head, decoded)


def match_yolov5(graph: Graph, tail: Tail, rows: Rows) -> Match | None:
    """YOLOv5: one convolution for each stride, of (4 boxes + objectness + classes) rows for each of its anchors."""
    heads: list[FoundHead] = []
    decoded = False
    for stride_px, (only, *others) in _by_grid(graph, rows):
        anchors = _anchor_count(tail, only)
        if others or anchors == 0 or len(only.row) % anchors or len(only.row) < 6 * anchors:
            return None
        count = len(only.row) // anchors
        decoded = Transform.COMPUTED in only.transforms
        for number in range(anchors):
            own = only.take(slice(number * count, (number + 1) * count))
            anchor_px = _anchor_size(tail, own) if decoded else _published_anchor(stride_px, number, anchors)
            boxes, objectness, classes = (own.take(part) for part in (slice(0, 4), slice(4, 5), slice(5, None)))
            heads.append(FoundHead(_level(own, stride_px, anchor_px), classes, boxes, objectness))
    return Match(heads, "sigmoid", decoded) if heads else None


def _match_levels(
    graph: Graph, rows: Rows, match_head: Callable[[Rows, float], FoundHead | None], decoded: bool = False
) -> Match | None:
    heads = [match_head(group, stride_px) for stride_px, group in _by_grid(graph, rows)]
    found = [head for head in heads if head is not None]
    return Match(found, "sigmoid", decoded) if found and len(found) == len(heads) else None


def _by_grid(graph: Graph, rows: Rows) -> list[tuple[float, Rows]]:
    """Layers with the same grid, finest grid first; within one, in the order of the outputs, absent layers last."""
    grids: dict[int, Rows] = {}
    for each in rows:
        stride_px = _stride_px(graph, each)
        if stride_px is not None:
            grids.setdefault(stride_px, []).append(each)
    for group in grids.values():
        group.sort(key=lambda each: (int(each.output[0]), int(each.position[0, 0])) if len(each.row) else (1 << 30, 0))
    return [(stride_px, grids[stride_px]) for stride_px in sorted(grids)]


def _stride_px(graph: Graph, rows: LayerRows) -> int | None:
    """The stride of a layer's grid, a power of two; None for a layer without such a grid.

    In a picture whose side is no multiple of the stride, the last location reaches over the border.
    """
    width, height = graph.input_size
    lines, columns = rows.grid
    stride_px = 1 << round(math.log2(height / lines))
    fits = math.ceil(height / stride_px) == lines and math.ceil(width / stride_px) == columns
    return stride_px if rows.layer.is_map and fits and stride_px >= FINEST_PX else None


def _level(rows: LayerRows, stride_px: float, anchor_px: tuple[float, float] | None = None) -> Level:
    return Level(rows=rows.grid[0], columns=rows.grid[1], stride_px=float(stride_px), anchor_px=anchor_px)


def _nanodet_head(group: Rows, stride_px: float) -> FoundHead | None:
    order = (Transform.SIGMOID, Transform.PLAIN, Transform.SOFTMAX, Transform.COMPUTED)
    by_transform = [(kind, each.take(each.transforms == kind)) for each in group for kind in order]
    parts = [(kind, part) for kind, part in by_transform if len(part.row)]
    if len(group) > 2 or [kind for kind, _ in parts] != [Transform.SIGMOID, Transform.PLAIN]:
        return None
    (_, classes), (_, bins) = parts
    if not all(each.is_complete for each in group) or not _are_bins(len(bins.row)):
        return None
    return FoundHead(_level(classes, stride_px), classes, bins)


def _are_bins(count: int) -> bool:
    return count % 4 == 0 and count >= 8


def _yolov8_head(group: Rows, stride_px: float) -> FoundHead | None:
    if len(group) != 2:
        return None
    if group[0].transform == group[1].transform == Transform.PLAIN:
        boxes, classes = group
    elif group[0].transform == Transform.SIGMOID and not len(group[1].row):
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
    if boxes.transform not in (Transform.PLAIN, Transform.COMPUTED):
        return None
    if objectness.transform != classes.transform or classes.transform not in (Transform.SIGMOID, Transform.PLAIN):
        return None
    return FoundHead(_level(classes, stride_px), classes, boxes, objectness)


def _anchor_count(tail: Tail, rows: LayerRows) -> int:
    """Number of anchors of a YOLOv5 at each location, 0 where the layer is none of its heads."""
    runs = rows.runs
    if not rows.is_complete:
        return 0
    if [transform for transform, _ in runs] == [Transform.COMPUTED, Transform.SIGMOID] * (len(runs) // 2):
        same = all(run == runs[i % 2] for i, run in enumerate(runs))
        return len(runs) // 2 if same and runs[0][1] == 4 else 0
    shape = tail.values[list(tail.outputs)[int(rows.output[0])]].shape
    # Undecoded, anchors are the second axis of (1, anchors, rows, columns, 5 + classes).
    is_raw = rows.transform in (Transform.PLAIN, Transform.SIGMOID) and len(shape) == 5 and shape[2:4] == rows.grid
    return shape[1] if is_raw else 0


def _anchor_size(tail: Tail, rows: LayerRows) -> tuple[float, float]:
    """The anchor by which the graph multiplies the sizes at the first location: size = (2 s(t))^2 * anchor."""
    decoded = tail.values[list(tail.outputs)[int(rows.output[0])]].ravel()[rows.position[2:4, 0]]
    raw = tail.values[rows.layer.name].reshape(len(rows.layer.weight), -1)[rows.row[2:4], 0]
    sizes = decoded / (2 * sigmoid(raw.astype(np.float64))) ** 2
    return round(float(sizes[0]), 2), round(float(sizes[1]), 2)


def _published_anchor(stride_px: float, number: int, anchors: int) -> tuple[float, float] | None:
    published = YOLOV5_ANCHORS_PX.get(int(stride_px), ())
    return published[number] if anchors == len(published) else None
