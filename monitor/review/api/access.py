"""Authentication and roles: the local user on loopback, a session, an API token, or the user that a proxy names."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import Depends, Request

from ..service import ReviewService
from ..store import accounts
from ..store.audit import Actor, Role
from ..store.schema import UserRow
from .problems import ProblemError

COOKIE = "gradwatch_session"
CSRF_HEADER = "X-CSRF-Token"
SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}
PROXY_HEADERS = ("Forwarded", "X-Forwarded-For", "X-Real-IP")
UNKNOWN_PROXY = (
    "nobody logs in on loopback, but this request came through a proxy, so from anywhere: set review.login, or "
    "review.trusted_proxies if the proxy authenticates the users"
)


@dataclass(frozen=True, slots=True)
class Visitor:
    """An authenticated visitor; `csrf_token` is "" for API tokens, which no browser sends by itself."""

    actor: Actor
    csrf_token: str = field(repr=False)


class Authenticator:
    """Authenticates requests; one for each process."""

    def __init__(self, service: ReviewService) -> None:
        self.service, self.settings = service, service.settings
        self._proxies = [ip_network(network) for network in self.settings.trusted_proxies]
        self._process_secret = secrets.token_hex(32)  # CSRF tokens without a session last as long as the process

    def authenticate(self, request: Request) -> Visitor:
        """The visitor. Raises ProblemError 401 for nobody, 403 for an unknown user of a trusted proxy."""
        authorization = request.headers.get("Authorization", "")
        if authorization:
            return self._by_token(authorization)
        if not self.settings.demands_login:
            if any(name in request.headers for name in PROXY_HEADERS):
                raise ProblemError(403, UNKNOWN_PROXY, "unknown-proxy")
            return Visitor(Actor("local", Role.ADMIN, "local"), self._csrf_token("local"))
        if (named := self._by_proxy(request)) is not None:
            return named
        if (secret := request.cookies.get(COOKIE)) is not None:
            with self.service.database.reading() as session:
                found = accounts.session_of(session, secret)
                if found is not None:
                    user, csrf_token = found
                    return Visitor(Actor(user.username, Role(user.role), "session"), csrf_token)
        raise _login_required("log in first, or send an API token")

    def is_proxy(self, request: Request) -> bool:
        """Whether the request came from a trusted proxy."""
        return request.client is not None and self._is_trusted(request.client.host)

    def address(self, request: Request) -> str:
        """The client's address; behind trusted proxies, the one that the farthest of them names."""
        if self.is_proxy(request):
            # proxies append to the header, or add one after that which the browser has made up
            for forwarded in reversed(",".join(request.headers.getlist("X-Forwarded-For")).split(",")):
                if forwarded.strip() and not self._is_trusted(forwarded.strip()):
                    return forwarded.strip()[:64]
        return request.client.host if request.client is not None else ""

    def is_https(self, request: Request) -> bool:
        """Whether the browser uses https, to this server or to a trusted proxy."""
        if self.is_proxy(request):
            return request.headers.get("X-Forwarded-Proto", "") == "https"
        return request.url.scheme == "https"

    def _by_token(self, authorization: str) -> Visitor:
        scheme, _, secret = authorization.partition(" ")
        if scheme.lower() == "bearer":
            with self.service.database.reading() as session:
                found = accounts.token_of(session, secret.strip())
            if found is not None:
                token, role = found
                return Visitor(Actor(token.name, role, "token", token.token_id, token.owner), "")
        raise _login_required("expected a valid API token")

    def _by_proxy(self, request: Request) -> Visitor | None:
        named = request.headers.getlist(self.settings.user_header)
        if not any(named) or not self.is_proxy(request):
            return None
        if len(named) > 1:  # the browser may have sent one of them
            raise ProblemError(403, f"expected the header {self.settings.user_header} once, got it {len(named)} times")
        with self.service.database.reading() as session:
            user = session.get(UserRow, named[0]) if len(named[0]) <= 64 else None
        if user is None:
            raise ProblemError(403, "the proxy names an unknown user: add them with gradwatch review users add")
        return Visitor(Actor(user.username, Role(user.role), "proxy"), self._csrf_token(user.username))

    def _is_trusted(self, host: str) -> bool:
        try:
            address = ip_address(host)
        except ValueError:
            return False
        return any(address in network for network in self._proxies)

    def _csrf_token(self, username: str) -> str:
        return accounts.hash_secret(f"{self._process_secret}/{username}")


def authenticator_of(request: Request) -> Authenticator:
    """The authenticator of the application that serves `request`."""
    authenticator: Authenticator = request.app.state.authenticator
    return authenticator


def service_of(request: Request) -> ReviewService:
    """The service of the application that serves `request`."""
    return authenticator_of(request).service


def check_origin(request: Request) -> None:
    """Raises ProblemError 403 for a request sent by a page of another site."""
    origin = request.headers.get("Origin")
    is_foreign = request.headers.get("Sec-Fetch-Site", "same-origin") not in {"same-origin", "none"}
    if origin is not None:
        is_foreign = is_foreign or _netloc(origin) != request.headers.get("Host", "").lower()
    if is_foreign:
        raise ProblemError(403, "expected a request from this server's page, got one from another site", "cross-site")


def _netloc(origin: str) -> str | None:
    """Name and port of an origin, None for one that can't be parsed."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return None


def _login_required(detail: str) -> ProblemError:
    return ProblemError(401, detail, "login-required", **{"WWW-Authenticate": "Bearer"})


def require(role: Role) -> Callable[[Request], Visitor]:
    """A dependency: the visitor, with at least `role`, and protected against cross-site request forgery."""

    def visitor(request: Request) -> Visitor:
        found = authenticator_of(request).authenticate(request)
        if request.method not in SAFE_METHODS and found.actor.via != "token":
            check_origin(request)
            if not accounts.secrets_equal(request.headers.get(CSRF_HEADER, ""), found.csrf_token):
                raise ProblemError(
                    403, f"expected the header {CSRF_HEADER} with the token of GET /api/v1/session", "csrf"
                )
        if not found.actor.role.includes(role):
            raise ProblemError(403, f"expected the role {role}, got {found.actor.role}", "role")
        return found

    return visitor


Service = Annotated[ReviewService, Depends(service_of)]
Viewer = Annotated[Visitor, Depends(require(Role.VIEWER))]
Reviewer = Annotated[Visitor, Depends(require(Role.REVIEWER))]
Admin = Annotated[Visitor, Depends(require(Role.ADMIN))]
