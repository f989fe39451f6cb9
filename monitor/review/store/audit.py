"""Actors with their roles, and the audit trail: one row for each action, in the transaction of the action itself."""

from __future__ import annotations

import time
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import select
from sqlalchemy.orm import Session

from .schema import AuditRow, Json

MAX_TRAIL = 500


class Role(StrEnum):
    """What a user may do; each role includes those before it."""

    VIEWER = "viewer"  # look
    REVIEWER = "reviewer"  # act on alerts, correct the system
    ADMIN = "admin"  # manage users and tokens, withdraw corrections

    def includes(self, other: Role) -> bool:
        """Whether this role may do what `other` may."""
        order = list(Role)
        return order.index(self) >= order.index(other)


@dataclass(frozen=True, slots=True)
class Actor:
    """The user or program that acts, its role, and how it was authenticated."""

    username: str  # or the name of a token
    role: Role
    via: str  # local | session | token | proxy | command
    token_id: str | None = None  # of a token ...
    token_owner: str | None = None  # ... and the user from whom it has its rights

    @property
    def account(self) -> str | None:
        """The user from whom it has its rights; None for this machine's own, who needs no account."""
        if self.via == "token":
            return self.token_owner
        return self.username if self.via in {"session", "proxy"} else None


def record_action(
    session: Session, actor: Actor, action: str, subject: str, subject_id: str, before: Json | None, after: Json | None
) -> None:
    """Adds one action to the trail; `before` and `after` are the fields that it changed."""
    row = AuditRow(at_ns=time.time_ns(), actor=actor.username, via=actor.via, action=action)
    row.subject, row.subject_id, row.before, row.after = subject, subject_id, before, after
    session.add(row)


def trail(session: Session, subject: str, subject_id: str) -> list[AuditRow]:
    """The newest `MAX_TRAIL` actions on one subject, oldest first."""
    of_subject = (AuditRow.subject == subject, AuditRow.subject_id == subject_id)
    newest = session.scalars(select(AuditRow).where(*of_subject).order_by(AuditRow.audit_id.desc()).limit(MAX_TRAIL))
    return list(newest)[::-1]
