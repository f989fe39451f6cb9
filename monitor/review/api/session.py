"""Logging in and out, and what a page must know of its visitor."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, Field

import gradwatch

from ..metrics import LOGINS
from ..shapes import Shape, Text
from ..store import accounts
from ..store.audit import Role
from ..store.schema import UserRow
from .access import COOKIE, Gate, Service, Viewer, check_origin, gate_of
from .problems import ProblemError, documented

router = APIRouter(prefix="/session", tags=["session"])


class SessionShape(Shape):
    """Who one is. Send `csrf_token` as `X-CSRF-Token` with everything but GET."""

    username: str = Field(examples=["ada"])
    role: Role
    via: str = Field(description="local, session, token or proxy", examples=["session"])
    csrf_token: str
    can_log_out: bool
    version: str = Field(description="of gradwatch")


class Credentials(BaseModel):
    """What a person types in."""

    username: Annotated[Text, Field(max_length=64, examples=["ada"])]
    password: Annotated[Text, Field(max_length=accounts.MAX_PASSWORD, json_schema_extra={"format": "password"})]


@router.get("")
def session(visitor: Viewer) -> SessionShape:
    """Who one is and what one may do; 401 where one must log in."""
    actor = visitor.actor
    return _shape(actor.username, actor.role, actor.via, visitor.csrf_token)


@router.post("", responses=documented(403, 429), openapi_extra={"security": []})
def log_in(
    credentials: Credentials,
    request: Request,
    response: Response,
    service: Service,
    gate: Annotated[Gate, Depends(gate_of)],
) -> SessionShape:
    """Logs in; the session is a cookie. Wrong passwords are slowed down by address and by name."""
    check_origin(request)
    address = gate.address(request)
    wait_s = service.limits.attempt(address, credentials.username)
    if wait_s > 0:
        LOGINS.labels("slowed").inc()
        after = {"Retry-After": str(int(wait_s) + 1)}
        raise ProblemError(429, f"too many wrong passwords; wait {wait_s:.0f} s", "login-slowed", **after)
    with service.database.reading() as session:
        user = session.get(UserRow, credentials.username)
    if not accounts.check_password(user, credentials.password) or user is None:
        LOGINS.labels("wrong").inc()
        raise _wrong()
    service.limits.right(address, credentials.username)
    with service.database.writing() as session:
        now = session.get(UserRow, user.username)
        if now is None or now.password_hash != user.password_hash:  # removed or given another one meanwhile
            raise _wrong()
        made = accounts.log_in(session, now)
    LOGINS.labels("right").inc()
    lasts_s = accounts.SESSION_NS // 1_000_000_000
    https = gate.is_https(request)
    response.set_cookie(COOKIE, made.secret, max_age=lasts_s, path="/", secure=https, httponly=True, samesite="lax")
    return _shape(made.username, made.role, "session", made.csrf_token)


@router.delete("", status_code=204, responses=documented(403))
def log_out(visitor: Viewer, request: Request, response: Response, service: Service) -> None:
    """Ends the session; does nothing for those who have none."""
    if (secret := request.cookies.get(COOKIE)) is not None:
        with service.database.writing() as session:
            accounts.log_out(session, secret)
    response.delete_cookie(COOKIE, path="/")


def _wrong() -> ProblemError:
    return ProblemError(401, "this user name and password do not belong together", "login-wrong")


def _shape(username: str, role: Role, via: str, csrf_token: str) -> SessionShape:
    return SessionShape(
        username=username,
        role=role,
        via=via,
        csrf_token=csrf_token,
        can_log_out=via == "session",
        version=gradwatch.__version__,
    )
