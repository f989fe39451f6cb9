"""Tokens know whose rights they have and which token made them, so that they end with both."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# In the first schema a token that was made with a token has only its parent's name; the audit trail says which do.
PARENTS = """
UPDATE tokens SET parent_id = (
    SELECT parent.token_id FROM tokens AS parent
    WHERE parent.name = tokens.created_by AND parent.created_ns < tokens.created_ns
    ORDER BY parent.created_ns DESC LIMIT 1
) WHERE token_id IN (SELECT subject_id FROM audit WHERE subject = 'token' AND action = 'add' AND via = 'token')
"""
OWNERS = """
UPDATE tokens SET owner = created_by
WHERE token_id IN (
    SELECT subject_id FROM audit WHERE subject = 'token' AND action = 'add' AND via IN ('session', 'proxy')
)
"""
INHERITED = """
WITH RECURSIVE lineage (token_id, owner) AS (
    SELECT token_id, owner FROM tokens WHERE parent_id IS NULL
    UNION ALL
    SELECT tokens.token_id, lineage.owner FROM tokens JOIN lineage ON tokens.parent_id = lineage.token_id
)
UPDATE tokens SET owner = (SELECT lineage.owner FROM lineage WHERE lineage.token_id = tokens.token_id)
WHERE parent_id IS NOT NULL
"""


def upgrade() -> None:
    """Adds both columns and fills them from the audit trail."""
    with op.batch_alter_table("tokens") as table:
        table.add_column(sa.Column("owner", sa.String(length=64), nullable=True, index=True))
        table.add_column(sa.Column("parent_id", sa.String(length=32), nullable=True, index=True))
    for statement in (PARENTS, OWNERS, INHERITED):
        op.execute(statement)


def downgrade() -> None:
    """Forgets both."""
    with op.batch_alter_table("tokens") as table:
        table.drop_column("parent_id")
        table.drop_column("owner")
