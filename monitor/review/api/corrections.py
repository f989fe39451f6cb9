"""Corrections: what a reviewer changes about a stream. Paths and fields of the API call them verdicts."""

from __future__ import annotations

from time import time_ns
from typing import Annotated, Literal

from fastapi import APIRouter, Path
from pydantic import BaseModel, Field
from sqlalchemy import select

from gradwatch.streams.wire.messages import IGNORE, ClassOverride, Correction, RegionMute

from ..service import ReviewService
from ..shapes import Ns, Shape, StreamId
from ..store import corrections as store
from ..store.errors import NotFoundError
from ..store.schema import AlertRow, CorrectionRow
from .access import Admin, Reviewer, Service, Viewer
from .alerts import Words
from .problems import documented

router = APIRouter(prefix="/verdicts", tags=["verdicts"])

Name = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
INT64 = "^([0-9]{1,18}|[1-8][0-9]{18})$"  # ns of today have 19 digits
Coordinate = Annotated[float, Field(ge=-100_000, le=100_000)]


class NewOverride(BaseModel):
    """Gives a track another class than the classifier's, or ignores it."""

    kind: Literal["override_class"]
    stream_id: StreamId
    run_id: Annotated[Name, Field(examples=["01JD0000000000000000000000"])]
    track_id: int = Field(ge=0, le=2**62, examples=[7])
    label: Annotated[Name, Field(description=f"a class, or `{IGNORE}`", examples=["yield", IGNORE])]


class NewMute(BaseModel):
    """Mutes mismatches of objects in a part of the picture; shifts of the whole picture still raise alerts."""

    kind: Literal["mute_region"]
    stream_id: StreamId
    polygon: list[tuple[Coordinate, Coordinate]] = Field(
        min_length=3, max_length=64, description="px of the camera's picture", examples=[[[0, 0], [200, 0], [200, 120]]]
    )
    object_kinds: list[Name] = Field([], max_length=16, description="empty: all", examples=[["sign"]])
    until_ns: Annotated[str, Field(pattern=INT64)] | None = Field(
        None, description="capture time at which it ends; null: when it is deleted"
    )


NewCorrection = Annotated[NewOverride | NewMute, Field(discriminator="kind")]


class CorrectionShape(Shape):
    """A correction in force. `published` tells whether the broker has acknowledged it; until then it is sent again."""

    verdict_id: str
    kind: str
    stream_id: str
    author: str
    created_ns: Ns
    published: bool
    run_id: str | None = None
    track_id: int | None = None
    label: str | None = None
    polygon: list[tuple[float, float]] | None = None
    object_kinds: list[str] | None = None
    until_ns: str | None = None


class CorrectionList(Shape):
    """Corrections, newest first."""

    verdicts: list[CorrectionShape]


# `name` sets the operation ids, which clients know


@router.get("", name="verdicts")
def corrections(
    service: Service,
    visitor: Viewer,
    camera: Words = [],  # noqa: B006 (FastAPI reads it)
) -> CorrectionList:
    """Corrections in force, of some cameras or of all."""
    with service.database.reading() as session:
        return CorrectionList(verdicts=[_shape(row) for row in store.in_force(session, camera)])


@router.post("", name="give", status_code=201, responses=documented(403, 404))
def add(service: Service, visitor: Reviewer, body: NewCorrection) -> CorrectionShape:
    """Stores a correction; it is published on the verdicts topic as soon as the broker accepts it."""
    _check_camera(service, body.stream_id)
    correction = _correction(body, visitor.actor.username)
    with service.database.writing() as session:
        row = store.add(session, visitor.actor, correction)
    service.announce_correction(row, "give", visitor.actor.username)
    return _shape(row)


@router.delete("/{verdict_id}", name="take_back", status_code=204, responses=documented(403, 404))
def withdraw(service: Service, visitor: Admin, verdict_id: Annotated[str, Path(pattern="^[A-Za-z0-9]{1,64}$")]) -> None:
    """Withdraws a correction; its tombstone is published."""
    with service.database.writing() as session:
        row = store.withdraw(session, visitor.actor, verdict_id)
    service.announce_correction(row, "delete", visitor.actor.username)


def _check_camera(service: ReviewService, stream_id: str) -> None:
    """Raises NotFoundError for an unknown camera: a correction lies in the partition of its camera's frames."""
    if service.live.camera(stream_id) is None:
        with service.database.reading() as session:
            seen = session.scalars(select(AlertRow.alert_id).where(AlertRow.stream_id == stream_id).limit(1)).first()
        if seen is None:
            raise NotFoundError(f"expected the id of a known camera, got {stream_id}")


def _correction(body: NewOverride | NewMute, author: str) -> Correction:
    given = (store.new_id(), body.stream_id, author, time_ns())
    if isinstance(body, NewOverride):
        return ClassOverride(*given, body.run_id, body.track_id, body.label)
    until_ns = None if body.until_ns is None else int(body.until_ns)
    return RegionMute(*given, body.polygon, list(body.object_kinds), until_ns)


def _shape(row: CorrectionRow) -> CorrectionShape:
    return CorrectionShape(**row.body | {"created_ns": row.created_ns, "published": row.published})
