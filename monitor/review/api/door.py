"""Who is let in, before any route is looked up: strangers get the log-in page, what it loads, and the log-in itself.

A new route is behind the door without doing anything for it.
"""

from __future__ import annotations

from urllib.parse import quote

from fastapi import Request, Response
from fastapi.responses import RedirectResponse

from .access import Authenticator, check_origin, wanted_address
from .problems import ProblemError, answer_to

LOGIN_PAGE, LOGIN = "/login", "/api/v1/session"
LOGIN_ASSETS = (
    *("api.js", "icon.svg", "login.js", "theme.js", "fonts/inter.woff2"),
    *(f"styles/{name}.css" for name in ("controls", "login", "surfaces", "tokens")),
)
PUBLIC = frozenset({("GET", LOGIN_PAGE), ("POST", LOGIN), *(("GET", f"/assets/{name}") for name in LOGIN_ASSETS)})


class Door:
    """Call it with a request: None lets it pass, with `request.state.visitor` unless it is public; else the answer."""

    def __init__(self, authenticator: Authenticator) -> None:
        self._authenticator = authenticator

    def __call__(self, request: Request) -> Response | None:
        """Reads the database, so it is called in a thread."""
        path = request.scope["path"]  # a URL could not be made of any Host
        if (request.method, path) in PUBLIC:
            return None
        is_page = request.method == "GET" and not path.startswith(("/api/", "/assets/"))
        try:
            if is_page and (entered := self._authenticator.by_link(request)) is not None:
                return entered
            visitor = self._authenticator.authenticate(request)
            # a link on another site may lead to the page, but nothing there may load what is behind it
            if visitor.csrf_token and not (is_page and request.headers.get("Sec-Fetch-Mode") == "navigate"):
                check_origin(request)
        except Exception as error:
            if is_page and isinstance(error, ProblemError) and error.status == 401:
                return RedirectResponse(_login_address(request), 303)
            return answer_to(request, error)
        request.state.visitor = visitor
        return None


def _login_address(request: Request) -> str:
    """The log-in page, which leads back."""
    wanted = wanted_address(request)
    return LOGIN_PAGE if wanted == "/" else f"{LOGIN_PAGE}?next={quote(wanted, safe='')}"
