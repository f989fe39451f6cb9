"""Deletes old alerts: reviewed ones by age, unreviewed ones only where far too many of them are stored.

An alert that nobody has acknowledged or reviewed outlives every one that somebody has: it is deleted only when no
reviewed one is left to delete and there are more than `max_alerts`. Open alerts and the audit trail are never deleted.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct
from sqlalchemy import delete, exists, func, or_, select
from sqlalchemy.orm import Session

from gradwatch.streams.wire.messages import AlertState

from ..settings import Retention
from .accounts import DEVICE_NS
from .schema import AlertRow, AttachmentRow, ReviewRow, SessionRow

DAY_NS = 24 * 3600 * 1_000_000_000
BATCH = 500  # rows in one transaction: other writers get their turn


class Deleted(Struct, frozen=True):
    """Number of alerts deleted, by cause."""

    by_age: int = 0
    by_number: int = 0
    unreviewed: int = 0  # of those by number


def enforce(session: Session, retention: Retention, now_ns: int) -> Deleted:
    """Deletes at most one batch of what exceeds the bounds, oldest first."""
    session.execute(delete(SessionRow).where(SessionRow.created_ns <= now_ns - DEVICE_NS))
    _delete_orphans(session, retention, now_ns)
    closed = AlertRow.state == AlertState.CLOSED
    oldest = select(AlertRow.alert_id).join(ReviewRow, ReviewRow.alert_id == AlertRow.alert_id)
    oldest = oldest.where(closed).order_by(AlertRow.raised_ns).limit(BATCH)
    before_ns = now_ns - int(retention.days * DAY_NS)
    aged = oldest.where(ReviewRow.handled.is_(True), AlertRow.raised_ns < before_ns)
    by_age = _delete(session, session.scalars(aged).all())
    surplus = session.scalar(select(func.count()).select_from(AlertRow)) or 0
    surplus = min(max(0, surplus - retention.max_alerts), BATCH - by_age)
    reviewed = _delete(session, session.scalars(oldest.where(ReviewRow.handled.is_(True)).limit(surplus)).all())
    left = surplus - reviewed
    unreviewed = _delete(session, session.scalars(oldest.where(ReviewRow.handled.is_(False)).limit(left)).all())
    return Deleted(by_age, reviewed + unreviewed, unreviewed)


def _delete_orphans(session: Session, retention: Retention, now_ns: int) -> None:
    """Applies the bounds of alerts to attachments whose alert was deleted or has not arrived (yet)."""
    orphaned = ~exists().where(AlertRow.alert_id == AttachmentRow.alert_id)
    count = session.scalar(select(func.count()).select_from(AttachmentRow).where(orphaned)) or 0
    surplus = max(0, count - retention.max_alerts)
    oldest = select(AttachmentRow.alert_id).where(orphaned).order_by(AttachmentRow.published_ns).limit(surplus)
    is_old = AttachmentRow.published_ns < now_ns - int(retention.days * DAY_NS)
    session.execute(delete(AttachmentRow).where(orphaned, or_(is_old, AttachmentRow.alert_id.in_(oldest))))


def _delete(session: Session, ids: Sequence[str]) -> int:
    if ids:
        session.execute(delete(AttachmentRow).where(AttachmentRow.alert_id.in_(ids)))
        session.execute(delete(AlertRow).where(AlertRow.alert_id.in_(ids)))
    return len(ids)
