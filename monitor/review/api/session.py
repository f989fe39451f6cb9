"""Log-in, log-out, and the visitor's own session."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, Field

import gradwatch

from ..metrics import LOGINS
from ..shapes import Shape, Text
from ..store import accounts
from ..store.audit import Actor, Role
from ..store.schema import UserRow
from .access import (
    COOKIE,
    Authenticator,
    Service,
    Viewer,
    Visitor,
    authenticator_of,
    check_origin,
    link_cookie,
    set_cookie,
)
from .problems import ProblemError, documented

router = APIRouter(prefix="/session", tags=["session"])

WRONG = (401, "wrong user name or password", "login-wrong")


class SessionShape(Shape):
    """The visitor. Send `csrf_token` as `X-CSRF-Token` with every request but GET."""

    username: str = Field(examples=["ada"])
    role: Role
    via: str = Field(description="local, session, token or proxy", examples=["session"])
    csrf_token: str = Field(repr=False)
    can_log_out: bool
    version: str = Field(description="of gradwatch")


class Credentials(BaseModel):
    """A user's name and password."""

    username: Annotated[Text, Field(max_length=64, examples=["ada"])]
    password: Annotated[
        Text, Field(max_length=accounts.MAX_PASSWORD, json_schema_extra={"format": "password"}, repr=False)
    ]


@router.get("")
def session(visitor: Viewer) -> SessionShape:
    """The visitor and their role; 401 if they must log in."""
    return _shape(visitor)


@router.post("", responses=documented(403, 429, 503), openapi_extra={"security": []})
def log_in(
    credentials: Credentials,
    request: Request,
    response: Response,
    service: Service,
    authenticator: Annotated[Authenticator, Depends(authenticator_of)],
) -> SessionShape:
    """Logs in and sets a session cookie. Whoever sends wrong passwords is slowed down."""
    check_origin(request)
    address, cookie = authenticator.address(request), request.cookies.get(COOKIE)
    with service.database.reading() as session:
        user = session.get(UserRow, credentials.username)
        device = cookie if accounts.is_device_of(session, cookie, credentials.username) else None
    wait_s = service.limits.attempt(address, credentials.username, device)
    if wait_s > 0:
        LOGINS.labels("slowed").inc()
        after = {"Retry-After": str(int(wait_s) + 1)}
        raise ProblemError(429, f"too many wrong passwords; wait {wait_s:.0f} s", "login-slowed", **after)
    with nullcontext() if device else service.password_checks.turn(address):
        is_right = accounts.check_password(user, credentials.password)
    if not is_right or user is None:
        LOGINS.labels("wrong").inc()
        raise ProblemError(*WRONG)
    service.limits.succeeded(address, credentials.username, device)
    with service.database.writing() as session:
        now = session.get(UserRow, user.username)
        if now is None or now.password_hash != user.password_hash:  # removed or changed since it was read
            raise ProblemError(*WRONG)
        secret, csrf_token = accounts.log_in(session, now, cookie)
    LOGINS.labels("right").inc()
    # it outlives the session: a browser that is known is not slowed by those who guess from elsewhere
    set_cookie(response, COOKIE, secret, authenticator.is_https(request), accounts.DEVICE_NS // 1_000_000_000)
    return _shape(Visitor(Actor(now.username, Role(now.role), "session"), csrf_token))


@router.delete("", status_code=204, responses=documented(403))
def log_out(visitor: Viewer, request: Request, response: Response, service: Service) -> None:
    """Ends the session, if there is one."""
    if (secret := request.cookies.get(COOKIE)) is not None:
        with service.database.writing() as session:
            accounts.log_out(session, secret)
    response.delete_cookie(link_cookie(request), path="/")


def _shape(visitor: Visitor) -> SessionShape:
    actor = visitor.actor
    return SessionShape(
        username=actor.username,
        role=actor.role,
        via=actor.via,
        csrf_token=visitor.csrf_token,
        can_log_out=actor.via in {"session", "local"},
        version=gradwatch.__version__,
    )
