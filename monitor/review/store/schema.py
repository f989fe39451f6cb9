"""The tables of the review database.

The worker owns the episode: `alerts` holds the newest revision of each, `alert_revisions` all of them. The store owns
the review: `reviews` (one row for each alert), `snoozes`, `comments`, `reviewed`, `verdicts`, and `audit`, which only
grows. Times are wall clock in ns since 1970 unless they are named capture times.
"""

from __future__ import annotations

from typing import Any, ClassVar

from sqlalchemy import JSON, BigInteger, ForeignKey, Index, Integer, MetaData, String, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

Json = dict[str, Any]

# The same names on every database, so that a migration can refer to a constraint.
NAMING = {
    "ix": "ix_%(column_0_label)s",
    "uq": "uq_%(table_name)s_%(column_0_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class Table(DeclarativeBase):
    """Base of all tables: names of constraints, and Python types -> columns."""

    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map: ClassVar[dict[Any, Any]] = {int: BigInteger, str: String(255), Json: JSON, list[str]: JSON}


class AlertRow(Table):
    """The newest revision of an alert, in the columns that lists filter by; `body` is the alert as on the wire."""

    __tablename__ = "alerts"

    alert_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    revision: Mapped[int]
    kind: Mapped[str] = mapped_column(String(64))
    severity: Mapped[str] = mapped_column(String(16))
    state: Mapped[str] = mapped_column(String(16))
    stream_id: Mapped[str] = mapped_column(String(63))
    run_id: Mapped[str] = mapped_column(String(63))
    onset_seq: Mapped[int]
    onset_capture_ns: Mapped[int]
    last_capture_ns: Mapped[int]
    score: Mapped[float]
    raised_ns: Mapped[int]  # when the first stored revision was published
    changed_ns: Mapped[int]  # when the newest one was
    challenge: Mapped[str | None] = mapped_column(String(64))  # of a recording with ground truth
    words: Mapped[str] = mapped_column(Text)  # the text that a search matches, lower case
    body: Mapped[Json]

    __table_args__ = (
        Index("ix_alerts_raised", "raised_ns", "alert_id"),
        Index("ix_alerts_stream", "stream_id", "raised_ns"),
        Index("ix_alerts_state", "state", "raised_ns"),
        Index("ix_alerts_kind", "kind", "raised_ns"),
        Index("ix_alerts_severity", "severity", "raised_ns"),
    )


class RevisionRow(Table):
    """One revision as received. `scores` are those of its last frame, where the report was available."""

    __tablename__ = "alert_revisions"

    alert_id: Mapped[str] = mapped_column(ForeignKey("alerts.alert_id", ondelete="CASCADE"), primary_key=True)
    revision: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    published_ns: Mapped[int]
    muted: Mapped[bool]  # arrived while snoozed: nobody was notified
    body: Mapped[Json]
    scores: Mapped[list[Json] | None] = mapped_column(JSON)


class AttachmentRow(Table):
    """What a service attached to an alert, evidence or an explanation: the newest of its kind."""

    __tablename__ = "attachments"

    alert_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    kind: Mapped[str] = mapped_column(String(64), primary_key=True)
    revision: Mapped[int]
    published_ns: Mapped[int] = mapped_column(index=True)
    body: Mapped[Json]


class ReviewRow(Table):
    """The state of an alert's review."""

    __tablename__ = "reviews"

    alert_id: Mapped[str] = mapped_column(ForeignKey("alerts.alert_id", ondelete="CASCADE"), primary_key=True)
    acknowledged_by: Mapped[str | None] = mapped_column(String(64), index=True)
    acknowledged_ns: Mapped[int | None]
    assignee: Mapped[str | None] = mapped_column(String(64), index=True)
    snooze_id: Mapped[int | None] = mapped_column(index=True)  # the one in force
    handled: Mapped[bool] = mapped_column(index=True)  # acknowledged, or reviewed by anybody


class ReviewedRow(Table):
    """A user has marked the alert as reviewed; as read marks in a mailbox, each user has their own."""

    __tablename__ = "reviewed"

    alert_id: Mapped[str] = mapped_column(ForeignKey("alerts.alert_id", ondelete="CASCADE"), primary_key=True)
    username: Mapped[str] = mapped_column(String(64), primary_key=True)
    at_ns: Mapped[int]


class CommentRow(Table):
    """A comment on an alert; plain text, never markup."""

    __tablename__ = "comments"

    comment_id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    alert_id: Mapped[str] = mapped_column(ForeignKey("alerts.alert_id", ondelete="CASCADE"), index=True)
    author: Mapped[str] = mapped_column(String(64))
    at_ns: Mapped[int]
    text: Mapped[str] = mapped_column(Text)


class SnoozeRow(Table):
    """Mutes one alert, or a camera's alerts of one kind: their notification, never their detection.

    Ends at `until_ns`, or once a score exceeds `factor` times `score`, the score at its begin; whichever comes first.
    """

    __tablename__ = "snoozes"

    snooze_id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    alert_id: Mapped[str] = mapped_column(String(64), index=True)  # at which it was set
    scope: Mapped[str] = mapped_column(String(16))  # alert | camera
    stream_id: Mapped[str] = mapped_column(String(63))
    kind: Mapped[str] = mapped_column(String(64))
    score: Mapped[float]
    until_ns: Mapped[int | None]
    factor: Mapped[float | None]
    set_by: Mapped[str] = mapped_column(String(64))
    set_ns: Mapped[int]
    ended_ns: Mapped[int | None]
    ended_why: Mapped[str | None] = mapped_column(String(32))  # unsnoozed | time | score | replaced
    muted_alerts: Mapped[int]
    muted_revisions: Mapped[int]

    __table_args__ = (Index("ix_snoozes_stream", "stream_id", "kind", "ended_ns"),)


class CorrectionRow(Table):
    """A reviewer's correction of a stream; published from here, so that none is lost with the broker."""

    __tablename__ = "verdicts"

    verdict_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    stream_id: Mapped[str] = mapped_column(String(63), index=True)
    kind: Mapped[str] = mapped_column(String(32))
    author: Mapped[str] = mapped_column(String(64))
    created_ns: Mapped[int]
    deleted_ns: Mapped[int | None]
    published: Mapped[bool] = mapped_column(index=True)  # the broker has acknowledged its newest state
    body: Mapped[Json]


class AuditRow(Table):
    """One action of one user; never changed."""

    __tablename__ = "audit"

    audit_id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    at_ns: Mapped[int]
    actor: Mapped[str] = mapped_column(String(64))
    via: Mapped[str] = mapped_column(String(16))  # local | session | token | proxy | command
    action: Mapped[str] = mapped_column(String(32))
    subject: Mapped[str] = mapped_column(String(16))  # alert | verdict | user | token | camera
    subject_id: Mapped[str] = mapped_column(String(128))
    before: Mapped[Json | None]
    after: Mapped[Json | None]

    __table_args__ = (Index("ix_audit_subject", "subject", "subject_id", "audit_id"),)


class UserRow(Table):
    """A user. `password_hash` is argon2id; None: may enter through a trusted proxy only."""

    __tablename__ = "users"

    username: Mapped[str] = mapped_column(String(64), primary_key=True)
    role: Mapped[str] = mapped_column(String(16))
    password_hash: Mapped[str | None]
    created_ns: Mapped[int]


class SessionRow(Table):
    """A log-in; stores only the SHA-256 of the cookie's value. After its end the browser is still known."""

    __tablename__ = "sessions"

    session_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    username: Mapped[str] = mapped_column(ForeignKey("users.username", ondelete="CASCADE"), index=True)
    csrf_token: Mapped[str] = mapped_column(String(64))
    created_ns: Mapped[int]
    expires_ns: Mapped[int] = mapped_column(index=True)


class TokenRow(Table):
    """A program's key to the API; stores only its SHA-256. It is valid as long as its owner may do as much."""

    __tablename__ = "tokens"

    token_id: Mapped[str] = mapped_column(String(32), primary_key=True)
    name: Mapped[str] = mapped_column(String(64))
    role: Mapped[str] = mapped_column(String(16))
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    created_by: Mapped[str] = mapped_column(String(64))
    created_ns: Mapped[int]
    revoked_ns: Mapped[int | None]
    owner: Mapped[str | None] = mapped_column(String(64), index=True)  # None: made without an account, on this machine
    parent_id: Mapped[str | None] = mapped_column(String(32), index=True)  # the token that it was made with


class OffsetRow(Table):
    """The next offset to read in a partition; written in the transaction of the records before it."""

    __tablename__ = "offsets"

    topic: Mapped[str] = mapped_column(primary_key=True)
    partition: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    next_offset: Mapped[int]
