"""Who is asking, and what they may do: loopback's local user, a session, an API token, or a trusted proxy's word."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
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
SAFE = {"GET", "HEAD", "OPTIONS"}


OF_PROXIES = ("Forwarded", "X-Forwarded-For", "X-Real-IP")
UNKNOWN_PROXY = (
    "nobody logs in on loopback, but this came through a proxy, so from anywhere: set review.login, or "
    "review.trusted_proxies where the proxy says who somebody is"
)


@dataclass(frozen=True, slots=True)
class Visitor:
    """Somebody who was recognized; `csrf_token` is "" for tokens, which no browser sends by itself."""

    actor: Actor
    csrf_token: str


class Gate:
    """Recognizes who asks; one for each process."""

    def __init__(self, service: ReviewService) -> None:
        self.service, self.settings = service, service.settings
        self._proxies = [ip_network(network) for network in self.settings.trusted_proxies]
        self._process_secret = secrets.token_hex(32)  # CSRF tokens of those without a session last as long as we do

    def recognize(self, request: Request) -> Visitor:
        """The visitor. Raises ProblemError 401 for nobody, 403 for a user of the proxy who is none of ours."""
        authorization = request.headers.get("Authorization", "")
        if authorization:
            return self._by_token(authorization)
        if not self.settings.demands_login:
            if any(name in request.headers for name in OF_PROXIES):
                raise ProblemError(403, UNKNOWN_PROXY, "unknown-proxy")
            return Visitor(Actor("local", Role.ADMIN, "local"), self._csrf_of("local"))
        named = self._by_proxy(request)
        if named is not None:
            return named
        if (secret := request.cookies.get(COOKIE)) is not None:
            with self.service.database.reading() as session:
                found = accounts.session_of(session, secret)
                if found is not None:
                    user, csrf_token = found
                    return Visitor(Actor(user.username, Role(user.role), "session"), csrf_token)
        raise _stranger("log in first, or send an API token")

    def is_proxy(self, request: Request) -> bool:
        """Whether the request came from a proxy that is trusted."""
        if request.client is None or not self._proxies:
            return False
        return self._is_trusted(request.client.host)

    def address(self, request: Request) -> str:
        """Where the request came from; behind trusted proxies, what the farthest of them says."""
        if self.is_proxy(request):
            # proxies add a name to the header, or a header below the one that the browser has made up
            for forwarded in reversed(",".join(request.headers.getlist("X-Forwarded-For")).split(",")):
                if forwarded.strip() and not self._is_trusted(forwarded.strip()):
                    return forwarded.strip()[:64]
        return request.client.host if request.client is not None else ""

    def is_https(self, request: Request) -> bool:
        """Whether the browser speaks https, to us or to a trusted proxy."""
        if self.is_proxy(request):
            return request.headers.get("X-Forwarded-Proto", "") == "https"
        return request.url.scheme == "https"

    def _by_token(self, authorization: str) -> Visitor:
        scheme, _, secret = authorization.partition(" ")
        if scheme.lower() == "bearer":
            with self.service.database.reading() as session:
                token = accounts.token_of(session, secret.strip())
            if token is not None:
                return Visitor(Actor(token.name, Role(token.role), "token"), "")
        raise _stranger("expected an API token that is valid")

    def _by_proxy(self, request: Request) -> Visitor | None:
        named = request.headers.getlist(self.settings.user_header)
        if not any(named) or not self.is_proxy(request):
            return None
        if len(named) > 1:  # one of them may be the browser's
            raise ProblemError(403, f"expected the header {self.settings.user_header} once, got it {len(named)} times")
        with self.service.database.reading() as session:
            user = session.get(UserRow, named[0]) if len(named[0]) <= 64 else None
        if user is None:
            raise ProblemError(403, "the proxy names somebody who is no user here: gradwatch review users add")
        return Visitor(Actor(user.username, Role(user.role), "proxy"), self._csrf_of(user.username))

    def _is_trusted(self, host: str) -> bool:
        try:
            address = ip_address(host)
        except ValueError:
            return False
        return any(address in network for network in self._proxies)

    def _csrf_of(self, username: str) -> str:
        return accounts.digest(f"{self._process_secret}/{username}")


def gate_of(request: Request) -> Gate:
    """The gate of the application that serves `request`."""
    gate: Gate = request.app.state.gate
    return gate


def service_of(request: Request) -> ReviewService:
    """The service behind it."""
    return gate_of(request).service


def check_origin(request: Request) -> None:
    """Raises ProblemError 403 for a request that another site's page has sent."""
    origin = request.headers.get("Origin")
    is_foreign = request.headers.get("Sec-Fetch-Site", "same-origin") not in {"same-origin", "none"}
    if origin is not None:
        is_foreign = is_foreign or _netloc(origin) != request.headers.get("Host", "").lower()
    if is_foreign:
        raise ProblemError(403, "expected a request of our own page, got one of another site", "cross-site")


def _netloc(origin: str) -> str | None:
    """Name and port of an origin, None for one that can't be read."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return None


def _stranger(detail: str) -> ProblemError:
    return ProblemError(401, detail, "login-required", **{"WWW-Authenticate": "Bearer"})


def require(role: Role) -> Callable[[Request], Visitor]:
    """A dependency: the visitor, who may do what `role` may, and whose browser was not tricked into asking."""

    def visitor(request: Request) -> Visitor:
        found = gate_of(request).recognize(request)
        if request.method not in SAFE and found.actor.via != "token":
            check_origin(request)
            if not accounts.equal(request.headers.get(CSRF_HEADER, ""), found.csrf_token):
                raise ProblemError(403, f"expected the header {CSRF_HEADER}, as GET /api/v1/session gives it", "csrf")
        if not found.actor.role.includes(role):
            raise ProblemError(403, f"expected the role {role}, got {found.actor.role}", "role")
        return found

    return visitor


Service = Annotated[ReviewService, Depends(service_of)]
Viewer = Annotated[Visitor, Depends(require(Role.VIEWER))]
Reviewer = Annotated[Visitor, Depends(require(Role.REVIEWER))]
Admin = Annotated[Visitor, Depends(require(Role.ADMIN))]
