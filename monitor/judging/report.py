"""Builds the parts of a frame report from observation, tracks and forecasts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gradwatch.models.outputs import KINDS, Head, Observation
from gradwatch.streams.wire.messages import (
    FrameReport,
    FrameStamp,
    Outcome,
    OutcomeCause,
    ReportedDetections,
    ReportedForecasts,
    ReportedTracks,
    StreamState,
)

from .forecasts import CoverageLedger, Regions
from .tracking import NS_PER_S, Integers, TrackSet, track_boxes


def empty_report(
    stamp: FrameStamp, outcome: Outcome, state: StreamState, cause: OutcomeCause | None = None
) -> FrameReport:
    """A report without detections, tracks or scores: complete for a frame that was dropped or rejected."""
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


def report_detections(observation: Observation, heads: dict[str, Head]) -> ReportedDetections:
    """All boxes; the label is the class that a head predicts, or the detector's kind where no head read the box."""
    detections = observation.detections
    kind = [KINDS[c] for c in detections.class_id]
    label = list(kind)
    for head_id, outputs in observation.heads.items():
        for row, index in enumerate(outputs.detection_index):
            label[index] = heads[head_id].classes[int(outputs.logits[row].argmax())]
    return ReportedDetections(detections.xyxy, detections.score, kind, label)


def report_tracks(tracks: TrackSet, detection_index: Integers, expected: Sequence[str]) -> ReportedTracks:
    """All m tracks; `detection_index` (m,) as `tracking.advance` returned it, `expected` the m expected labels."""
    if not len(tracks) == len(detection_index) == len(expected):
        raise ValueError(
            f"report_tracks: expected {len(tracks)} detection indices and labels, one a track, "
            f"got {len(detection_index)} and {len(expected)}"
        )
    covariance = np.zeros((len(tracks), 4, 4), np.float32)
    for axis in (0, 1):  # (value, rate) of cx sit at 0 and 2, of cy at 1 and 3
        covariance[:, axis::2, axis::2] = tracks.covariance[:, axis]
    return ReportedTracks(
        track_id=[int(i) for i in tracks.track_id],
        kind=[KINDS[k] for k in tracks.kind],
        xyxy=track_boxes(tracks).astype(np.float32),
        velocity=tracks.mean[:, :2, 1].astype(np.float32),
        covariance=covariance,
        age_s=((tracks.time_ns - tracks.born_ns) / NS_PER_S).astype(np.float32),
        detection_index=np.asarray(detection_index, np.int32),
        expected=list(expected),
    )


def report_forecasts(regions: Regions, coverage: float, ledger: CoverageLedger) -> ReportedForecasts:
    """The regions, with the coverage asked and the coverage that past regions achieved."""
    return ReportedForecasts(
        horizon_s=regions.horizon_s.astype(np.float32),
        mean=regions.mean.astype(np.float32),
        radius=regions.radius.astype(np.float32),
        coverage_asked=coverage,
        coverage_achieved=ledger.coverage_achieved,
        checked=ledger.checked,
    )


def as_float32(scores: dict[str, NDArray[np.float64]]) -> dict[str, NDArray[np.float32]]:
    """The precision of reports."""
    return {name: values.astype(np.float32) for name, values in scores.items()}
