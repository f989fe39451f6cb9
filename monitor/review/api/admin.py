"""Users, API tokens and the audit trail, for admins."""

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

USERNAME = f"^{accounts.USERNAME.pattern}$"
UsernamePath = Annotated[str, Path(max_length=64, pattern=USERNAME)]
Password = Annotated[
    Text,
    Field(
        min_length=accounts.MIN_PASSWORD,
        max_length=accounts.MAX_PASSWORD,
        json_schema_extra={"format": "password"},
    ),
]


class UserShape(Shape):
    """A user."""

    username: str
    role: Role
    created_ns: Ns


class UserList(Shape):
    """Users by name."""

    users: list[UserShape]


class Names(Shape):
    """Names of the users that alerts can be assigned to."""

    usernames: list[str]


class NewUser(BaseModel):
    """A user without a password enters through a trusted proxy only."""

    username: Annotated[str, Field(max_length=64, pattern=USERNAME, examples=["ada"])]
    role: Role = Role.REVIEWER
    password: Annotated[Password | None, Field(repr=False)] = None


class UserChange(BaseModel):
    """Fields that are null stay as they are."""

    role: Role | None = None
    password: Annotated[Password | None, Field(repr=False)] = None


class TokenShape(Shape):
    """A program's key to the API."""

    token_id: str
    name: str
    role: Role
    created_by: str
    created_ns: Ns


class TokenList(Shape):
    """Tokens, oldest first."""

    tokens: list[TokenShape]


class NewToken(BaseModel):
    """`name` is that of the program in the audit trail."""

    name: Annotated[
        str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9._@-]*$", examples=["grafana"])
    ]
    role: Role = Role.VIEWER


class MadeToken(TokenShape):
    """`secret` goes into the header `Authorization: Bearer …`; it can't be shown again."""

    secret: str = Field(repr=False)


class AuditPage(Shape):
    """Actions, newest first; `next_before` asks for older ones."""

    actions: list[Action]
    next_before: int | None


@router.get("/users/names")
def names(service: Service, visitor: Viewer) -> Names:
    """The users that alerts can be assigned to."""
    with service.database.reading() as session:
        found = {user.username for user in accounts.list_users(session)} | {visitor.actor.username}
    return Names(usernames=sorted(found))


@router.get("/users", responses=documented(403))
def users(service: Service, visitor: Admin) -> UserList:
    """All users."""
    with service.database.reading() as session:
        return UserList(users=[UserShape.model_validate(user) for user in accounts.list_users(session)])


@router.post("/users", status_code=201, responses=documented(403, 409))
def add_user(service: Service, visitor: Admin, body: NewUser) -> Names:
    """Adds a user."""
    with service.database.writing() as session:
        accounts.add_user(session, visitor.actor, body.username, body.role, body.password)
        return Names(usernames=[user.username for user in accounts.list_users(session)])


@router.patch("/users/{username}", status_code=204, responses=documented(403, 404, 409))
def change_user(service: Service, visitor: Admin, username: UsernamePath, body: UserChange) -> None:
    """Changes a user's role or password; a new password ends their sessions."""
    with service.database.writing() as session:
        if body.role is not None:
            accounts.set_role(session, visitor.actor, username, body.role)
        if body.password is not None:
            accounts.set_password(session, visitor.actor, username, body.password)


@router.delete("/users/{username}", status_code=204, responses=documented(403, 404, 409))
def remove_user(service: Service, visitor: Admin, username: UsernamePath) -> None:
    """Removes a user; their name stays in the audit trail."""
    with service.database.writing() as session:
        accounts.remove_user(session, visitor.actor, username)


@router.get("/tokens", responses=documented(403))
def tokens(service: Service, visitor: Admin) -> TokenList:
    """All valid tokens, without their secrets."""
    with service.database.reading() as session:
        return TokenList(tokens=[TokenShape.model_validate(token) for token in accounts.list_tokens(session)])


@router.post("/tokens", status_code=201, responses=documented(403))
def add_token(service: Service, visitor: Admin, body: NewToken) -> MadeToken:
    """Creates a token; its secret is in this answer alone."""
    with service.database.writing() as session:
        row, secret = accounts.add_token(session, visitor.actor, body.name, body.role)
        return MadeToken(**TokenShape.model_validate(row).model_dump(mode="python"), secret=secret)


@router.delete("/tokens/{token_id}", status_code=204, responses=documented(403, 404))
def revoke_token(service: Service, visitor: Admin, token_id: Annotated[str, Path(pattern="^[0-9a-f]{1,32}$")]) -> None:
    """Revokes a token at once, and those that were made with it."""
    with service.database.writing() as session:
        accounts.revoke_token(session, visitor.actor, token_id)


@router.get("/audit", responses=documented(403))
def audit_trail(
    service: Service,
    visitor: Admin,
    before: Annotated[int | None, Query(ge=1, le=2**63 - 1, description="`next_before` of an earlier page")] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> AuditPage:
    """The actions of all users, newest first."""
    query = select(AuditRow).order_by(AuditRow.audit_id.desc()).limit(limit + 1)
    if before is not None:
        query = query.where(AuditRow.audit_id < before)
    with service.database.reading() as session:
        rows = list(session.scalars(query))
    more = len(rows) > limit
    shown = [Action.model_validate(row) for row in rows[:limit]]
    return AuditPage(actions=shown, next_before=shown[-1].audit_id if more else None)
