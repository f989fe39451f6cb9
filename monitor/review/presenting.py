"""Rows of the database -> what the API and the events say of an alert."""

from __future__ import annotations

from typing import Any

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from . import shapes
from .feed.score_ring import family_of
from .store import audit
from .store.listing import Listed, Selection, neighbors
from .store.schema import AlertRow, AttachmentRow, CommentRow, ReviewedRow, RevisionRow, SnoozeRow

GRADIENT = "gradient"


def item(listed: Listed) -> shapes.AlertItem:
    """An alert as lists show it."""
    return shapes.AlertItem.model_validate(_fields(listed))


def detail(session: Session, listed: Listed, selection: Selection, tags: dict[str, Any]) -> shapes.AlertDetail:
    """An alert with all that is known of it; neighbors are those in the list of `selection`."""
    alert = listed.alert
    previous, following = neighbors(session, selection, alert)
    revisions = _revisions(session, alert.alert_id)
    snoozes = _snoozes(session, listed)
    return shapes.AlertDetail.model_validate(
        _fields(listed)
        | {
            "scores": next((one.scores for one in reversed(revisions) if one.scores is not None), None),
            "revisions": revisions,
            "comments": _of_alert(session, CommentRow, CommentRow.comment_id, alert.alert_id),
            "audit": audit.trail(session, "alert", alert.alert_id),
            "attachments": _attachments(session, alert.alert_id),
            "reviewed_by": _of_alert(session, ReviewedRow, ReviewedRow.at_ns, alert.alert_id),
            "snooze": next((one for one in snoozes if one.snooze_id == listed.review.snooze_id), None),
            "snoozes": [one for one in snoozes if one.alert_id == alert.alert_id],
            "tags": tags,
            "previous": previous,
            "next": following,
        }
    )


def _fields(listed: Listed) -> dict[str, Any]:
    alert, review = listed.alert, listed.review
    times = {name: int(value) for name, value in alert.body.items() if name.endswith("_ns")}
    return {
        **alert.body,
        **times,
        "raised_ns": alert.raised_ns,
        "changed_ns": alert.changed_ns,
        "challenge": alert.challenge,
        "carried_by_gradients": any(family_of(name) == GRADIENT for name in alert.body["carried_by"]),
        "review": {
            "acknowledged_by": review.acknowledged_by,
            "acknowledged_ns": review.acknowledged_ns,
            "assignee": review.assignee,
            "is_snoozed": review.snooze_id is not None,
            "reviewed": listed.reviewed,
        },
    }


def _revisions(session: Session, alert_id: str) -> list[shapes.Revision]:
    rows = _of_alert(session, RevisionRow, RevisionRow.revision, alert_id)
    fields = ("severity", "state", "score", "reason", "carried_by")
    return [
        shapes.Revision(
            revision=row.revision,
            published_ns=row.published_ns,
            muted=row.muted,
            scores=row.scores,
            **{name: row.body[name] for name in fields},
        )
        for row in rows
    ]


def _snoozes(session: Session, listed: Listed) -> list[SnoozeRow]:
    in_force_or_set_here = or_(
        SnoozeRow.alert_id == listed.alert.alert_id, SnoozeRow.snooze_id == listed.review.snooze_id
    )
    return list(session.scalars(select(SnoozeRow).where(in_force_or_set_here).order_by(SnoozeRow.snooze_id)))


def _attachments(session: Session, alert_id: str) -> list[shapes.AttachmentItem]:
    return [
        shapes.AttachmentItem(
            kind=row.kind,
            published_ns=row.published_ns,
            path=str(row.body.get("path", "")),
            sha256=str(row.body.get("sha256", "")),
            size_bytes=_natural(row.body.get("size_bytes")),
            url=f"/api/v1/alerts/{alert_id}/evidence" if row.kind == "evidence" else None,
            body=row.body,
        )
        for row in _of_alert(session, AttachmentRow, AttachmentRow.kind, alert_id)
    ]


def _natural(value: object) -> int:
    return value if isinstance(value, int) and value >= 0 else 0


def _of_alert(session: Session, table: Any, order: Any, alert_id: str) -> list[Any]:
    return list(session.scalars(select(table).where(table.alert_id == alert_id).order_by(order)))


def alert_row(session: Session, alert_id: str) -> AlertRow:
    """The newest revision. Raises NotFoundError."""
    row = session.get(AlertRow, alert_id)
    if row is None:
        raise audit.NotFoundError(f"expected the id of an alert, got {alert_id[:64]!r}")
    return row
