"""Lists of alerts, single ones, and what people do with them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Path, Query
from pydantic import AwareDatetime, BaseModel, Field
from sqlalchemy.orm import Session

from gradwatch.streams.wire.messages import AlertKind, AlertState, Severity

from .. import presenting
from ..metrics import ACTIONS
from ..service import ReviewService
from ..shapes import AlertCounts, AlertDetail, AlertItem, AlertPage, Text
from ..store import actions, listing
from ..store.audit import Actor, NotFoundError
from ..store.listing import ReviewFilter, Selection
from .access import Reviewer, Service, Viewer
from .problems import documented

router = APIRouter(prefix="/alerts", tags=["alerts"])

AlertIdPath = Annotated[str, Path(alias="alert_id", pattern=r"^[A-Za-z0-9-]{1,64}$")]
Words = Annotated[list[Annotated[str, Field(max_length=64, pattern=r"^[^\x00]*$")]], Query(max_length=50)]


def selection_of(
    visitor: Viewer,
    *,
    camera: Words = [],  # noqa: B006 (FastAPI reads it)
    kind: Annotated[list[AlertKind], Query()] = [],  # noqa: B006
    severity: Annotated[list[Severity], Query()] = [],  # noqa: B006
    state: Annotated[list[AlertState], Query()] = [],  # noqa: B006
    review: Annotated[list[ReviewFilter], Query(description="mine: assigned to the one who asks")] = [],  # noqa: B006
    challenge: Words = [],  # noqa: B006
    raised_from: Annotated[AwareDatetime | None, Query(alias="from", description="raised then or later")] = None,
    raised_to: Annotated[AwareDatetime | None, Query(alias="to", description="raised before")] = None,
    text: Annotated[str, Query(max_length=200, pattern=r"^[^\x00]*$", description="all words must occur")] = "",
) -> Selection:
    """The filter that the query's parameters describe; several values of one are alternatives."""
    return Selection(
        me=visitor.actor.username,
        camera=camera,
        kind=kind,
        severity=severity,
        state=state,
        review=review,
        challenge=challenge,
        from_ns=_ns(raised_from),
        to_ns=_ns(raised_to),
        text=text,
    )


Selected = Annotated[Selection, Depends(selection_of)]


@router.get("")
def alerts(
    service: Service,
    selection: Selected,
    cursor: Annotated[str | None, Query(pattern=listing.CURSOR, description="`next_cursor` of an earlier page")] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
) -> AlertPage:
    """Alerts, the newest first."""
    with service.database.reading() as session:
        page = listing.page(session, selection, cursor, limit)
        return AlertPage(alerts=[presenting.item(one) for one in page.alerts], next_cursor=page.next_cursor)


@router.get("/counts")
def counts(service: Service, selection: Selected) -> AlertCounts:
    """How many alerts the filter has, and would have with each value of one of its parts."""
    with service.database.reading() as session:
        return AlertCounts.model_validate(listing.counts(session, selection))


@router.get("/{alert_id}", responses=documented(404))
def alert(service: Service, selection: Selected, alert_id: AlertIdPath) -> AlertDetail:
    """One alert with everything that is known of it; `previous` and `next` are its neighbors under the filter given."""
    with service.database.reading() as session:
        listed = _listed(session, selection.me, alert_id)
        recording = service.truth.of(listed.alert.stream_id, listed.alert.run_id)
        return presenting.detail(session, listed, selection, {} if recording is None else recording.tags)


class Assignee(BaseModel):
    """To whom an alert is given; null: to nobody."""

    assignee: Annotated[Text, Field(max_length=64, examples=["ada"])] | None


class NewComment(BaseModel):
    """A remark; plain text."""

    text: Annotated[Text, Field(min_length=1, max_length=10_000, examples=["a wiper is in the picture"])]


class NewSnooze(BaseModel):
    """How long to be silent: until a time, until the score exceeds `factor` times what it is, or whichever is first."""

    scope: Literal["alert", "camera"] = Field("alert", description="camera: its alerts of this kind, new ones too")
    until: AwareDatetime | None = Field(None, examples=["2100-01-01T00:00:00Z"])
    factor: float | None = Field(None, ge=1.0, le=1000.0, examples=[1.5])


