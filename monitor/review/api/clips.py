"""The clip of an alert, frame by frame, and its evidence file."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
import structlog
from fastapi import APIRouter, Path, Request, Response
from fastapi.responses import FileResponse
from pydantic import Field

from gradwatch.streams.wire.messages import Alert, FrameReport, Outcome, OutcomeCause, StreamState
from gradwatch.streams.wire.outputs import decode_alert

from ...evidence.window import MissingCause
from ...overlay import annotations as overlays
from ..feed.clips import Clip
from ..feed.ground_truth import Recording
from ..feed.score_ring import ScoreRing
from ..service import ReviewService
from ..shapes import Finite, Ns, Shape, Xyxy
from ..store import listing
from ..store.errors import NotFoundError
from ..store.schema import AttachmentRow, RevisionRow
from .access import Service, Viewer, Visitor
from .alerts import AlertIdPath
from .cameras import ScoreSeries, series_shape
from .pictures import PICTURE, is_cached, picture_response
from .problems import documented

log = structlog.get_logger()

router = APIRouter(prefix="/alerts/{alert_id}", tags=["clips"])

SeqPath = Annotated[int, Path(ge=0, le=2**63 - 1)]
EVIDENCE = "evidence"
SHA256 = re.compile(r"[0-9a-f]{1,64}")


class Box(Shape):
    """A detected object."""

    xyxy: Xyxy = Field(description="px of the camera's picture")
    score: float
    kind: str
    label: str


class Forecast(Shape):
    """Predicted positions of a track: for each horizon a disc that contains it with the coverage asked."""

    horizon_s: list[float]
    xy: list[tuple[float, float]]
    radius_px: list[float]
    coverage_asked: float
    coverage_achieved: Finite


class Track(Shape):
    """A tracked object; `seen` is false if it was not detected in this frame."""

    track_id: int
    kind: str
    xyxy: Xyxy
    velocity: tuple[float, float] = Field(description="px/s")
    age_s: float
    expected: str
    label: str
    seen: bool
    forecast: Forecast | None


class TrueBox(Shape):
    """An object in the ground truth of a replayed recording."""

    xyxy: Xyxy
    label: str
    kind: str


class ClipFrame(Shape):
    """One seq of the window. Fields of the report are null without one; `missing` is why there is no picture."""

    seq: int
    capture_ns: Ns | None
    published_ns: Ns | None
    size_bytes: int | None
    width_px: int | None
    height_px: int | None
    missing: MissingCause | None
    outcome: Outcome | None
    cause: OutcomeCause | None
    state: StreamState | None
    boxes: list[Box]
    tracks: list[Track]
    change: Mapping[str, Finite]
    overlay: dict[str, Any] | None = Field(description="foxglove.ImageAnnotations, drawn from the report")
    truth: list[TrueBox]
    url: str | None = Field(description="the picture")


class ClipShape(Shape):
    """The window of an alert on the run's capture clock, by seq."""

    source: str = Field(description="evidence or kafka", examples=["evidence"])
    start_capture_ns: Ns
    end_capture_ns: Ns
    onset_seq: int
    last_seq: int
    frames: list[ClipFrame]


@router.get("/clip", responses=documented(404, 503))
def clip(service: Service, visitor: Viewer, alert_id: AlertIdPath) -> ClipShape:
    """All frames of the window, also missing ones."""
    alert, found = _clip(service, visitor, alert_id)
    recording = service.truth.of(alert.stream_id, alert.run_id)
    seqs = sorted({*found.frames, *found.reports, *found.missing})
    return ClipShape(
        source=found.source,
        start_capture_ns=found.time.start_ns,
        end_capture_ns=found.time.end_ns,
        onset_seq=alert.onset_seq,
        last_seq=alert.last_seq,
        frames=[_frame(alert_id, seq, found, recording) for seq in seqs],
    )


@router.get("/clip/scores", responses=documented(404, 503))
def clip_scores(service: Service, visitor: Viewer, alert_id: AlertIdPath) -> ScoreSeries:
    """All scores of the window, gradient scores and baselines."""
    alert, found = _clip(service, visitor, alert_id)
    ring = ScoreRing()
    for seq in sorted(found.reports):
        if found.reports[seq].outcome is Outcome.JUDGED:
            ring.append(found.reports[seq], thinned=False)
    return series_shape(alert.run_id, ring.series())


@router.get("/clip/frames/{seq}", response_class=Response, responses=documented(404, 503) | PICTURE)
def clip_frame(service: Service, visitor: Viewer, request: Request, alert_id: AlertIdPath, seq: SeqPath) -> Response:
    """One picture as the camera encoded it, without EXIF."""
    _, found = _clip(service, visitor, alert_id)
    frame = found.frames.get(seq)
    if frame is None:
        raise NotFoundError(f"expected the seq of a frame with a picture, got {seq}")
    return picture_response(request, frame.content, frame.encoding, frame.stamp, "frame")


