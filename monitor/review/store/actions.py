"""What people do with an alert: acknowledge, assign, comment, snooze, mark as reviewed. Each leaves an audit row.

Doing what is done already changes nothing and leaves no row. All raise `NotFoundError` for an unknown alert.
"""

from __future__ import annotations

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from gradwatch.streams.wire.messages import AlertState

from . import snoozing
from .audit import Actor, ConflictError, InvalidRequestError, NotFoundError, note, now_ns
from .schema import AlertRow, CommentRow, ReviewedRow, ReviewRow, SnoozeRow, UserRow

LOCAL_USER = "local"


def acknowledge(session: Session, actor: Actor, alert_id: str) -> None:
    """Says that somebody has taken notice; who did so first stays."""
    review = _review(session, alert_id)
    if review.acknowledged_by is not None:
        return
    review.acknowledged_by, review.acknowledged_ns, review.handled = actor.username, now_ns(), True
    note(
        session,
        actor,
        "acknowledge",
        "alert",
        alert_id,
        {"acknowledged_by": None},
        {"acknowledged_by": actor.username},
    )


def unacknowledge(session: Session, actor: Actor, alert_id: str) -> None:
    """Takes the acknowledgement back, whoever gave it."""
    review = _review(session, alert_id)
    if review.acknowledged_by is None:
        return
    before = {"acknowledged_by": review.acknowledged_by}
    review.acknowledged_by = review.acknowledged_ns = None
    review.handled = _is_reviewed(session, alert_id)
    note(session, actor, "unacknowledge", "alert", alert_id, before, {"acknowledged_by": None})


def assign(session: Session, actor: Actor, alert_id: str, assignee: str | None) -> None:
    """Gives the alert to a user, None: to nobody. Raises ConflictError for a name that is no user's."""
    review = _review(session, alert_id)
    nobody, myself = assignee is None, assignee in {actor.username, LOCAL_USER}
    if not (nobody or myself) and session.get(UserRow, assignee) is None:
        raise ConflictError(f"assignee: expected the name of a user, got {assignee!r}")
    if review.assignee == assignee:
        return
    before, review.assignee = {"assignee": review.assignee}, assignee
    note(session, actor, "assign", "alert", alert_id, before, {"assignee": assignee})


def comment(session: Session, actor: Actor, alert_id: str, text: str) -> int:
    """Adds a remark; returns its id."""
    _review(session, alert_id)
    row = CommentRow(alert_id=alert_id, author=actor.username, at_ns=now_ns(), text=text)
    session.add(row)
    session.flush()
    note(session, actor, "comment", "alert", alert_id, None, {"comment_id": row.comment_id, "text": text})
    return row.comment_id


def mark_reviewed(session: Session, actor: Actor, alert_id: str, reviewed: bool = True) -> None:
    """Says that this person has looked at the alert, or has not."""
    review = _review(session, alert_id)
    row = session.get(ReviewedRow, (alert_id, actor.username))
    if (row is not None) is reviewed:
        return
    if row is None:
        session.add(ReviewedRow(alert_id=alert_id, username=actor.username, at_ns=now_ns()))
    else:
        session.execute(
            delete(ReviewedRow).where(ReviewedRow.alert_id == alert_id, ReviewedRow.username == actor.username)
        )
    session.flush()
    review.handled = review.acknowledged_by is not None or _is_reviewed(session, alert_id)
    action = "review" if reviewed else "unreview"
    note(session, actor, action, "alert", alert_id, {"reviewed": not reviewed}, {"reviewed": reviewed})


def snooze(
    session: Session, actor: Actor, alert_id: str, scope: str, until_ns: int | None, factor: float | None
) -> list[str]:
    """Mutes an alert, or its camera's alerts of its kind, until a time or a score; returns the ids that it mutes.

    Raises InvalidRequestError where it would never end or has ended already, ConflictError for one alert that is closed.
    """
    review, alert = _review(session, alert_id), session.get_one(AlertRow, alert_id)
    now = now_ns()
    if until_ns is None and factor is None:
        raise InvalidRequestError("snooze: expected a time (until) or a factor of the score, got neither")
    if until_ns is not None and until_ns <= now:
        raise InvalidRequestError("until: expected a time to come, got one that is over")
    if scope == snoozing.ALERT and alert.state == AlertState.CLOSED:
        raise ConflictError("scope: a closed alert notifies nobody; expected an open one, or scope camera")
    before = {"snooze": None if review.snooze_id is None else review.snooze_id}
    if review.snooze_id is not None:
        snoozing.end(session, session.get_one(SnoozeRow, review.snooze_id), "replaced", now)
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
    muted = snoozing.begin(session, row)
    until = None if until_ns is None else str(until_ns)
    after = {"snooze": row.snooze_id, "scope": scope, "until_ns": until, "factor": factor}
    note(session, actor, "snooze", "alert", alert_id, before, after)
    return muted


def unsnooze(session: Session, actor: Actor, alert_id: str) -> list[str]:
    """Ends the silence that mutes the alert, if one does; returns the ids that it muted."""
    review = _review(session, alert_id)
    if review.snooze_id is None:
        return []
    row = session.get_one(SnoozeRow, review.snooze_id)
    before = {"snooze": row.snooze_id, "muted_alerts": row.muted_alerts, "muted_revisions": row.muted_revisions}
    muted = snoozing.end(session, row, "unsnoozed", now_ns())
    note(session, actor, "unsnooze", "alert", alert_id, before, {"snooze": None})
    return muted


def _review(session: Session, alert_id: str) -> ReviewRow:
    """The alert's review, locked until the transaction ends where the database can."""
    row = session.scalars(select(ReviewRow).where(ReviewRow.alert_id == alert_id).with_for_update()).first()
    if row is None:
        raise NotFoundError(f"expected the id of an alert, got {alert_id[:64]!r}")
    return row


def _is_reviewed(session: Session, alert_id: str) -> bool:
    return session.scalars(select(ReviewedRow.username).where(ReviewedRow.alert_id == alert_id)).first() is not None
