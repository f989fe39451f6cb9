"""The present state of the cameras: newest report, picture and overlay, and the scores of the last ten minutes."""

from __future__ import annotations

import time
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Path, Query, Request, Response
from numpy.typing import NDArray
from pydantic import AliasPath, Field

from gradwatch.streams.wire.messages import Outcome, OutcomeCause, StreamState
from gradwatch.streams.wire.pixels import BadRecordError

from ..feed.live_state import CameraState
from ..feed.score_ring import Series, family_of
from ..service import ReviewService
from ..shapes import DisturbanceShape, Finite, Ns, Shape
from ..store import cameras as store
from ..store.errors import ConflictError, NotFoundError
from .access import Reviewer, Service, Viewer
from .pictures import JSON_CONTENT, PICTURE, picture_response
from .problems import ProblemError, documented

router = APIRouter(prefix="/cameras", tags=["cameras"])

StreamPath = Annotated[str, Path(alias="stream_id", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]
STALE_AFTER_S = 10.0
JSON = "application/json"


class LastReport(Shape):
    """The newest report of a camera."""

    run_id: str = Field(validation_alias=AliasPath("identity", "run_id"))
    seq: int = Field(validation_alias=AliasPath("identity", "seq"))
    capture_ns: Ns
    published_ns: Ns
    state: StreamState
    outcome: Outcome
    cause: OutcomeCause | None
    width_px: int = Field(validation_alias="width")
    height_px: int = Field(validation_alias="height")
    change: dict[str, Finite] = Field(description="change statistic / threshold by score")
    latency_ms: dict[str, Finite]
    models_id: str
    calibration_id: str
    configuration_id: str


class Camera(Shape):
    """The state of a camera. Ages are null for what has not arrived."""

    stream_id: str = Field(examples=["north-gate"])
    state: StreamState | None = Field(description="null while no report has arrived")
    stale: bool = Field(description=f"no report for {STALE_AFTER_S:.0f} s: the other fields are as old")
    report_age_s: float | None
    frame_age_s: float | None
    open_alerts: int
    report: LastReport | None
    disturbances: list[DisturbanceShape] = Field(description="those that last, newest first")
    events: list[DisturbanceShape] = Field(description="the newest health records of source and worker, newest first")
    thumbnail_url: str | None
    tags: dict[str, Any] = Field(description="of a replayed recording; empty without ground truth")


class CameraList(Shape):
    """Cameras by id."""

    cameras: list[Camera]


class ScoreColumn(Shape):
    """One score: a value for each frame, null where it did not apply."""

    name: str = Field(examples=["gradcon_direction"])
    family: str = Field(description="gradient, baseline or unknown")
    value: list[float | None]
    p_value: list[float | None]
    ratio: list[float | None] = Field(description="change statistic / threshold: 1 raises an alert")


class ScoreSeries(Shape):
    """Scores by frame, oldest first; all lists have the same length."""

    run_id: str
    seq: list[int]
    capture_ns: list[Ns]
    published_ns: list[Ns]
    state: list[StreamState]
    scores: list[ScoreColumn]


@router.get("")
def cameras(service: Service, visitor: Viewer) -> CameraList:
    """The state of all cameras; of those that have been silent since the start, only open alerts are known."""
    with service.database.reading() as session:
        opened = store.open_alerts(session)
    known = {stream_id: CameraState(stream_id) for stream_id in opened}
    known |= {camera.stream_id: camera for camera in service.live.cameras()}
    return CameraList(
        cameras=[_camera(service, camera, opened.get(stream_id, 0)) for stream_id, camera in sorted(known.items())]
    )


@router.get("/{stream_id}", responses=documented(404))
def camera(service: Service, visitor: Viewer, stream_id: StreamPath) -> Camera:
    """The state of one camera."""
    with service.database.reading() as session:
        opened = store.open_alerts(session)
    known = CameraState(stream_id) if stream_id in opened else _known(service, stream_id)
    return _camera(service, service.live.camera(stream_id) or known, opened.get(stream_id, 0))


@router.delete("/{stream_id}", status_code=204, responses=documented(403, 404, 409))
def forget(service: Service, visitor: Reviewer, stream_id: StreamPath) -> None:
    """Removes a silent camera from the page for all users; it comes back with its next record. Alerts stay."""
    camera = service.live.camera(stream_id)
    if camera is not None and service.live.silent_s(camera) <= STALE_AFTER_S:
        raise ConflictError(f"expected a camera that is silent for {STALE_AFTER_S:.0f} s, got one that sends records")
    with service.database.writing() as session:
        newest_ns = max(0 if camera is None else camera.newest_ns, store.last_change_ns(session, stream_id))
        if camera is None and newest_ns == 0:
            raise NotFoundError(f"expected the id of a camera in the live view, got {stream_id}")
        store.forget(session, visitor.actor, stream_id, min(newest_ns, time.time_ns()))
    service.forget_cameras()


@router.get("/{stream_id}/thumbnail.jpg", response_class=Response, responses=documented(404, 503) | PICTURE)
def thumbnail(service: Service, visitor: Viewer, request: Request, stream_id: StreamPath) -> Response:
    """The newest picture, at most 320 px wide."""
    try:
        made = service.live.thumbnail(stream_id, service.thumbnails.turn(visitor.actor.username))
    except BadRecordError as error:
        raise ProblemError(404, f"could not decode the newest picture: {error}") from error
    if made is None:
        raise NotFoundError(f"expected a camera with a picture, got {stream_id}")
    stamp, content = made
    return picture_response(request, content, "image/jpeg", stamp, "thumbnail")


@router.get("/{stream_id}/frame", response_class=Response, responses=documented(404) | PICTURE)
def frame(service: Service, visitor: Viewer, request: Request, stream_id: StreamPath) -> Response:
    """The newest picture as the camera encoded it, without EXIF."""
    newest = _known(service, stream_id).frame
    if newest is None:
        raise NotFoundError(f"expected a camera with a picture, got {stream_id}")
    return picture_response(request, newest.content, newest.encoding, newest.stamp, "frame")


@router.get("/{stream_id}/overlay", response_class=Response, responses=documented(404) | {200: JSON_CONTENT})
def overlay(service: Service, visitor: Viewer, stream_id: StreamPath) -> Response:
    """The newest overlay: `foxglove.ImageAnnotations`, in px of the camera's picture."""
    known = _known(service, stream_id)
    if known.overlay is None:
        raise NotFoundError(f"expected a camera with an overlay, got {stream_id}")
    return Response(known.overlay, headers={"X-Published-Ns": str(known.overlay_published_ns)}, media_type=JSON)


@router.get("/{stream_id}/scores", responses=documented(404))
def scores(
    service: Service,
    visitor: Viewer,
    stream_id: StreamPath,
    since_ns: Annotated[int, Query(ge=0, le=2**63 - 1, description="published later than this")] = 0,
    max_points: Annotated[int, Query(ge=2, le=6000, description="those with the largest ratios")] = 600,
) -> ScoreSeries:
    """All scores of the last ten minutes; those that can raise an alert have a ratio to the threshold."""
    known = _known(service, stream_id)
    series = service.live.series(stream_id, since_ns, max_points)
    if series is None:
        raise NotFoundError(f"expected the id of a camera, got {stream_id}")
    return series_shape(known.scores.run_id, series)


def series_shape(run_id: str, series: Series) -> ScoreSeries:
    """The scores of a run as the API shows them."""
    columns = [
        ScoreColumn.model_construct(
            name=name,
            family=family_of(name),
            value=_numbers(series.values[:, column, 0]),
            p_value=_numbers(series.values[:, column, 1]),
            ratio=_numbers(series.values[:, column, 2]),
        )
        for column, name in enumerate(series.names)
    ]
    return ScoreSeries.model_construct(
        run_id=run_id,
        seq=series.seq.tolist(),
        capture_ns=series.capture_ns.tolist(),
        published_ns=series.published_ns.tolist(),
        state=series.state,
        scores=columns,
    )


def _known(service: ReviewService, stream_id: str) -> CameraState:
    camera = service.live.camera(stream_id)
    if camera is None:
        raise NotFoundError(f"expected the id of a camera in the live view, got {stream_id}")
    return camera


def _camera(service: ReviewService, camera: CameraState, open_alerts: int) -> Camera:
    report, frame = camera.report, camera.frame
    report_age_s = None if report is None else _age_s(report.published_ns)
    recording = None if report is None else service.truth.of(camera.stream_id, report.identity.run_id)
    return Camera(
        stream_id=camera.stream_id,
        state=None if report is None else report.state,
        stale=report_age_s is None or report_age_s > STALE_AFTER_S,
        report_age_s=report_age_s,
        frame_age_s=None if frame is None else _age_s(frame.stamp.published_ns),
        open_alerts=open_alerts,
        report=None if report is None else LastReport.model_validate(report),
        disturbances=[DisturbanceShape.model_validate(one) for one in camera.health.lasting],
        events=[DisturbanceShape.model_validate(one) for one in camera.health.events],
        thumbnail_url=None if frame is None else f"/api/v1/cameras/{camera.stream_id}/thumbnail.jpg",
        tags={} if recording is None else recording.tags,
    )


def _age_s(published_ns: int) -> float:
    return round(max(0.0, (time.time_ns() - published_ns) / 1e9), 3)


def _numbers(values: NDArray[np.float32]) -> list[float | None]:
    return [float(f"{value:.6g}") if np.isfinite(value) else None for value in values]
