"""Snoozes: which alerts one mutes, when it ends, and how much it has muted.

A snooze mutes notification, never detection: revisions are still stored, and counted as muted.
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Select, and_, or_, select, update
from sqlalchemy.orm import Session

from gradwatch.streams.wire.messages import Alert, AlertState

from .schema import AlertRow, ReviewRow, SnoozeRow

ALERT, CAMERA = "alert", "camera"  # scopes: this alert; this camera's alerts of this kind


def begin(session: Session, snooze: SnoozeRow) -> list[str]:
    """Stores `snooze`, ends those that it replaces, and returns the ids of the alerts that it mutes."""
    session.add(snooze)
    session.flush()
    muted = [snooze.alert_id]
    if snooze.scope == CAMERA:
        replaced = select(SnoozeRow).where(
            SnoozeRow.scope == CAMERA,
            SnoozeRow.stream_id == snooze.stream_id,
            SnoozeRow.kind == snooze.kind,
            SnoozeRow.ended_ns.is_(None),
            SnoozeRow.snooze_id != snooze.snooze_id,
        )
        for earlier in session.scalars(replaced):
            end(session, earlier, "replaced", snooze.set_ns)
        still_open = select(AlertRow.alert_id).where(
            AlertRow.stream_id == snooze.stream_id, AlertRow.kind == snooze.kind, AlertRow.state == AlertState.OPEN
        )
        muted = sorted({snooze.alert_id, *session.scalars(still_open)})
    session.execute(update(ReviewRow).where(ReviewRow.alert_id.in_(muted)).values(snooze_id=snooze.snooze_id))
    return muted


def end(session: Session, snooze: SnoozeRow, why: str, now_ns: int) -> list[str]:
    """Ends a snooze; returns the ids of the alerts that it muted."""
    snooze.ended_ns, snooze.ended_why = now_ns, why
    muted = list(session.scalars(select(ReviewRow.alert_id).where(ReviewRow.snooze_id == snooze.snooze_id)))
    session.execute(update(ReviewRow).where(ReviewRow.snooze_id == snooze.snooze_id).values(snooze_id=None))
    return muted


def any_expired(session: Session, now_ns: int) -> bool:
    """Whether a snooze in force has passed its end."""
    return session.scalars(_expired(now_ns).limit(1)).first() is not None


def end_expired(session: Session, now_ns: int) -> list[str]:
    """Ends every snooze that has passed its end; returns the ids of the alerts that they muted."""
    expired = session.scalars(_expired(now_ns)).all()
    return [alert_id for snooze in expired for alert_id in end(session, snooze, "time", now_ns)]


class Snoozes:
    """The snoozes that may mute a batch of revisions: those of `reviews` and of the cameras, read once."""

    def __init__(self, session: Session, stream_ids: Iterable[str], reviews: Iterable[ReviewRow]) -> None:
        self._session = session
        own = {review.snooze_id for review in reviews if review.snooze_id is not None}
        in_force = and_(
            SnoozeRow.scope == CAMERA, SnoozeRow.stream_id.in_(list(stream_ids)), SnoozeRow.ended_ns.is_(None)
        )
        relevant = select(SnoozeRow).where(or_(in_force, SnoozeRow.snooze_id.in_(own)))
        found = session.scalars(relevant.order_by(SnoozeRow.snooze_id)).all()
        self._by_id = {snooze.snooze_id: snooze for snooze in found}
        self._by_camera = {(snooze.stream_id, snooze.kind): snooze for snooze in found if snooze.scope == CAMERA}

    def mute(self, alert: Alert, review: ReviewRow, is_new: bool, now_ns: int) -> bool:
        """Whether a snooze mutes this new revision; counts it, or ends the snooze if its time or factor is exceeded."""
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
        """The alert's own snooze, else its camera's."""
        if review.snooze_id is not None:
            return self._by_id.get(review.snooze_id)
        snooze = self._by_camera.get((alert.stream_id, alert.kind))
        return None if snooze is None or snooze.ended_ns is not None else snooze


def _expired(now_ns: int) -> Select[SnoozeRow]:
    return select(SnoozeRow).where(SnoozeRow.ended_ns.is_(None), SnoozeRow.until_ns <= now_ns)
