"""Turns rows of the database into the alert as the API and the events show it."""

from __future__ import annotations

from typing import Any

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from . import shapes
from .feed.score_ring import family_of
from .store import audit
from .store.listing import ListedAlert, Selection, neighbors
from .store.schema import AttachmentRow, CommentRow, Json, ReviewedRow, RevisionRow, SnoozeRow


def alert_item(listed: ListedAlert) -> shapes.AlertItem:
    """An alert as lists show it."""
    return shapes.AlertItem.model_validate(_fields(listed))


def alert_detail(
    session: Session, listed: ListedAlert, selection: Selection, tags: dict[str, Any]
) -> shapes.AlertDetail:
    """An alert with everything stored about it; its neighbors are those in the list of `selection`."""
    alert_id = listed.alert.alert_id
    previous, following = neighbors(session, selection, listed.alert)
    revisions = [_revision(row) for row in _of_alert(session, RevisionRow, RevisionRow.revision, alert_id)]
    relevant = or_(SnoozeRow.alert_id == alert_id, SnoozeRow.snooze_id == listed.review.snooze_id)
    snoozes = session.scalars(select(SnoozeRow).where(relevant).order_by(SnoozeRow.snooze_id)).all()
    return shapes.AlertDetail.model_validate(
        _fields(listed)
        | {
            **_scores(revisions, listed.alert.body),
            "revisions": revisions,
            "comments": _of_alert(session, CommentRow, CommentRow.comment_id, alert_id),
            "audit": audit.trail(session, "alert", alert_id),
            "attachments": [
                _attachment(row) for row in _of_alert(session, AttachmentRow, AttachmentRow.kind, alert_id)
            ],
            "reviewed_by": _of_alert(session, ReviewedRow, ReviewedRow.at_ns, alert_id),
            "snooze": next((one for one in snoozes if one.snooze_id == listed.review.snooze_id), None),
            "snoozes": [one for one in snoozes if one.alert_id == alert_id],
            "tags": tags,
            "previous": previous,
            "next": following,
        }
    )


def _scores(revisions: list[shapes.Revision], newest: Json) -> dict[str, Any]:
    """The scores at the alert's peak: all of them, else those that carry it, else those of an earlier peak."""
    peak_seq = _peak_seq(newest)
    stored = [one for one in reversed(revisions) if one.scores is not None]
    at_peak = next((one for one in stored if one.peak_seq == peak_seq), None)
    if at_peak is not None or not newest.get("peak_ratios"):
        found = at_peak or (stored[0] if stored else None)
        return {"scores": found and found.scores, "scores_seq": found and found.peak_seq}
    p_values = newest["peak_p_values"]
    carriers = [
        shapes.Score(name=name, family=family_of(name), value=None, p_value=p_values.get(name), ratio=ratio)
        for name, ratio in newest["peak_ratios"].items()
    ]
    return {"scores": carriers, "scores_seq": peak_seq}


def _peak_seq(body: Json) -> int | None:
    """The frame of the peak; None in an alert of an older version."""
    seq: int = body.get("peak_seq", -1)
    return None if seq < 0 else seq


def _duration_s(body: Json) -> float:
    """Of an alert of an older version: by its capture times."""
    if _peak_seq(body) is not None:
        return float(body["duration_s"])
    return max(0.0, (int(body["last_capture_ns"]) - int(body["onset_capture_ns"])) / 1e9)


def _fields(listed: ListedAlert) -> dict[str, Any]:
    alert, review = listed.alert, listed.review
    peak_seq = _peak_seq(alert.body)
    return {
        "closed_because": None,  # in an alert of an older version
        **alert.body,
        "duration_s": _duration_s(alert.body),
        "peak_seq": peak_seq,
        "peak_capture_ns": None if peak_seq is None else alert.body["peak_capture_ns"],
        "raised_ns": alert.raised_ns,
        "changed_ns": alert.changed_ns,
        "challenge": alert.challenge,
        "carried_by_gradients": any(family_of(name) == "gradient" for name in alert.body["carried_by"]),
        "review": {
            "acknowledged_by": review.acknowledged_by,
            "acknowledged_ns": review.acknowledged_ns,
            "assignee": review.assignee,
            "is_snoozed": review.snooze_id is not None,
            "reviewed": listed.reviewed,
        },
    }


def _revision(row: RevisionRow) -> shapes.Revision:
    own = {"published_ns": row.published_ns, "muted": row.muted, "scores": row.scores}
    own["peak_seq"] = _peak_seq(row.body)
    return shapes.Revision.model_validate(row.body | own)


def _attachment(row: AttachmentRow) -> shapes.AttachmentItem:
    size_bytes = row.body.get("size_bytes")
    return shapes.AttachmentItem(
        kind=row.kind,
        published_ns=row.published_ns,
        path=str(row.body.get("path", "")),
        sha256=str(row.body.get("sha256", "")),
        size_bytes=size_bytes if isinstance(size_bytes, int) and size_bytes >= 0 else 0,
        url=f"/api/v1/alerts/{row.alert_id}/evidence" if row.kind == "evidence" else None,
        body=row.body,
    )


def _of_alert(session: Session, table: Any, order: Any, alert_id: str) -> list[Any]:
    return list(session.scalars(select(table).where(table.alert_id == alert_id).order_by(order)))
