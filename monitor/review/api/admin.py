"""Users, tokens and the audit trail: for admins."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, Field
from sqlalchemy import select

from ..shapes import Action, Ns, Shape, Text
from ..store import accounts
from ..store.audit import Role
from ..store.schema import AuditRow
from .access import Admin, Service, Viewer
from .problems import documented

router = APIRouter(tags=["admin"])

UsernamePath = Annotated[str, Path(max_length=64, pattern=f"^{accounts.USERNAME.pattern}$")]
Password = Annotated[
    Text,
    Field(min_length=accounts.MIN_PASSWORD, max_length=accounts.MAX_PASSWORD, json_schema_extra={"format": "password"}),
]


class UserShape(Shape):
    """Somebody who may log in."""

    username: str
    role: Role
    created_ns: Ns


class UserList(Shape):
    """By name."""

    users: list[UserShape]


class Names(Shape):
    """Of users, to whom alerts can be assigned."""

    usernames: list[str]


class NewUser(BaseModel):
    """Without a password only a trusted proxy lets them in."""

    username: Annotated[str, Field(max_length=64, pattern=f"^{accounts.USERNAME.pattern}$", examples=["ada"])]
    role: Role = Role.REVIEWER
    password: Password | None = None


class UserChange(BaseModel):
    """What is null stays."""

    role: Role | None = None
    password: Password | None = None


class TokenShape(Shape):
    """A program's key; its secret is shown once."""

    token_id: str
    name: str
    role: Role
    created_by: str
    created_ns: Ns


class TokenList(Shape):
    """Oldest first."""

    tokens: list[TokenShape]


class NewToken(BaseModel):
    """`name` is what the audit trail will call the program."""

    name: Annotated[
        str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9._@-]*$", examples=["grafana"])
    ]
    role: Role = Role.VIEWER


class MadeToken(TokenShape):
    """`secret` goes into the header `Authorization: Bearer …` and can't be shown again."""

    secret: str


class AuditPage(Shape):
    """Newest first; ask again with `next_before` for older ones."""

    actions: list[Action]
    next_before: int | None


@router.get("/users/names")
def names(service: Service, visitor: Viewer) -> Names:
    """To whom alerts can be assigned."""
    with service.database.reading() as session:
        found = {user.username for user in accounts.users(session)} | {visitor.actor.username}
    return Names(usernames=sorted(found))


@router.get("/users", responses=documented(403))
def users(service: Service, visitor: Admin) -> UserList:
    """All users."""
    with service.database.reading() as session:
        return UserList(users=[UserShape.model_validate(user) for user in accounts.users(session)])


@router.post("/users", status_code=201, responses=documented(403, 409))
def add_user(service: Service, visitor: Admin, body: NewUser) -> Names:
    """Adds a user."""
    with service.database.writing() as session:
        accounts.add_user(session, visitor.actor, body.username, body.role, body.password)
        return Names(usernames=[user.username for user in accounts.users(session)])


@router.patch("/users/{username}", status_code=204, responses=documented(403, 404, 409))
def change_user(service: Service, visitor: Admin, username: UsernamePath, body: UserChange) -> None:
    """Gives a user another role or password; a new password ends their sessions."""
    with service.database.writing() as session:
        if body.role is not None:
            accounts.set_role(session, visitor.actor, username, body.role)
        if body.password is not None:
            accounts.set_password(session, visitor.actor, username, body.password)


@router.delete("/users/{username}", status_code=204, responses=documented(403, 404, 409))
def remove_user(service: Service, visitor: Admin, username: UsernamePath) -> None:
    """Removes a user; what they did stays theirs."""
    with service.database.writing() as session:
        accounts.remove_user(session, visitor.actor, username)


@router.get("/tokens", responses=documented(403))
def tokens(service: Service, visitor: Admin) -> TokenList:
    """All tokens in force; never their secrets."""
    with service.database.reading() as session:
        return TokenList(tokens=[TokenShape.model_validate(token) for token in accounts.tokens(session)])


@router.post("/tokens", status_code=201, responses=documented(403))
def add_token(service: Service, visitor: Admin, body: NewToken) -> MadeToken:
    """Makes a token; its secret is in this answer and nowhere else."""
    with service.database.writing() as session:
        row, secret = accounts.add_token(session, visitor.actor, body.name, body.role)
        return MadeToken(**TokenShape.model_validate(row).model_dump(mode="python"), secret=secret)


@router.delete("/tokens/{token_id}", status_code=204, responses=documented(403, 404))
def revoke_token(service: Service, visitor: Admin, token_id: Annotated[str, Path(pattern="^[0-9a-f]{1,32}$")]) -> None:
    """Revokes a token at once."""
    with service.database.writing() as session:
        accounts.revoke_token(session, visitor.actor, token_id)


@router.get("/audit", responses=documented(403))
def audit_trail(
    service: Service,
    visitor: Admin,
    before: Annotated[int | None, Query(ge=1, le=2**63 - 1, description="`next_before` of an earlier page")] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> AuditPage:
    """What everybody did, newest first."""
    query = select(AuditRow).order_by(AuditRow.audit_id.desc()).limit(limit + 1)
    if before is not None:
        query = query.where(AuditRow.audit_id < before)
    with service.database.reading() as session:
        rows = list(session.scalars(query))
    more = len(rows) > limit
    shown = [Action.model_validate(row) for row in rows[:limit]]
    return AuditPage(actions=shown, next_before=shown[-1].audit_id if more else None)
