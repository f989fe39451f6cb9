"""Alert revisions and attachments as they come from Kafka: every one once, the newest on top.

Nothing here decides anything about an alert; the worker owns the episode. Taking the same record twice changes
nothing, so a consumer that starts again from an earlier offset does no harm.
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

from . import snoozing
from .schema import AlertRow, AttachmentRow, Json, OffsetRow, ReviewRow, RevisionRow

Place = tuple[str, int]  # topic, partition
NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")  # of what attachments are made to and of their kinds


class Arrival(msgspec.Struct, frozen=True):
    """One revision that has come; `scores` of the frame that it speaks of, None where no report was at hand."""

    alert: Alert
    published_ns: int
    scores: list[Json] | None = None
    challenge: str | None = None


class Taken(msgspec.Struct, frozen=True):
    """What became of an arrival that was new."""

    alert: Alert
    is_new: bool  # the first revision of its alert that came
    is_newest: bool
    muted: bool


def take(session: Session, arrivals: Sequence[Arrival], now_ns: int) -> list[Taken]:
    """Stores what is new of `arrivals`; a revision that is there already is passed over.

    A batch takes a few statements however many arrivals it has, lest a storm wait for a database over the network.
    """
    new = _unknown(session, arrivals)
    ids = {arrival.alert.alert_id for arrival in new}
    rows = {row.alert_id: row for row in session.scalars(select(AlertRow).where(AlertRow.alert_id.in_(ids)))}
    reviews = {row.alert_id: row for row in session.scalars(select(ReviewRow).where(ReviewRow.alert_id.in_(ids)))}
    snoozes = snoozing.Snoozes(session, {arrival.alert.stream_id for arrival in new}, reviews.values())
    placed = [(arrival, *_place(session, rows, arrival)) for arrival in new]
    session.flush()  # what follows refers to the rows
    taken = []
    for arrival, is_new, is_newest in placed:
        alert = arrival.alert
        if (review := reviews.get(alert.alert_id)) is None:
            review = reviews[alert.alert_id] = ReviewRow(alert_id=alert.alert_id, handled=False)
            session.add(review)
        muted = is_newest and snoozes.mute(alert, review, is_new, now_ns)
        session.add(
            RevisionRow(
                alert_id=alert.alert_id,
                revision=alert.revision,
                published_ns=arrival.published_ns,
                muted=muted,
                body=body_of(alert),
                scores=arrival.scores,
            )
        )
        taken.append(Taken(alert, is_new, is_newest, muted))
    return taken


def _unknown(session: Session, arrivals: Sequence[Arrival]) -> list[Arrival]:
    """The first arrival of each revision that is not stored yet."""
    first = {(arrival.alert.alert_id, arrival.alert.revision): arrival for arrival in reversed(arrivals)}
    ids = {alert_id for alert_id, _ in first}
    stored = select(RevisionRow.alert_id, RevisionRow.revision).where(RevisionRow.alert_id.in_(ids))
    for alert_id, revision in session.execute(stored):
        first.pop((alert_id, revision), None)
    return list(reversed(first.values()))


def _place(session: Session, rows: dict[str, AlertRow], arrival: Arrival) -> tuple[bool, bool]:
    """Puts a revision on top of its alert where it is the newest; returns whether the alert, the revision is that."""
    alert = arrival.alert
    row = rows.get(alert.alert_id)
    is_new = row is None
    if row is None:
        row = rows[alert.alert_id] = AlertRow(alert_id=alert.alert_id, revision=0, raised_ns=arrival.published_ns)
        row.challenge = arrival.challenge
        session.add(row)
    is_newest = alert.revision > row.revision
    if is_newest:
        _set_newest(row, arrival)
    return is_new, is_newest


def _set_newest(row: AlertRow, arrival: Arrival) -> None:
    alert = arrival.alert
    row.revision, row.kind, row.severity, row.state = alert.revision, alert.kind, alert.severity, alert.state
    row.stream_id, row.run_id, row.onset_seq = alert.stream_id, alert.run_id, alert.onset_seq
    row.onset_capture_ns, row.last_capture_ns = alert.onset_capture_ns, alert.last_capture_ns
    row.score, row.changed_ns, row.body = alert.score, arrival.published_ns, body_of(alert)
    row.words = searchable(alert)


def body_of(alert: Alert) -> Json:
    """The alert as on the wire."""
    body: Json = msgspec.json.decode(encode_alert(alert))
    return body


def searchable(alert: Alert) -> str:
    """What a text search looks through, lower case."""
    words = (alert.alert_id, alert.stream_id, alert.reason, alert.expected, alert.observed, alert.cause)
    return " ".join((*words, *alert.carried_by)).replace("_", " ").lower()


def take_attachment(session: Session, body: Mapping[str, Any], published_ns: int) -> bool:
    """Stores what a service made of an alert, unless a newer one of its kind is there; returns whether it did.

    The alert itself need not be there yet: the topics are read side by side. Raises ValueError for a body without
    `alert_id` and `kind`.
    """
    alert_id, kind, revision = body.get("alert_id"), body.get("kind"), body.get("revision", 0)
    if not (
        isinstance(alert_id, str)
        and isinstance(kind, str)
        and NAME.fullmatch(alert_id)
        and NAME.fullmatch(kind)
        and type(revision) is int  # a truth value is none
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


def offsets(session: Session, topics: Iterable[str]) -> dict[Place, int]:
    """Where to read on, by topic and partition."""
    rows = session.scalars(select(OffsetRow).where(OffsetRow.topic.in_(list(topics))))
    return {(row.topic, row.partition): row.next_offset for row in rows}


def save_offsets(session: Session, reached: Mapping[Place, int]) -> None:
    """Remembers where to read on, in the transaction of what was read."""
    for (topic, partition), next_offset in reached.items():
        session.merge(OffsetRow(topic=topic, partition=partition, next_offset=next_offset))