@router.get(
    "/evidence",
    response_class=FileResponse,
    responses=documented(404)
    | {200: {"description": "MCAP; `X-Sha256` is what was published", "content": {"application/octet-stream": {}}}},
)
def evidence(service: Service, visitor: Viewer, alert_id: AlertIdPath, request: Request) -> Response:
    """The evidence file, for Foxglove."""
    with service.database.reading() as session:
        listing.get(session, "", alert_id)
        attachment = session.get(AttachmentRow, (alert_id, EVIDENCE))
    if attachment is None:
        raise NotFoundError(f"expected an alert with evidence, got {alert_id}")
    body = attachment.body
    path, sha256 = service.clips.evidence_file(str(body.get("path", ""))), str(body.get("sha256", ""))
    headers = {"Cache-Control": "private, no-cache"}
    if SHA256.fullmatch(sha256):  # anything else is no hash, and a header may not be able to hold it
        headers |= {"ETag": f'"{sha256}"', "X-Sha256": sha256}
        if is_cached(request, headers["ETag"]):
            return Response(status_code=304, headers=headers)
    return FileResponse(path, headers=headers, media_type="application/octet-stream", filename=f"{alert_id}.mcap")


def _clip(service: ReviewService, visitor: Visitor, alert_id: str) -> tuple[Alert, Clip]:
    with service.database.reading() as session:
        row = listing.get(session, "", alert_id).alert
        published_ns = session.get_one(RevisionRow, (alert_id, row.revision)).published_ns
        attachment = session.get(AttachmentRow, (alert_id, EVIDENCE))
    alert = decode_alert(msgspec.json.encode(row.body))
    path = None if attachment is None else str(attachment.body.get("path", ""))
    return alert, service.clips.clip(alert, published_ns, path, visitor.actor.username)


def _frame(alert_id: str, seq: int, clip: Clip, recording: Recording | None) -> ClipFrame:
    frame, report = clip.frames.get(seq), clip.reports.get(seq)
    known = frame.stamp if frame is not None else report
    return ClipFrame(
        seq=seq,
        capture_ns=None if known is None else known.capture_ns,
        published_ns=None if known is None else known.published_ns,
        size_bytes=None if frame is None else len(frame.content),
        width_px=None if report is None else report.width or None,
        height_px=None if report is None else report.height or None,
        missing=clip.missing.get(seq),
        outcome=None if report is None else report.outcome,
        cause=None if report is None else report.cause,
        state=None if report is None else report.state,
        **_drawings(report),
        change={} if report is None else report.change,
        truth=[] if recording is None else [TrueBox.model_validate(one) for one in recording.objects.get(seq, [])],
        url=None if frame is None else f"/api/v1/alerts/{alert_id}/clip/frames/{seq}",
    )


def _drawings(report: FrameReport | None) -> dict[str, Any]:
    """Boxes, tracks and overlay; empty for a report with arrays that don't fit, which must not cost other frames."""
    if report is not None:
        try:
            return {"boxes": _boxes(report), "tracks": _tracks(report), "overlay": overlays.annotations(report)}
        except (ValueError, TypeError, IndexError) as error:  # not written by a worker of ours
            log.warning("could not draw a report", frame=str(report.identity), error=str(error))
    return {"boxes": [], "tracks": [], "overlay": None}


def _boxes(report: FrameReport) -> list[Box]:
    found = report.detections
    if found is None:
        return []
    rows = zip(found.xyxy.tolist(), found.score.tolist(), found.kind, found.label, strict=True)
    return [
        Box(xyxy=xyxy, score=score, kind=kind, label=label)
        for xyxy, score, kind, label in rows
        if _are_finite(*xyxy, score)
    ]


def _tracks(report: FrameReport) -> list[Track]:
    tracks, labels = report.tracks, [] if report.detections is None else report.detections.label
    if tracks is None:
        return []
    found = []
    for row, track_id in enumerate(tracks.track_id):
        index = int(tracks.detection_index[row])
        is_seen = 0 <= index < len(labels)
        if not _are_finite(*tracks.xyxy[row], *tracks.velocity[row], tracks.age_s[row]):
            continue
        found.append(
            Track(
                track_id=track_id,
                kind=tracks.kind[row],
                xyxy=tracks.xyxy[row].tolist(),
                velocity=tracks.velocity[row].tolist(),
                age_s=float(tracks.age_s[row]),
                expected=tracks.expected[row],
                label=labels[index] if is_seen else "",
                seen=is_seen,
                forecast=_forecast(report, row),
            )
        )
    return found


def _forecast(report: FrameReport, row: int) -> Forecast | None:
    forecasts = report.forecasts
    if forecasts is None or row >= len(forecasts.mean):
        return None
    if not _are_finite(*forecasts.horizon_s, *forecasts.mean[row].ravel(), *forecasts.radius[row]):
        return None
    return Forecast(
        horizon_s=forecasts.horizon_s.tolist(),
        xy=forecasts.mean[row].tolist(),
        radius_px=forecasts.radius[row].tolist(),
        coverage_asked=forecasts.coverage_asked,
        coverage_achieved=forecasts.coverage_achieved,
    )


def _are_finite(*numbers: float) -> bool:
    return all(map(math.isfinite, numbers))
