"""Quality of tracks: identities and boxes against annotated ones, beside other trackers on the same boxes.

CLEAR MOT (Bernardin and Stiefelhagen 2008) and the identity measures (Ristani et al., ECCV 2016), counted by
motmetrics. The other trackers are ByteTrack (Zhang et al., ECCV 2022) from two libraries. `cjm-byte-track` follows the
authors' code and needs only numpy and scipy. `trackers` depends on opencv-python, which overwrites the headless build
that gradwatch runs on, so it is in no extra of gradwatch, and its row appears only if it is installed anyway.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from gradwatch import MissingPackageError
from gradwatch.models.boxes import iou
from gradwatch.streams.wire.messages import FrameReport

MIN_IOU = 0.5  # of a box and the annotated one that it matches
MEASURES = {  # motmetrics' name -> ours
    "idf1": "idf1",
    "mota": "mota",
    "num_switches": "id_switches",
    "num_fragmentations": "fragmentations",
    "recall": "recall",
    "precision": "precision",
    "mostly_tracked": "mostly_tracked",
}


class Labeled(Struct, frozen=True):
    """The boxes of one frame: identity (n,), xyxy (n, 4) px."""

    identity: NDArray[np.int64]
    xyxy: NDArray[np.float64]


class Scored(Struct, frozen=True):
    """The detections of one frame: xyxy (n, 4) px, score (n,) in [0, 1]."""

    xyxy: NDArray[np.float32]
    score: NDArray[np.float32]


def match(xyxy: NDArray[np.floating[Any]], truth: NDArray[np.floating[Any]]) -> NDArray[np.int64]:
    """For each box (n, 4) the row of the annotated one (m, 4) that it matches, -1 for none.

    Best overlap first, each annotated box once, at least MIN_IOU.
    """
    overlap = iou(xyxy[:, None].astype(np.float32), truth.astype(np.float32))
    found = np.full(len(xyxy), -1, np.int64)
    for row, column in zip(
        *np.unravel_index(np.argsort(-overlap, axis=None, kind="stable"), overlap.shape), strict=True
    ):
        if overlap[row, column] >= MIN_IOU and found[row] < 0 and column not in found:
            found[row] = column
    return found


def track_figures(truth: Sequence[Labeled], tracks: Sequence[Labeled]) -> dict[str, float]:
    """The `MEASURES` of tracks against annotated ones, frame by frame, and the number of `tracks`.

    Raises MissingPackageError without motmetrics, ValueError if the numbers of frames differ.
    """
    if len(truth) != len(tracks):
        raise ValueError(f"expected tracks of {len(truth)} frames, got {len(tracks)}")
    motmetrics: Any = _library("motmetrics")
    counted = motmetrics.MOTAccumulator(auto_id=True)
    for annotated, tracked in zip(truth, tracks, strict=True):
        overlap = iou(annotated.xyxy[:, None].astype(np.float32), tracked.xyxy.astype(np.float32))
        distance = 1 - overlap.astype(np.float64)
        distance[distance > 1 - MIN_IOU] = np.nan
        counted.update(annotated.identity, tracked.identity, distance)
    row = motmetrics.metrics.create().compute(counted, metrics=list(MEASURES)).iloc[0]
    ids = {int(identity) for frame in tracks for identity in frame.identity}
    return {ours: float(row[theirs]) for theirs, ours in MEASURES.items()} | {"tracks": float(len(ids))}


def reported_tracks(report: FrameReport, kind: str, predicted: bool = False) -> Labeled:
    """The confirmed tracks of a kind in a report: those seen in its frame and, if `predicted`, the others too."""
    tracks = report.tracks
    if tracks is None:
        return Labeled(np.empty(0, np.int64), np.empty((0, 4)))
    rows = np.array([k == kind for k in tracks.kind], bool) & (predicted | (np.asarray(tracks.detection_index) >= 0))
    return Labeled(np.array(tracks.track_id, np.int64)[rows], tracks.xyxy[rows].astype(np.float64).reshape(-1, 4))


def found_boxes(report: FrameReport, kind: str) -> Scored:
    """The detections of a kind in a report."""
    found = report.detections
    if found is None:
        return Scored(np.empty((0, 4), np.float32), np.empty(0, np.float32))
    rows = np.array([k == kind for k in found.kind], bool)
    return Scored(found.xyxy[rows].reshape(-1, 4), found.score[rows])


def byte_track(frames: Sequence[Scored], rate_hz: float) -> list[Labeled]:
    """ByteTrack of `cjm-byte-track`; detections from 0.5 on are strong, as for our tracker and in the paper."""
    tracker = _library("cjm_byte_track.core").BYTETracker(track_thresh=0.5, frame_rate=round(rate_hz))
    result = []
    for found in frames:
        active = tracker.update(np.column_stack([found.xyxy, found.score]), (1, 1), (1, 1))  # no rescaling
        result.append(_labeled([t.track_id for t in active], [t.tlbr for t in active]))
    return result


def roboflow_byte_track(frames: Sequence[Scored], rate_hz: float) -> list[Labeled]:
    """ByteTrack of Roboflow's `trackers` with its defaults: a track starts from a score of 0.7 on."""
    supervision, tracker = _library("supervision"), _library("trackers").ByteTrackTracker(frame_rate=rate_hz)
    result = []
    for found in frames:
        boxes = supervision.Detections(
            xyxy=found.xyxy.astype(np.float64), confidence=found.score, class_id=np.zeros(len(found.score), int)
        )
        tracked = tracker.update(boxes)
        confirmed = tracked.tracker_id >= 0  # a young track has no identity yet
        result.append(_labeled(tracked.tracker_id[confirmed], tracked.xyxy[confirmed]))
    return result


# Name in the report -> the module it needs and its tracker.
RIVALS: dict[str, tuple[str, Callable[[Sequence[Scored], float], list[Labeled]]]] = {
    "ByteTrack (cjm-byte-track)": ("cjm_byte_track", byte_track),
    "ByteTrack (trackers)": ("trackers", roboflow_byte_track),
}


def rivals() -> dict[str, Callable[[Sequence[Scored], float], list[Labeled]]]:
    """Those of `RIVALS` that are installed."""
    return {name: track for name, (module, track) in RIVALS.items() if find_spec(module) is not None}


def _labeled(identity: Sequence[int], xyxy: Sequence[Any]) -> Labeled:
    return Labeled(np.array(identity, np.int64).reshape(-1), np.array(xyxy, np.float64).reshape(-1, 4))


def _library(name: str) -> Any:
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        raise MissingPackageError(f"{error}; `pip install 'gradwatch[dev]'` installs what evaluation needs") from error
