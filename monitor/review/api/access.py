"""Authentication and roles: a session, an API token, the user that a trusted proxy names, or the server's link.

Where nobody logs in, whoever starts the server gets a link with a secret. Being on this machine, or in front of it, is
not enough: a proxy or a page of another site is on loopback too.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import Annotated
from urllib.parse import quote, urlencode, urlsplit

from fastapi import Depends, Request, Response
from fastapi.responses import RedirectResponse

from ..service import ReviewService
from ..store import accounts
from ..store.audit import Actor, Role
from ..store.login_limits import network_of
from ..store.schema import UserRow
from .problems import ProblemError

COOKIE = "gradwatch_session"
CSRF_HEADER = "X-CSRF-Token"
SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}
TOKEN = "token"  # the parameter that carries the secret of the link
LOCAL = Actor("local", Role.ADMIN, "local")


@dataclass(frozen=True, slots=True)
class Visitor:
    """An authenticated visitor; `csrf_token` is "" after an `Authorization`, which no browser sends by itself."""

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
        if (named := self._by_proxy(request)) is not None:
            return named
        if (secret := request.cookies.get(COOKIE)) is not None:
            with self.service.database.reading() as session:
                found = accounts.session_of(session, secret)
                if found is not None:
                    user, csrf_token = found
                    return Visitor(Actor(user.username, Role(user.role), "session"), csrf_token)
        cookie = request.cookies.get(link_cookie(request), "")
        if accounts.secrets_equal(cookie, self._derived("cookie")) and self.service.takes_link():
            return Visitor(LOCAL, self._derived("csrf"))
        raise _login_required("log in first, or send an API token")

    def by_link(self, request: Request) -> Response | None:
        """For a request with the secret of the link: to the same address without it, and a cookie instead."""
        if not self._is_link(request.query_params.get(TOKEN, "")):
            return None
        answer = RedirectResponse(wanted_address(request), 303)
        set_cookie(answer, link_cookie(request), self._derived("cookie"), self.is_https(request))
        return answer

    def is_proxy(self, request: Request) -> bool:
        """Whether the request came from a trusted proxy."""
        return request.client is not None and self.is_trusted(request.client.host)

    def address(self, request: Request) -> str:
        """The client's address, of IPv6 its /64; behind trusted proxies, the one that the farthest of them names."""
        if self.is_proxy(request):
            # proxies append to the header, or add one after that which the browser has made up
            for forwarded in reversed(",".join(request.headers.getlist("X-Forwarded-For")).split(",")):
                if forwarded.strip() and not self.is_trusted(forwarded.strip()):
                    return network_of(forwarded.strip()[:64])
        return network_of(request.client.host if request.client is not None else "")

    def is_https(self, request: Request) -> bool:
        """Whether the browser uses https, to this server or to a trusted proxy."""
        if self.is_proxy(request):
            return request.headers.get("X-Forwarded-Proto", "") == "https"
        return str(request.scope["scheme"]) == "https"

    def _by_token(self, authorization: str) -> Visitor:
        scheme, _, secret = authorization.partition(" ")
        if scheme.lower() == "bearer":
            if self._is_link(secret.strip()):
                return Visitor(LOCAL, "")
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

    def is_trusted(self, host: str) -> bool:
        """Whether a trusted proxy has this address."""
        try:
            address = ip_address(host)
        except ValueError:
            return False
        return any(address in network for network in self._proxies)

    def _csrf_token(self, username: str) -> str:
        return accounts.hash_secret(f"{self._process_secret}/{username}")

    def _is_link(self, secret: str) -> bool:
        return accounts.secrets_equal(secret, self.service.secret) and self.service.takes_link()

    def _derived(self, purpose: str) -> str:
        """The secret for one purpose: nobody can compute the link from a cookie, or a cookie from the page's token."""
        return accounts.hash_secret(f"{purpose}/{self.service.secret}")


def wanted_address(request: Request) -> str:
    """Path and parameters of a request, without the secret of a link. A path, whatever it begins with."""
    query = urlencode([(name, value) for name, value in request.query_params.multi_items() if name != TOKEN])
    return quote("/" + str(request.scope["path"]).lstrip("/\\")) + (f"?{query}" if query else "")


def link_cookie(request: Request) -> str:
    """The cookie of the link. Named by port: browsers send the cookies of one server to all ports of the machine."""
    server = request.scope.get("server") or ("", 0)
    return f"gradwatch_link_{server[1]}"


def set_cookie(answer: Response, name: str, value: str, https: bool, lasts_s: int | None = None) -> None:
    """Sets a cookie that scripts and other sites can't use; it ends with the browser unless `lasts_s` is given."""
    answer.set_cookie(name, value, max_age=lasts_s, path="/", secure=https, httponly=True, samesite="lax")


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
        found: Visitor = request.state.visitor  # of the door; without it the request fails
        sent = request.headers.get(CSRF_HEADER, "")
        is_checked = request.method not in SAFE_METHODS and found.csrf_token
        if is_checked and not accounts.secrets_equal(sent, found.csrf_token):
            raise ProblemError(403, f"expected the header {CSRF_HEADER} with the token of GET /api/v1/session", "csrf")
        if not found.actor.role.includes(role):
            raise ProblemError(403, f"expected the role {role}, got {found.actor.role}", "role")
        return found

    return visitor


Service = Annotated[ReviewService, Depends(service_of)]
Viewer = Annotated[Visitor, Depends(require(Role.VIEWER))]
Reviewer = Annotated[Visitor, Depends(require(Role.REVIEWER))]
Admin = Annotated[Visitor, Depends(require(Role.ADMIN))]
