"""Reviewers' verdicts: stored first, then published, so that one is never lost with the broker."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from sqlalchemy import select
from sqlalchemy.orm import Session
from ulid import ULID

from gradwatch.streams.wire.messages import Verdict
from gradwatch.streams.wire.outputs import encode_verdict

from .audit import Actor, NotFoundError, note, now_ns
from .schema import AlertRow, Json, VerdictRow


def new_id() -> str:
    """Ids sort by time."""
    return str(ULID())


def give(session: Session, actor: Actor, verdict: Verdict) -> VerdictRow:
    """Stores a verdict that is to be published."""
    body: Json = msgspec.json.decode(encode_verdict(verdict))
    row = VerdictRow(
        verdict_id=verdict.verdict_id,
        stream_id=verdict.stream_id,
        kind=body["kind"],
        author=verdict.author,
        created_ns=verdict.created_ns,
        published=False,
        body=body,
    )
    session.add(row)
    note(session, actor, body["kind"], "verdict", verdict.verdict_id, None, body)
    return row


def take_back(session: Session, actor: Actor, verdict_id: str) -> VerdictRow:
    """Marks a verdict as deleted; its tombstone is to be published. Raises NotFoundError."""
    row = session.get(VerdictRow, verdict_id)
    if row is None or row.deleted_ns is not None:
        raise NotFoundError(f"expected the id of a verdict in force, got {verdict_id[:64]!r}")
    row.deleted_ns, row.published = now_ns(), False
    note(session, actor, "delete", "verdict", verdict_id, row.body, None)
    return row


def in_force(session: Session, stream_ids: Sequence[str] = ()) -> list[VerdictRow]:
    """Verdicts that were not taken back, newest first; of all streams where none is named."""
    query = select(VerdictRow).where(VerdictRow.deleted_ns.is_(None)).order_by(VerdictRow.verdict_id.desc())
    return list(session.scalars(query.where(VerdictRow.stream_id.in_(stream_ids)) if stream_ids else query))


def unpublished(session: Session, limit: int = 100) -> list[VerdictRow]:
    """Verdicts and tombstones that the broker has not acknowledged, oldest first."""
    query = select(VerdictRow).where(VerdictRow.published.is_(False)).order_by(VerdictRow.verdict_id)
    return list(session.scalars(query.limit(limit)))


def partition_of(session: Session, stream_id: str) -> int | None:
    """The partition that the stream's frames were last known in, from its newest alert."""
    query = select(AlertRow.body).where(AlertRow.stream_id == stream_id).order_by(AlertRow.raised_ns.desc()).limit(1)
    body = session.scalars(query).first()
    return None if body is None else int(body["partition"])
