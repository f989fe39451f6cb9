"""The first schema."""

from __future__ import annotations

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
        sa.Column("alert_id", sa.String(length=64), nullable=False),
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
        sa.PrimaryKeyConstraint("alert_id", name="pk_alerts"),
    )
    op.create_index("ix_alerts_kind", "alerts", ["kind", "raised_ns"])
    op.create_index("ix_alerts_raised", "alerts", ["raised_ns", "alert_id"])
    op.create_index("ix_alerts_severity", "alerts", ["severity", "raised_ns"])
    op.create_index("ix_alerts_state", "alerts", ["state", "raised_ns"])
    op.create_index("ix_alerts_stream", "alerts", ["stream_id", "raised_ns"])
    op.create_table(
        "attachments",
        sa.Column("alert_id", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=64), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("published_ns", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("alert_id", "kind", name="pk_attachments"),
    )
    op.create_index("ix_attachments_published_ns", "attachments", ["published_ns"])
    op.create_table(
        "audit",
        sa.Column("audit_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("at_ns", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.String(length=64), nullable=False),
        sa.Column("via", sa.String(length=16), nullable=False),
        sa.Column("action", sa.String(length=32), nullable=False),
        sa.Column("subject", sa.String(length=16), nullable=False),
        sa.Column("subject_id", sa.String(length=128), nullable=False),
        sa.Column("before", sa.JSON(), nullable=True),
        sa.Column("after", sa.JSON(), nullable=True),
        sa.PrimaryKeyConstraint("audit_id", name="pk_audit"),
    )
    op.create_index("ix_audit_subject", "audit", ["subject", "subject_id", "audit_id"])
    op.create_table(
        "offsets",
        sa.Column("topic", sa.String(length=255), nullable=False),
        sa.Column("partition", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("next_offset", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("topic", "partition", name="pk_offsets"),
    )
    op.create_table(
        "snoozes",
        sa.Column("snooze_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("alert_id", sa.String(length=64), nullable=False),
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
        sa.PrimaryKeyConstraint("snooze_id", name="pk_snoozes"),
    )
    op.create_index("ix_snoozes_alert_id", "snoozes", ["alert_id"])
    op.create_index("ix_snoozes_stream", "snoozes", ["stream_id", "kind", "ended_ns"])
    op.create_table(
        "tokens",
        sa.Column("token_id", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("created_by", sa.String(length=64), nullable=False),
        sa.Column("created_ns", sa.BigInteger(), nullable=False),
        sa.Column("revoked_ns", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("token_id", name="pk_tokens"),
        sa.UniqueConstraint("token_hash", name="uq_tokens_token_hash"),
    )
    op.create_table(
        "users",
        sa.Column("username", sa.String(length=64), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("password_hash", sa.String(length=255), nullable=True),
        sa.Column("created_ns", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("username", name="pk_users"),
    )
    op.create_table(
        "verdicts",
        sa.Column("verdict_id", sa.String(length=64), nullable=False),
        sa.Column("stream_id", sa.String(length=63), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("author", sa.String(length=64), nullable=False),
        sa.Column("created_ns", sa.BigInteger(), nullable=False),
        sa.Column("deleted_ns", sa.BigInteger(), nullable=True),
        sa.Column("published", sa.Boolean(), nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("verdict_id", name="pk_verdicts"),
    )
    op.create_index("ix_verdicts_published", "verdicts", ["published"])
    op.create_index("ix_verdicts_stream_id", "verdicts", ["stream_id"])
    op.create_table(
        "alert_revisions",
        sa.Column("alert_id", sa.String(length=64), nullable=False),
        sa.Column("revision", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("published_ns", sa.BigInteger(), nullable=False),
        sa.Column("muted", sa.Boolean(), nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.Column("scores", sa.JSON(), nullable=True),
        sa.ForeignKeyConstraint(
            ["alert_id"], ["alerts.alert_id"], "fk_alert_revisions_alert_id_alerts", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("alert_id", "revision", name="pk_alert_revisions"),
    )
    op.create_table(
        "comments",
        sa.Column("comment_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("alert_id", sa.String(length=64), nullable=False),
        sa.Column("author", sa.String(length=64), nullable=False),
        sa.Column("at_ns", sa.BigInteger(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["alert_id"], ["alerts.alert_id"], "fk_comments_alert_id_alerts", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("comment_id", name="pk_comments"),
    )
    op.create_index("ix_comments_alert_id", "comments", ["alert_id"])
    op.create_table(
        "reviewed",
        sa.Column("alert_id", sa.String(length=64), nullable=False),
        sa.Column("username", sa.String(length=64), nullable=False),
        sa.Column("at_ns", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["alert_id"], ["alerts.alert_id"], "fk_reviewed_alert_id_alerts", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("alert_id", "username", name="pk_reviewed"),
    )
    op.create_table(
        "reviews",
        sa.Column("alert_id", sa.String(length=64), nullable=False),
        sa.Column("acknowledged_by", sa.String(length=64), nullable=True),
        sa.Column("acknowledged_ns", sa.BigInteger(), nullable=True),
        sa.Column("assignee", sa.String(length=64), nullable=True),
        sa.Column("snooze_id", sa.BigInteger(), nullable=True),
        sa.Column("handled", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["alert_id"], ["alerts.alert_id"], "fk_reviews_alert_id_alerts", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("alert_id", name="pk_reviews"),
    )
    op.create_index("ix_reviews_acknowledged_by", "reviews", ["acknowledged_by"])
    op.create_index("ix_reviews_assignee", "reviews", ["assignee"])
    op.create_index("ix_reviews_handled", "reviews", ["handled"])
    op.create_index("ix_reviews_snooze_id", "reviews", ["snooze_id"])
    op.create_table(
        "sessions",
        sa.Column("session_hash", sa.String(length=64), nullable=False),
        sa.Column("username", sa.String(length=64), nullable=False),
        sa.Column("csrf_token", sa.String(length=64), nullable=False),
        sa.Column("created_ns", sa.BigInteger(), nullable=False),
        sa.Column("expires_ns", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["username"], ["users.username"], "fk_sessions_username_users", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("session_hash", name="pk_sessions"),
    )
    op.create_index("ix_sessions_expires_ns", "sessions", ["expires_ns"])
    op.create_index("ix_sessions_username", "sessions", ["username"])
