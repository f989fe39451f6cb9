"""The actions on an alert: acknowledge, assign, comment, snooze, mark as reviewed. Each adds a row to the audit trail.

Repeating an action changes nothing and adds no row. All raise `NotFoundError` for an unknown alert.
"""

from __future__ import annotations

from time import time_ns

from sqlalchemy import select
from sqlalchemy.orm import Session

from gradwatch.streams.wire.messages import AlertState

from . import snoozes
from .audit import Actor, record_action
from .errors import ConflictError, InvalidRequestError, NotFoundError
from .schema import AlertRow, CommentRow, Json, ReviewedRow, ReviewRow, SnoozeRow, UserRow

LOCAL_USER = "local"


def acknowledge(session: Session, actor: Actor, alert_id: str) -> None:
    """Acknowledges the alert, unless another user already has."""
    review = _lock_review(session, alert_id)
    if review.acknowledged_by is None:
        review.acknowledged_ns, review.handled = time_ns(), True
        _set(session, actor, "acknowledge", review, "acknowledged_by", actor.username)


def unacknowledge(session: Session, actor: Actor, alert_id: str) -> None:
    """Withdraws the acknowledgement of any user."""
    review = _lock_review(session, alert_id)
    if review.acknowledged_by is not None:
        review.acknowledged_ns, review.handled = None, _is_reviewed(session, alert_id)
        _set(session, actor, "unacknowledge", review, "acknowledged_by", None)


def assign(session: Session, actor: Actor, alert_id: str, assignee: str | None) -> None:
    """Assigns the alert to a user, or to nobody (None). Raises ConflictError for an unknown user."""
    review = _lock_review(session, alert_id)
    is_self = assignee in {actor.username, LOCAL_USER}
    if assignee is not None and not is_self and session.get(UserRow, assignee) is None:
        raise ConflictError(f"assignee: expected the name of a user, got {assignee!r}")
    if review.assignee != assignee:
        _set(session, actor, "assign", review, "assignee", assignee)


def comment(session: Session, actor: Actor, alert_id: str, text: str) -> None:
    """Adds a comment."""
    _lock_review(session, alert_id)
    row = CommentRow(alert_id=alert_id, author=actor.username, at_ns=time_ns(), text=text)
    session.add(row)
    session.flush()
    _record(session, actor, "comment", alert_id, None, {"comment_id": row.comment_id, "text": text})


def mark_reviewed(session: Session, actor: Actor, alert_id: str, reviewed: bool = True) -> None:
    """Marks the alert as reviewed by the actor, or removes that mark."""
    review = _lock_review(session, alert_id)
    row = session.get(ReviewedRow, (alert_id, actor.username))
    if (row is not None) is reviewed:
        return
    if row is None:
        session.add(ReviewedRow(alert_id=alert_id, username=actor.username, at_ns=time_ns()))
    else:
        session.delete(row)
    session.flush()
    review.handled = review.acknowledged_by is not None or _is_reviewed(session, alert_id)
    action = "review" if reviewed else "unreview"
    _record(session, actor, action, alert_id, {"reviewed": not reviewed}, {"reviewed": reviewed})


def snooze(
    session: Session, actor: Actor, alert_id: str, scope: str, until_ns: int | None, factor: float | None
) -> list[str]:
    """Mutes an alert, or its camera's alerts of its kind, until a time or a score; returns the ids of muted alerts.

    Raises InvalidRequestError for an end that is missing or past, ConflictError for one alert that is closed.
    """
    review, alert = _lock_review(session, alert_id), session.get_one(AlertRow, alert_id)
    now = time_ns()
    if until_ns is None and factor is None:
        raise InvalidRequestError("snooze: expected a time (until) or a factor of the score, got neither")
    if until_ns is not None and until_ns <= now:
        raise InvalidRequestError("until: expected a time in the future, got one that is past")
    if scope == snoozes.ALERT and alert.state == AlertState.CLOSED:
        raise ConflictError("scope: a closed alert notifies nobody; expected an open one, or scope camera")
    before: Json = {"snooze": review.snooze_id}
    if review.snooze_id is not None:
        snoozes.end(session, session.get_one(SnoozeRow, review.snooze_id), "replaced", now)
    row = SnoozeRow(
        alert_id=alert_id,
        scope=scope,
        stream_id=alert.stream_id,
        kind=alert.kind,
        score=alert.score,
        until_ns=until_ns,
        factor=factor,
        set_by=actor.username,
        set_ns=now,
        muted_alerts=0,
        muted_revisions=0,
    )
    muted = snoozes.begin(session, row)
    until = None if until_ns is None else str(until_ns)
    after = {"snooze": row.snooze_id, "scope": scope, "until_ns": until, "factor": factor}
    _record(session, actor, "snooze", alert_id, before, after)
    return muted


def unsnooze(session: Session, actor: Actor, alert_id: str) -> list[str]:
    """Ends the snooze that mutes the alert, if any; returns the ids of all alerts that it muted."""
    review = _lock_review(session, alert_id)
    if review.snooze_id is None:
        return []
    row = session.get_one(SnoozeRow, review.snooze_id)
    before = {"snooze": row.snooze_id, "muted_alerts": row.muted_alerts, "muted_revisions": row.muted_revisions}
    muted = snoozes.end(session, row, "unsnoozed", time_ns())
    _record(session, actor, "unsnooze", alert_id, before, {"snooze": None})
    return muted


def _lock_review(session: Session, alert_id: str) -> ReviewRow:
    """The alert's review, locked until the end of the transaction on databases with row locks."""
    row = session.scalars(select(ReviewRow).where(ReviewRow.alert_id == alert_id).with_for_update()).first()
    if row is None:
        raise NotFoundError(f"expected the id of an alert, got {alert_id[:64]!r}")
    return row


def _is_reviewed(session: Session, alert_id: str) -> bool:
    return session.scalars(select(ReviewedRow.username).where(ReviewedRow.alert_id == alert_id)).first() is not None


def _set(session: Session, actor: Actor, action: str, review: ReviewRow, field: str, value: str | None) -> None:
    before = {field: getattr(review, field)}
    setattr(review, field, value)
    _record(session, actor, action, review.alert_id, before, {field: value})


def _record(session: Session, actor: Actor, action: str, alert_id: str, before: Json | None, after: Json) -> None:
    record_action(session, actor, action, "alert", alert_id, before, after)
