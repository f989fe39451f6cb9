"""Silences: what they mute, how they end, and how much was muted meanwhile.

A silence mutes notification, never detection: revisions go on being stored, and are counted as muted.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import ColumnElement, Select, and_, or_, select, update
from sqlalchemy.orm import Session

from gradwatch.streams.wire.messages import Alert, AlertState

from .schema import AlertRow, ReviewRow, SnoozeRow

ALERT, CAMERA = "alert", "camera"  # scopes: this alert; this camera's alerts of this kind


def begin(session: Session, snooze: SnoozeRow) -> list[str]:
    """Puts `snooze` in force in place of what it replaces; returns the ids of the alerts that it mutes from now on."""
    session.add(snooze)
    session.flush()
    muted = [snooze.alert_id]
    if snooze.scope == CAMERA:
        replaced = select(SnoozeRow).where(*_of_camera(snooze.stream_id, snooze.kind))
        for earlier in session.scalars(replaced.where(SnoozeRow.snooze_id != snooze.snooze_id)):
            end(session, earlier, "replaced", snooze.set_ns)
        still_open = select(AlertRow.alert_id).where(
            AlertRow.stream_id == snooze.stream_id, AlertRow.kind == snooze.kind, AlertRow.state == AlertState.OPEN
        )
        muted = sorted({snooze.alert_id, *session.scalars(still_open)})
    session.execute(update(ReviewRow).where(ReviewRow.alert_id.in_(muted)).values(snooze_id=snooze.snooze_id))
    return muted


def end(session: Session, snooze: SnoozeRow, why: str, now_ns: int) -> list[str]:
    """Ends a silence; returns the ids of the alerts that it muted."""
    snooze.ended_ns, snooze.ended_why = now_ns, why
    muted = list(session.scalars(select(ReviewRow.alert_id).where(ReviewRow.snooze_id == snooze.snooze_id)))
    session.execute(update(ReviewRow).where(ReviewRow.snooze_id == snooze.snooze_id).values(snooze_id=None))
    return muted


def is_any_over(session: Session, now_ns: int) -> bool:
    """Whether a silence is in force whose time is over."""
    return session.scalars(_over(now_ns).limit(1)).first() is not None


def end_those_over(session: Session, now_ns: int) -> list[str]:
    """Ends every silence whose time is over; returns the ids of the alerts that were muted."""
    over = session.scalars(_over(now_ns)).all()
    return [alert_id for snooze in over for alert_id in end(session, snooze, "time", now_ns)]


class Snoozes:
    """The silences that concern some cameras and `reviews`, read once for a batch of revisions."""

    def __init__(self, session: Session, stream_ids: Iterable[str], reviews: Iterable[ReviewRow]) -> None:
        self._session = session
        own = {review.snooze_id for review in reviews if review.snooze_id is not None}
        in_force = and_(
            SnoozeRow.scope == CAMERA, SnoozeRow.stream_id.in_(list(stream_ids)), SnoozeRow.ended_ns.is_(None)
        )
        concerned = select(SnoozeRow).where(or_(in_force, SnoozeRow.snooze_id.in_(own)))
        found = session.scalars(concerned.order_by(SnoozeRow.snooze_id)).all()
        self._by_id = {snooze.snooze_id: snooze for snooze in found}
        self._of_cameras = {(snooze.stream_id, snooze.kind): snooze for snooze in found if snooze.scope == CAMERA}

    def mute(self, alert: Alert, review: ReviewRow, is_new: bool, now_ns: int) -> bool:
        """Whether a revision that has just come is muted; counts it, or ends the silence that its score breaks."""
        snooze = self._in_force(alert, review)
        if snooze is None:
            return False
        if snooze.until_ns is not None and snooze.until_ns <= now_ns:
            end(self._session, snooze, "time", now_ns)
            return False
        if snooze.factor is not None and alert.score > snooze.factor * snooze.score:
            end(self._session, snooze, "score", now_ns)
            return False
        review.snooze_id = snooze.snooze_id
        snooze.muted_revisions += 1
        snooze.muted_alerts += is_new
        return True

    def _in_force(self, alert: Alert, review: ReviewRow) -> SnoozeRow | None:
        """The alert's own silence, else its camera's."""
        if review.snooze_id is not None:
            return self._by_id.get(review.snooze_id)
        snooze = self._of_cameras.get((alert.stream_id, alert.kind))
        return None if snooze is None or snooze.ended_ns is not None else snooze


def _over(now_ns: int) -> Select[SnoozeRow]:
    return select(SnoozeRow).where(SnoozeRow.ended_ns.is_(None), SnoozeRow.until_ns <= now_ns)


def _of_camera(stream_id: str, kind: str) -> Sequence[ColumnElement[bool]]:
    return (
        SnoozeRow.scope == CAMERA,
        SnoozeRow.stream_id == stream_id,
        SnoozeRow.kind == kind,
        SnoozeRow.ended_ns.is_(None),
    )
