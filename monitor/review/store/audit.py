"""Who did what, when: one row for each action, in the transaction of the action itself."""

from __future__ import annotations

import time
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import select
from sqlalchemy.orm import Session

from .schema import AuditRow, Json


class Role(StrEnum):
    """What somebody may do; each may do what those before it may."""

    VIEWER = "viewer"  # look
    REVIEWER = "reviewer"  # act on alerts, give verdicts
    ADMIN = "admin"  # users, tokens, take back verdicts

    def includes(self, other: Role) -> bool:
        """Whether this role may do what `other` may."""
        order = list(Role)
        return order.index(self) >= order.index(other)


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts, in what role, and how they were recognized."""

    username: str
    role: Role
    via: str  # local | session | token | proxy | command


class NotFoundError(LookupError):
    """What an action is about does not exist; the message says what was expected."""


class InvalidRequestError(ValueError):
    """An action that makes no sense as things are; the message says why."""


class ConflictError(InvalidRequestError):
    """What was asked for could be done, were it not for what is there already."""


def now_ns() -> int:
    """Wall clock."""
    return time.time_ns()


def note(
    session: Session, actor: Actor, action: str, subject: str, subject_id: str, before: Json | None, after: Json | None
) -> None:
    """Writes down one action; `before` and `after` are the fields that it changed."""
    session.add(
        AuditRow(
            at_ns=now_ns(),
            actor=actor.username,
            via=actor.via,
            action=action,
            subject=subject,
            subject_id=subject_id,
            before=before,
            after=after,
        )
    )


def trail(session: Session, subject: str, subject_id: str, limit: int = 500) -> list[AuditRow]:
    """The newest `limit` actions on one subject, oldest first."""
    of_subject = (AuditRow.subject == subject, AuditRow.subject_id == subject_id)
    newest = session.scalars(select(AuditRow).where(*of_subject).order_by(AuditRow.audit_id.desc()).limit(limit))
    return list(newest)[::-1]
