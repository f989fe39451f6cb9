"""The frames around an alert: what was seen, frame by frame, and the evidence file."""

from __future__ import annotations

import math
import re
from typing import Annotated, Any

import msgspec
import structlog
from fastapi import APIRouter, Path, Request, Response
from fastapi.responses import FileResponse
from pydantic import Field

from gradwatch.streams.transport.history import TopicMissingError
from gradwatch.streams.wire.messages import EncodedFrame, FrameReport, Outcome, OutcomeCause, StreamState
from gradwatch.streams.wire.outputs import decode_alert

from ...evidence.window import MissingCause
from ...overlay import annotations as overlays
from .. import presenting
from ..feed.clips import Clip
from ..feed.score_ring import ScoreRing
from ..feed.truth import Recording
from ..service import ReviewService
from ..shapes import Ns, Shape, Xyxy
from ..store.audit import NotFoundError
from ..store.schema import AttachmentRow, RevisionRow
from .access import Service, Viewer
from .alerts import AlertIdPath
from .cameras import ScoreSeries, series_shape
from .pictures import JPEG_CONTENT, is_known, picture
from .problems import ProblemError, documented

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
    """Where a track will be: a disc for each horizon that holds it with the coverage asked."""

    horizon_s: list[float]
    xy: list[tuple[float, float]]
    radius_px: list[float]
    coverage_asked: float
    coverage_achieved: float | None


class Track(Shape):
    """A followed object; `seen` is false where it was not detected in this frame."""

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
    """An object that is there, of a replayed recording whose truth is known."""

    xyxy: Xyxy
    label: str
    kind: str


class ClipFrame(Shape):
    """One seq of the window. What was found out is null where no report is there; `missing` says why no picture is."""

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
    change: dict[str, float | None]
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
    """All frames of the window, those that are missing too."""
    alert, found = _clip(service, alert_id)
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
    """Every score of the window, gradient scores beside their plain baselines."""
    alert, found = _clip(service, alert_id)
    ring = ScoreRing()
    for seq in sorted(found.reports):
        if found.reports[seq].outcome is Outcome.JUDGED:
            ring.append(found.reports[seq], thinned=False)
    return series_shape(alert.run_id, ring.series())


@router.get(
    "/clip/frames/{seq}",
    response_class=Response,
    responses=documented(404, 503) | {200: JPEG_CONTENT, 304: {"description": "as it was"}},
)
def clip_frame(service: Service, visitor: Viewer, request: Request, alert_id: AlertIdPath, seq: SeqPath) -> Response:
    """One picture, its bytes as they came from the camera."""
    _, found = _clip(service, alert_id)
    frame = found.frames.get(seq)
    if frame is None:
        raise NotFoundError(f"expected the seq of a frame that is there, got {seq}")
    return picture(request, frame.content, frame.encoding, frame.stamp, "frame")


@router.get(
    "/evidence",
    response_class=FileResponse,
    responses=documented(404)
    | {200: {"description": "MCAP; `X-Sha256` is what was published", "content": {"application/octet-stream": {}}}},
)
def evidence(service: Service, visitor: Viewer, alert_id: AlertIdPath, request: Request) -> Response:
    """The evidence file, to be opened in Foxglove."""
    body = _evidence(service, alert_id)
    if body is None:
        raise NotFoundError(f"expected an alert with evidence, got {alert_id}")
    path, sha256 = service.clips.evidence_file(str(body.get("path", ""))), str(body.get("sha256", ""))
    headers = {"Cache-Control": "private, no-cache"}
    if SHA256.fullmatch(sha256):  # anything else is no hash, and may not be what a header can hold
        headers |= {"ETag": f'"{sha256}"', "X-Sha256": sha256}
        if is_known(request, headers["ETag"]):
            return Response(status_code=304, headers=headers)
    return FileResponse(path, headers=headers, media_type="application/octet-stream", filename=f"{alert_id}.mcap")


def _clip(service: ReviewService, alert_id: str) -> tuple[Any, Clip]:
    with service.database.reading() as session:
        row = presenting.alert_row(session, alert_id)
        published_ns = session.get_one(RevisionRow, (alert_id, row.revision)).published_ns
        alert = decode_alert(msgspec.json.encode(row.body))
    body = _evidence(service, alert_id)
    try:
        return alert, service.clips.clip(alert, published_ns, None if body is None else str(body.get("path", "")))
    except TopicMissingError as error:
        raise ProblemError(503, str(error), "broker-unavailable") from error


def _evidence(service: ReviewService, alert_id: str) -> dict[str, Any] | None:
    """What was published of the alert's evidence. Raises NotFoundError for an unknown alert."""
    with service.database.reading() as session:
        presenting.alert_row(session, alert_id)
        row = session.get(AttachmentRow, (alert_id, EVIDENCE))
        return None if row is None else row.body


def _frame(alert_id: str, seq: int, found: Clip, recording: Recording | None) -> ClipFrame:
    frame, report = found.frames.get(seq), found.reports.get(seq)
    return ClipFrame(
        seq=seq,
        **_times(frame, report),
        size_bytes=None if frame is None else len(frame.content),
        width_px=report.width if report is not None and report.width else None,
        height_px=report.height if report is not None and report.height else None,
        missing=found.missing.get(seq),
        outcome=None if report is None else report.outcome,
        cause=None if report is None else report.cause,
        state=None if report is None else report.state,
        **_found_out(report),
        change={} if report is None else {name: _finite(ratio) for name, ratio in report.change.items()},
        truth=[] if recording is None else [TrueBox.model_validate(one) for one in recording.objects.get(seq, [])],
        url=None if frame is None else f"/api/v1/alerts/{alert_id}/clip/frames/{seq}",
    )


def _times(frame: EncodedFrame | None, report: FrameReport | None) -> dict[str, Any]:
    known = frame.stamp if frame is not None else report
    if known is None:
        return {"capture_ns": None, "published_ns": None}
    return {"capture_ns": known.capture_ns, "published_ns": known.published_ns}


def _found_out(report: FrameReport | None) -> dict[str, Any]:
    """What can be drawn; nothing of a report whose arrays don't fit each other, so that it costs no other frame."""
    if report is not None:
        try:
            return {"boxes": _boxes(report), "tracks": _tracks(report), "overlay": overlays.annotations(report)}
        except (ValueError, TypeError, IndexError) as error:  # whoever wrote it was no worker of ours
            log.warning("report can't be shown", frame=str(report.identity), error=str(error))
    return {"boxes": [], "tracks": [], "overlay": None}


def _boxes(report: FrameReport) -> list[Box]:
    seen = report.detections
    if seen is None:
        return []
    rows = zip(seen.xyxy.tolist(), seen.score.tolist(), seen.kind, seen.label, strict=True)
    return [
        Box(xyxy=xyxy, score=score, kind=kind, label=label)
        for xyxy, score, kind, label in rows
        if _are_finite(*xyxy, score)
    ]


def _tracks(report: FrameReport) -> list[Track]:
    tracks, seen = report.tracks, report.detections
    if tracks is None:
        return []
    found = []
    for row, track_id in enumerate(tracks.track_id):
        index = int(tracks.detection_index[row])
        is_seen = seen is not None and 0 <= index < len(seen.label)
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
                label=seen.label[index] if seen is not None and is_seen else "",
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
        coverage_achieved=_finite(forecasts.coverage_achieved),
    )


def _finite(number: float) -> float | None:
    return float(number) if math.isfinite(number) else None


def _are_finite(*numbers: float) -> bool:
    return all(map(math.isfinite, numbers))
