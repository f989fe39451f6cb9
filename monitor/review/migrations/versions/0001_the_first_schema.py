"""The first schema. `NAMING` in schema.py names the keys and the indexes of one column."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Creates all tables."""
    op.create_table(
        "alerts",
        sa.Column("alert_id", sa.String(length=64), primary_key=True),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(length=64), nullable=False),
        sa.Column("severity", sa.String(length=16), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("stream_id", sa.String(length=63), nullable=False),
        sa.Column("run_id", sa.String(length=63), nullable=False),
        sa.Column("onset_seq", sa.BigInteger(), nullable=False),
        sa.Column("onset_capture_ns", sa.BigInteger(), nullable=False),
        sa.Column("last_capture_ns", sa.BigInteger(), nullable=False),
        sa.Column("score", sa.Double(), nullable=False),
        sa.Column("raised_ns", sa.BigInteger(), nullable=False),
        sa.Column("changed_ns", sa.BigInteger(), nullable=False),
        sa.Column("challenge", sa.String(length=64), nullable=True),
        sa.Column("words", sa.Text(), nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
    )
    op.create_index("ix_alerts_kind", "alerts", ["kind", "raised_ns"])
    op.create_index("ix_alerts_raised", "alerts", ["raised_ns", "alert_id"])
    op.create_index("ix_alerts_severity", "alerts", ["severity", "raised_ns"])
    op.create_index("ix_alerts_state", "alerts", ["state", "raised_ns"])
    op.create_index("ix_alerts_stream", "alerts", ["stream_id", "raised_ns"])
    op.create_table(
        "attachments",
        sa.Column("alert_id", sa.String(length=64), primary_key=True),
        sa.Column("kind", sa.String(length=64), primary_key=True),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("published_ns", sa.BigInteger(), nullable=False, index=True),
        sa.Column("body", sa.JSON(), nullable=False),
    )
    op.create_table(
        "audit",
        sa.Column("audit_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True),
        sa.Column("at_ns", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.String(length=64), nullable=False),
        sa.Column("via", sa.String(length=16), nullable=False),
        sa.Column("action", sa.String(length=32), nullable=False),
        sa.Column("subject", sa.String(length=16), nullable=False),
        sa.Column("subject_id", sa.String(length=128), nullable=False),
        sa.Column("before", sa.JSON(), nullable=True),
        sa.Column("after", sa.JSON(), nullable=True),
    )
    op.create_index("ix_audit_subject", "audit", ["subject", "subject_id", "audit_id"])
    op.create_table(
        "offsets",
        sa.Column("topic", sa.String(length=255), primary_key=True),
        sa.Column("partition", sa.BigInteger(), autoincrement=False, primary_key=True),
        sa.Column("next_offset", sa.BigInteger(), nullable=False),
    )
    op.create_table(
        "snoozes",
        sa.Column("snooze_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True),
        sa.Column("alert_id", sa.String(length=64), nullable=False, index=True),
        sa.Column("scope", sa.String(length=16), nullable=False),
        sa.Column("stream_id", sa.String(length=63), nullable=False),
        sa.Column("kind", sa.String(length=64), nullable=False),
        sa.Column("score", sa.Double(), nullable=False),
        sa.Column("until_ns", sa.BigInteger(), nullable=True),
        sa.Column("factor", sa.Double(), nullable=True),
        sa.Column("set_by", sa.String(length=64), nullable=False),
        sa.Column("set_ns", sa.BigInteger(), nullable=False),
        sa.Column("ended_ns", sa.BigInteger(), nullable=True),
        sa.Column("ended_why", sa.String(length=32), nullable=True),
        sa.Column("muted_alerts", sa.BigInteger(), nullable=False),
        sa.Column("muted_revisions", sa.BigInteger(), nullable=False),
    )
    op.create_index("ix_snoozes_stream", "snoozes", ["stream_id", "kind", "ended_ns"])
    op.create_table(
        "tokens",
        sa.Column("token_id", sa.String(length=32), primary_key=True),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("token_hash", sa.String(length=64), nullable=False, unique=True),
        sa.Column("created_by", sa.String(length=64), nullable=False),
        sa.Column("created_ns", sa.BigInteger(), nullable=False),
        sa.Column("revoked_ns", sa.BigInteger(), nullable=True),
    )
    op.create_table(
        "users",
        sa.Column("username", sa.String(length=64), primary_key=True),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("password_hash", sa.String(length=255), nullable=True),
        sa.Column("created_ns", sa.BigInteger(), nullable=False),
    )
    op.create_table(
        "verdicts",
        sa.Column("verdict_id", sa.String(length=64), primary_key=True),
        sa.Column("stream_id", sa.String(length=63), nullable=False, index=True),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("author", sa.String(length=64), nullable=False),
        sa.Column("created_ns", sa.BigInteger(), nullable=False),
        sa.Column("deleted_ns", sa.BigInteger(), nullable=True),
        sa.Column("published", sa.Boolean(), nullable=False, index=True),
        sa.Column("body", sa.JSON(), nullable=False),
    )
    op.create_table(
        "alert_revisions",
        _alert_id(primary_key=True),
        sa.Column("revision", sa.BigInteger(), autoincrement=False, primary_key=True),
        sa.Column("published_ns", sa.BigInteger(), nullable=False),
        sa.Column("muted", sa.Boolean(), nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.Column("scores", sa.JSON(), nullable=True),
    )
    op.create_table(
        "comments",
        sa.Column("comment_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True),
        _alert_id(nullable=False, index=True),
        sa.Column("author", sa.String(length=64), nullable=False),
        sa.Column("at_ns", sa.BigInteger(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
    )
    op.create_table(
        "reviewed",
        _alert_id(primary_key=True),
        sa.Column("username", sa.String(length=64), primary_key=True),
        sa.Column("at_ns", sa.BigInteger(), nullable=False),
    )
    op.create_table(
        "reviews",
        _alert_id(primary_key=True),
        sa.Column("acknowledged_by", sa.String(length=64), nullable=True, index=True),
        sa.Column("acknowledged_ns", sa.BigInteger(), nullable=True),
        sa.Column("assignee", sa.String(length=64), nullable=True, index=True),
        sa.Column("snooze_id", sa.BigInteger(), nullable=True, index=True),
        sa.Column("handled", sa.Boolean(), nullable=False, index=True),
    )
    op.create_table(
        "sessions",
        sa.Column("session_hash", sa.String(length=64), primary_key=True),
        sa.Column(
            "username",
            sa.String(length=64),
            sa.ForeignKey("users.username", ondelete="CASCADE"),
            nullable=False,
            index=True,
        ),
        sa.Column("csrf_token", sa.String(length=64), nullable=False),
        sa.Column("created_ns", sa.BigInteger(), nullable=False),
        sa.Column("expires_ns", sa.BigInteger(), nullable=False, index=True),
    )


def _alert_id(**options: Any) -> sa.Column[str]:
    return sa.Column("alert_id", sa.String(length=64), sa.ForeignKey("alerts.alert_id", ondelete="CASCADE"), **options)
