"""Reviewers' corrections: stored first, then published, so that none is lost with the broker.

The table, the topic and the audit trail call them verdicts.
"""

from __future__ import annotations

from collections.abc import Sequence
from time import time_ns

import msgspec
from sqlalchemy import select
from sqlalchemy.orm import Session
from ulid import ULID

from gradwatch.streams.wire.messages import Correction
from gradwatch.streams.wire.outputs import encode_correction

from .audit import Actor, record_action
from .errors import NotFoundError
from .schema import AlertRow, CorrectionRow, Json

BATCH = 100  # corrections published before the next query


def new_id() -> str:
    """A ULID: ids sort by time."""
    return str(ULID())


def add(session: Session, actor: Actor, correction: Correction) -> CorrectionRow:
    """Stores a correction, still to be published."""
    body: Json = msgspec.json.decode(encode_correction(correction))
    row = CorrectionRow(
        verdict_id=correction.verdict_id,
        stream_id=correction.stream_id,
        kind=body["kind"],
        author=correction.author,
        created_ns=correction.created_ns,
        published=False,
        body=body,
    )
    session.add(row)
    record_action(session, actor, body["kind"], "verdict", correction.verdict_id, None, body)
    return row


def withdraw(session: Session, actor: Actor, verdict_id: str) -> CorrectionRow:
    """Marks a correction as deleted, its tombstone still to be published. Raises NotFoundError."""
    row = session.get(CorrectionRow, verdict_id)
    if row is None or row.deleted_ns is not None:
        raise NotFoundError(f"expected the id of a correction in force, got {verdict_id[:64]!r}")
    row.deleted_ns, row.published = time_ns(), False
    record_action(session, actor, "delete", "verdict", verdict_id, row.body, None)
    return row


def in_force(session: Session, stream_ids: Sequence[str]) -> list[CorrectionRow]:
    """Corrections that were not withdrawn, newest first; of all streams if `stream_ids` is empty."""
    query = select(CorrectionRow).where(CorrectionRow.deleted_ns.is_(None)).order_by(CorrectionRow.verdict_id.desc())
    return list(session.scalars(query.where(CorrectionRow.stream_id.in_(stream_ids)) if stream_ids else query))


def unpublished(session: Session) -> list[CorrectionRow]:
    """Corrections and tombstones that the broker has not acknowledged, oldest first."""
    query = select(CorrectionRow).where(CorrectionRow.published.is_(False)).order_by(CorrectionRow.verdict_id)
    return list(session.scalars(query.limit(BATCH)))


def partition_of(session: Session, stream_id: str) -> int | None:
    """The partition of the stream's frames according to its newest alert; None without an alert."""
    query = select(AlertRow.body).where(AlertRow.stream_id == stream_id).order_by(AlertRow.raised_ns.desc()).limit(1)
    body = session.scalars(query).first()
    return None if body is None else int(body["partition"])
