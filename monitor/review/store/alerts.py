"""Stores alert revisions and attachments from Kafka: each once, with the newest revision in `alerts`.

Nothing here decides anything about an alert: the worker owns the episode. Storing the same record twice changes
nothing, so a consumer may start again from an earlier offset.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import select
from sqlalchemy.orm import Session

from gradwatch.streams.wire.messages import Alert
from gradwatch.streams.wire.outputs import encode_alert

from . import snoozes
from .schema import AlertRow, AttachmentRow, Json, OffsetRow, ReviewRow, RevisionRow

Place = tuple[str, int]  # topic, partition
NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")  # alert ids and kinds of attachments


class ReceivedRevision(msgspec.Struct, frozen=True):
    """A revision as received; `scores` are those of its last frame, None where no report was available."""

    alert: Alert
    published_ns: int
    scores: list[Json] | None = None
    challenge: str | None = None


class StoredRevision(msgspec.Struct, frozen=True):
    """A revision that was not stored before."""

    alert: Alert
    is_new: bool  # the first stored revision of its alert
    is_newest: bool
    muted: bool
    has_scores: bool


def store_revisions(session: Session, received: Sequence[ReceivedRevision], now_ns: int) -> list[StoredRevision]:
    """Stores those of `received` that are new.

    The number of statements does not depend on that of revisions: a storm must not wait for a database over a network.
    """
    new = _unknown(session, received)
    ids = {one.alert.alert_id for one in new}
    rows = {row.alert_id: row for row in session.scalars(select(AlertRow).where(AlertRow.alert_id.in_(ids)))}
    reviews = {row.alert_id: row for row in session.scalars(select(ReviewRow).where(ReviewRow.alert_id.in_(ids)))}
    muting = snoozes.Snoozes(session, {one.alert.stream_id for one in new}, reviews.values())
    placed = [(one, *_update_alert(session, rows, one)) for one in new]
    session.flush()  # the rows below refer to the alerts
    stored = []
    for one, is_new, is_newest in placed:
        alert = one.alert
        if (review := reviews.get(alert.alert_id)) is None:
            review = reviews[alert.alert_id] = ReviewRow(alert_id=alert.alert_id, handled=False)
            session.add(review)
        muted = is_newest and muting.mute(alert, review, is_new, now_ns)
        session.add(
            RevisionRow(
                alert_id=alert.alert_id,
                revision=alert.revision,
                published_ns=one.published_ns,
                muted=muted,
                body=_body(alert),
                scores=one.scores,
            )
        )
        stored.append(StoredRevision(alert, is_new, is_newest, muted, one.scores is not None))
    return stored


def _unknown(session: Session, received: Sequence[ReceivedRevision]) -> list[ReceivedRevision]:
    """The first of each revision that is not stored yet."""
    first = {(one.alert.alert_id, one.alert.revision): one for one in reversed(received)}
    ids = {alert_id for alert_id, _ in first}
    stored = select(RevisionRow.alert_id, RevisionRow.revision).where(RevisionRow.alert_id.in_(ids))
    for alert_id, revision in session.execute(stored):
        first.pop((alert_id, revision), None)
    return list(reversed(first.values()))


def _update_alert(session: Session, rows: dict[str, AlertRow], received: ReceivedRevision) -> tuple[bool, bool]:
    """Creates the alert's row if there is none, updates it if this revision is newer; returns (is_new, is_newest)."""
    alert = received.alert
    row = rows.get(alert.alert_id)
    is_new = row is None
    if row is None:
        row = rows[alert.alert_id] = AlertRow(alert_id=alert.alert_id, revision=0, raised_ns=received.published_ns)
        row.challenge = received.challenge
        session.add(row)
    is_newest = alert.revision > row.revision
    if is_newest:
        row.revision, row.kind, row.severity, row.state = alert.revision, alert.kind, alert.severity, alert.state
        row.stream_id, row.run_id, row.onset_seq = alert.stream_id, alert.run_id, alert.onset_seq
        row.onset_capture_ns, row.last_capture_ns = alert.onset_capture_ns, alert.last_capture_ns
        row.score, row.changed_ns, row.body = alert.score, received.published_ns, _body(alert)
        row.words = _searchable(alert)
    return is_new, is_newest


def _body(alert: Alert) -> Json:
    """The alert as on the wire."""
    body: Json = msgspec.json.decode(encode_alert(alert))
    return body


def _searchable(alert: Alert) -> str:
    """The text that a search matches, lower case."""
    words = (alert.alert_id, alert.stream_id, alert.reason, alert.expected, alert.observed, alert.cause)
    return " ".join((*words, *alert.carried_by)).replace("_", " ").lower()


def store_attachment(session: Session, body: Mapping[str, Any], published_ns: int) -> bool:
    """Stores an attachment, unless a newer one of its kind is stored; returns whether it did.

    The alert itself need not be stored yet: the topics are read independently. Raises ValueError for a body without
    `alert_id` and `kind`.
    """
    alert_id, kind, revision = body.get("alert_id"), body.get("kind"), body.get("revision", 0)
    if not (
        isinstance(alert_id, str)
        and isinstance(kind, str)
        and NAME.fullmatch(alert_id)
        and NAME.fullmatch(kind)
        and type(revision) is int  # not bool, its subclass
        and 0 <= revision < 2**63
    ):
        raise ValueError(f"attachment: expected names alert_id and kind and a number revision, got {str(body)[:80]!r}")
    row = session.get(AttachmentRow, (alert_id, kind))
    if row is None:
        row = AttachmentRow(alert_id=alert_id, kind=kind, revision=-1, published_ns=0)
        session.add(row)
    if (revision, published_ns) < (row.revision, row.published_ns):
        return False
    row.revision, row.published_ns, row.body = revision, published_ns, dict(body)
    return True


def load_offsets(session: Session, topics: Iterable[str]) -> dict[Place, int]:
    """The next offset to read, by topic and partition."""
    rows = session.scalars(select(OffsetRow).where(OffsetRow.topic.in_(list(topics))))
    return {(row.topic, row.partition): row.next_offset for row in rows}


def save_offsets(session: Session, offsets: Mapping[Place, int]) -> None:
    """Stores the next offsets to read, in the transaction of the records before them."""
    for (topic, partition), next_offset in offsets.items():
        session.merge(OffsetRow(topic=topic, partition=partition, next_offset=next_offset))