@router.put("/{alert_id}/acknowledgement", responses=documented(403, 404))
def acknowledge(service: Service, visitor: Reviewer, alert_id: AlertIdPath) -> AlertItem:
    """Says that somebody has taken notice; who did so first stays."""
    return _act(service, visitor.actor, alert_id, "acknowledge", actions.acknowledge)


@router.delete("/{alert_id}/acknowledgement", responses=documented(403, 404))
def unacknowledge(service: Service, visitor: Reviewer, alert_id: AlertIdPath) -> AlertItem:
    """Takes the acknowledgement back."""
    return _act(service, visitor.actor, alert_id, "unacknowledge", actions.unacknowledge)


@router.put("/{alert_id}/assignee", responses=documented(403, 404, 409))
def assign(service: Service, visitor: Reviewer, alert_id: AlertIdPath, body: Assignee) -> AlertItem:
    """Gives the alert to a user, or to nobody."""

    def act(session: Session, actor: Actor, alert_id: str) -> None:
        actions.assign(session, actor, alert_id, body.assignee)

    return _act(service, visitor.actor, alert_id, "assign", act)


@router.post("/{alert_id}/comments", status_code=201, responses=documented(403, 404))
def comment(service: Service, visitor: Reviewer, alert_id: AlertIdPath, body: NewComment) -> AlertItem:
    """Adds a remark."""

    def act(session: Session, actor: Actor, alert_id: str) -> None:
        actions.comment(session, actor, alert_id, body.text)

    return _act(service, visitor.actor, alert_id, "comment", act)


@router.put("/{alert_id}/snooze", responses=documented(403, 404, 409))
def snooze(service: Service, visitor: Reviewer, alert_id: AlertIdPath, body: NewSnooze) -> AlertItem:
    """Mutes notification, never detection; replaces an earlier silence."""

    def act(session: Session, actor: Actor, alert_id: str) -> list[str]:
        return actions.snooze(session, actor, alert_id, body.scope, _ns(body.until), body.factor)

    return _act(service, visitor.actor, alert_id, "snooze", act)


@router.delete("/{alert_id}/snooze", responses=documented(403, 404))
def unsnooze(service: Service, visitor: Reviewer, alert_id: AlertIdPath) -> AlertItem:
    """Ends the silence that mutes this alert, for all alerts that it mutes."""
    return _act(service, visitor.actor, alert_id, "unsnooze", actions.unsnooze)


@router.put("/{alert_id}/reviewed", responses=documented(403, 404))
def mark_reviewed(service: Service, visitor: Reviewer, alert_id: AlertIdPath) -> AlertItem:
    """Says that the one who asks has looked at the alert."""
    return _act(service, visitor.actor, alert_id, "review", actions.mark_reviewed)


@router.delete("/{alert_id}/reviewed", responses=documented(403, 404))
def mark_unreviewed(service: Service, visitor: Reviewer, alert_id: AlertIdPath) -> AlertItem:
    """Says that the one who asks has not."""

    def act(session: Session, actor: Actor, alert_id: str) -> None:
        actions.mark_reviewed(session, actor, alert_id, reviewed=False)

    return _act(service, visitor.actor, alert_id, "unreview", act)


Act = Callable[[Session, Actor, str], list[str] | None]


def _act(service: ReviewService, actor: Actor, alert_id: str, action: str, act: Act) -> AlertItem:
    """Acts in one transaction, then tells the page of every alert that has changed by it."""
    with service.database.writing() as session:
        others = act(session, actor, alert_id) or []
        session.flush()
        shown = presenting.item(_listed(session, actor.username, alert_id))
    ACTIONS.labels(action).inc()
    service.tell_changed(sorted({alert_id, *others}), action, actor.username)
    return shown


def _listed(session: Session, me: str, alert_id: str) -> listing.Listed:
    listed = listing.one(session, me, alert_id)
    if listed is None:
        raise NotFoundError(f"expected the id of an alert, got {alert_id!r}")
    return listed


def _ns(moment: datetime | None) -> int | None:
    """Wall clock; what lies beyond 64 bits is cut to them."""
    if moment is None:
        return None
    return min(max(int(moment.timestamp() * 1_000_000) * 1_000, 0), listing.MAX_NS)
