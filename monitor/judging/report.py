"""The parts of a frame report, from observation and tracks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gradwatch.models.outputs import KINDS, Head, HeadOutputs, Observation
from gradwatch.streams.wire.messages import (
    FrameReport,
    FrameStamp,
    Outcome,
    OutcomeCause,
    ReportedDetections,
    StreamState,
)

from ..scorers import CropScores

BORDER_PX = 2.0  # a box that comes so near to the picture's border is taken for cut off


def reported_detections(observation: Observation, heads: dict[str, Head]) -> ReportedDetections:
    """Boxes with names: the class that a head reads where one did, else the detector's kind."""
    seen = observation.detections
    kind = [KINDS[c] for c in seen.class_id]
    label = list(kind)
    for head_id, outputs in observation.heads.items():
        for row, index in enumerate(outputs.detection_index):
            label[index] = heads[head_id].classes[int(outputs.logits[row].argmax())]
    return ReportedDetections(seen.xyxy, seen.score, kind, label)


def report_of(
    stamp: FrameStamp, outcome: Outcome, state: StreamState, cause: OutcomeCause | None = None
) -> FrameReport:
    """What a report says of any frame: all that there is to say of one that was dropped or rejected, by its cause."""
    return FrameReport(
        identity=stamp.identity,
        partition=stamp.partition,
        offset=stamp.offset,
        capture_ns=stamp.capture_ns,
        published_ns=stamp.published_ns,
        clock=stamp.clock,
        outcome=outcome,
        cause=cause,
        state=state,
        traceparent=stamp.traceparent,
    )


def tracks_of(
    outputs: HeadOutputs, detection_index: NDArray[np.int32], track_id: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Track id (k,) of each crop of a head, -1 where its detection started none."""
    of_detection = {int(d): int(t) for d, t in zip(detection_index, track_id, strict=True) if d >= 0}
    return np.array([of_detection.get(int(d), -1) for d in outputs.detection_index], dtype=np.int64)


def readable_sides(observation: Observation, outputs: HeadOutputs) -> NDArray[np.float64]:
    """Shorter side (k,) px of the box of each crop of a head; 0 where the picture's border cuts the object off.

    Half a sign is often read as another one: what leaves the picture contradicts nothing.
    """
    xyxy = observation.detections.xyxy[outputs.detection_index].astype(np.float64).reshape(-1, 4)
    whole = (xyxy[:, :2] > BORDER_PX).all(axis=1) & (xyxy[:, 2:] < np.array(observation.size) - BORDER_PX).all(axis=1)
    return np.where(whole, np.minimum(xyxy[:, 2] - xyxy[:, 0], xyxy[:, 3] - xyxy[:, 1]), 0.0)


def as_float32(scores: dict[str, NDArray[np.float64]]) -> dict[str, NDArray[np.float32]]:
    """The wire's precision."""
    return {name: values.astype(np.float32) for name, values in scores.items()}


def detections_of(scores: dict[str, NDArray[np.float64]], crops: CropScores) -> dict[str, NDArray[np.int32]]:
    """The detection (n,) that each value of the scores of crops is about; nothing for scores of frames."""
    return {name: crops[name].detection_index for name in scores if name in crops}
