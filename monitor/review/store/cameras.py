"""Cameras as the database knows them: their open alerts, and which of them somebody has removed from the page.

The audit trail is the record of removals: each names the time up to which the camera's records are of no interest.
"""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from gradwatch.streams.wire.messages import AlertState

from .audit import Actor, record_action
from .schema import AlertRow, AuditRow

FORGET, CAMERA = "forget", "camera"  # action and subject in the trail
UNTIL = "until_ns"


def forget(session: Session, actor: Actor, stream_id: str, until_ns: int) -> None:
    """Removes a camera from the page until something is published of it after `until_ns`."""
    record_action(session, actor, FORGET, CAMERA, stream_id, None, {UNTIL: str(until_ns)})


def forgotten(session: Session, stream_ids: Collection[str] | None = None) -> dict[str, int]:
    """The time (ns) of the last removal of each of these cameras; of all that were removed if None."""
    query = select(AuditRow.subject_id, AuditRow.after).where(AuditRow.subject == CAMERA, AuditRow.action == FORGET)
    if stream_ids is not None:
        query = query.where(AuditRow.subject_id.in_(stream_ids))
    rows = session.execute(query.order_by(AuditRow.audit_id))
    return {stream_id: int(after[UNTIL]) for stream_id, after in rows if after is not None}


def open_alerts(session: Session) -> dict[str, int]:
    """The number of open alerts by camera, without cameras that were removed after the newest of these changed."""
    newest = func.max(AlertRow.changed_ns)
    query = select(AlertRow.stream_id, func.count(), newest).where(AlertRow.state == AlertState.OPEN)
    rows = session.execute(query.group_by(AlertRow.stream_id)).all()
    removed = forgotten(session, [stream_id for stream_id, _, _ in rows])
    return {stream_id: count for stream_id, count, changed_ns in rows if changed_ns > removed.get(stream_id, -1)}


def last_change_ns(session: Session, stream_id: str) -> int:
    """When the newest revision of the camera's open alerts was published; 0 if there are none."""
    is_open = (AlertRow.stream_id == stream_id, AlertRow.state == AlertState.OPEN)
    return session.scalar(select(func.max(AlertRow.changed_ns)).where(*is_open)) or 0
