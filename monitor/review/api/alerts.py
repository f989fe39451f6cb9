"""Lists of alerts, single alerts, and the actions on them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path, Query
from pydantic import AwareDatetime, BaseModel, Field

from gradwatch.streams.wire.messages import AlertKind, AlertState, Severity

from .. import presenting
from ..metrics import ACTIONS
from ..service import ReviewService
from ..shapes import AlertCounts, AlertDetail, AlertItem, AlertPage, Text
from ..store import actions, listing
from ..store.audit import Actor
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
    review: Annotated[list[ReviewFilter], Query(description="mine: assigned to the user who asks")] = [],  # noqa: B006
    challenge: Words = [],  # noqa: B006
    raised_from: Annotated[AwareDatetime | None, Query(alias="from", description="raised then or later")] = None,
    raised_to: Annotated[AwareDatetime | None, Query(alias="to", description="raised before")] = None,
    text: Annotated[str, Query(max_length=200, pattern=r"^[^\x00]*$", description="all words must occur")] = "",
) -> Selection:
    """The filter in the query; several values of one parameter are alternatives."""
    chosen = (camera, kind, severity, state, challenge, review)
    return Selection(visitor.actor.username, *chosen, _ns(raised_from), _ns(raised_to), text)


Selected = Annotated[Selection, Depends(selection_of)]


@router.get("")
def alerts(
    service: Service,
    selection: Selected,
    cursor: Annotated[str | None, Query(pattern=listing.CURSOR, description="`next_cursor` of an earlier page")] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
) -> AlertPage:
    """Alerts, newest first."""
    with service.database.reading() as session:
        page, next_cursor = listing.page(session, selection, cursor, limit)
        return AlertPage(alerts=[presenting.alert_item(one) for one in page], next_cursor=next_cursor)


@router.get("/counts")
def counts(service: Service, selection: Selected) -> AlertCounts:
    """The number of alerts that match the filter, and the numbers for each value of one of its parts."""
    with service.database.reading() as session:
        total, by = listing.counts(session, selection)
    return AlertCounts(total=total, by=by)


@router.get("/{alert_id}", responses=documented(404))
def alert(service: Service, selection: Selected, alert_id: AlertIdPath) -> AlertDetail:
    """One alert with everything stored about it; `previous` and `next` are its neighbors under the given filter."""
    with service.database.reading() as session:
        listed = listing.get(session, selection.username, alert_id)
        recording = service.truth.of(listed.alert.stream_id, listed.alert.run_id)
        return presenting.alert_detail(session, listed, selection, {} if recording is None else recording.tags)


class Assignee(BaseModel):
    """The user that an alert is assigned to; null: nobody."""

    assignee: Annotated[Text, Field(max_length=64, examples=["ada"])] | None


class NewComment(BaseModel):
    """A comment; plain text."""

    text: Annotated[Text, Field(min_length=1, max_length=10_000, examples=["a wiper is in the picture"])]


class NewSnooze(BaseModel):
    """The snooze ends at `until`, or once the score exceeds `factor` times the present one; whichever comes first."""

    scope: Literal["alert", "camera"] = Field("alert", description="camera: its alerts of this kind, new ones too")
    until: AwareDatetime | None = Field(None, examples=["2100-01-01T00:00:00Z"])
    factor: float | None = Field(None, ge=1.0, le=1000.0, examples=[1.5])


@router.put("/{alert_id}/acknowledgement", responses=documented(403, 404))
def acknowledge(service: Service, visitor: Reviewer, alert_id: AlertIdPath) -> AlertItem:
    """Acknowledges the alert; an earlier acknowledgement stays."""
    return _act(service, visitor.actor, alert_id, "acknowledge", actions.acknowledge)


@router.delete("/{alert_id}/acknowledgement", responses=documented(403, 404))
def unacknowledge(service: Service, visitor: Reviewer, alert_id: AlertIdPath) -> AlertItem:
    """Withdraws the acknowledgement."""
    return _act(service, visitor.actor, alert_id, "unacknowledge", actions.unacknowledge)


@router.put("/{alert_id}/assignee", responses=documented(403, 404, 409))
def assign(service: Service, visitor: Reviewer, alert_id: AlertIdPath, body: Assignee) -> AlertItem:
    """Assigns the alert to a user, or to nobody."""
    return _act(service, visitor.actor, alert_id, "assign", actions.assign, body.assignee)


@router.post("/{alert_id}/comments", status_code=201, responses=documented(403, 404))
def comment(service: Service, visitor: Reviewer, alert_id: AlertIdPath, body: NewComment) -> AlertItem:
    """Adds a comment."""
    return _act(service, visitor.actor, alert_id, "comment", actions.comment, body.text)


@router.put("/{alert_id}/snooze", responses=documented(403, 404, 409))
def snooze(service: Service, visitor: Reviewer, alert_id: AlertIdPath, body: NewSnooze) -> AlertItem:
    """Mutes notification, never detection; replaces an earlier snooze."""
    until_ns = _ns(body.until)
    return _act(service, visitor.actor, alert_id, "snooze", actions.snooze, body.scope, until_ns, body.factor)


@router.delete("/{alert_id}/snooze", responses=documented(403, 404))
def unsnooze(service: Service, visitor: Reviewer, alert_id: AlertIdPath) -> AlertItem:
    """Ends the snooze that mutes this alert, for all alerts that it mutes."""
    return _act(service, visitor.actor, alert_id, "unsnooze", actions.unsnooze)


@router.put("/{alert_id}/reviewed", responses=documented(403, 404))
def mark_reviewed(service: Service, visitor: Reviewer, alert_id: AlertIdPath) -> AlertItem:
    """Marks the alert as reviewed by the user who asks."""
    return _act(service, visitor.actor, alert_id, "review", actions.mark_reviewed)


@router.delete("/{alert_id}/reviewed", responses=documented(403, 404))
def mark_unreviewed(service: Service, visitor: Reviewer, alert_id: AlertIdPath) -> AlertItem:
    """Removes that mark."""
    return _act(service, visitor.actor, alert_id, "unreview", actions.mark_reviewed, False)


def _act(
    service: ReviewService,
    actor: Actor,
    alert_id: str,
    name: str,
    act: Callable[..., list[str] | None],
    *arguments: Any,
) -> AlertItem:
    """Calls `act` in one transaction, then announces every alert that it has changed."""
    with service.database.writing() as session:
        others = act(session, actor, alert_id, *arguments) or []
        session.flush()
        shown = presenting.alert_item(listing.get(session, actor.username, alert_id))
    ACTIONS.labels(name).inc()
    service.announce_changes(sorted({alert_id, *others}), name, actor.username)
    return shown


def _ns(moment: datetime | None) -> int | None:
    """Wall clock, limited to what a database can store."""
    if moment is None:
        return None
    return min(max(int(moment.timestamp() * 1_000_000) * 1_000, 0), listing.MAX_NS)
