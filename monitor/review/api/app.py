"""The application: all routes, their errors, and a complete OpenAPI document."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.openapi.utils import get_openapi
from starlette.types import ASGIApp

import gradwatch

from ..service import ReviewService
from ..settings import is_loopback
from . import admin, alerts, cameras, clips, corrections, live_events, pages, problems, session
from .access import COOKIE, CSRF_HEADER, Authenticator, Viewer
from .door import Door
from .guard import Guard

PREFIX = "/api/v1"
DESCRIPTION = f"""Alerts of gradwatch, and the actions of their reviewers.

Send a session cookie (POST {PREFIX}/session, or open the link that the server printed) or a header
`Authorization: Bearer TOKEN`, with an API token or the secret of that link.
Everything but GET needs the header `{CSRF_HEADER}` with the token of GET {PREFIX}/session, unless an API token is sent.
Errors are `application/problem+json` (RFC 9457). Times named `_ns` are decimal strings."""
REPEATABLE = {"camera", "kind", "severity", "state", "review", "challenge"}  # several values are alternatives
SECURITY = {
    "session": {"type": "apiKey", "in": "cookie", "name": COOKIE},
    "token": {"type": "http", "scheme": "bearer"},
}


def build_app(service: ReviewService) -> ASGIApp:
    """The application that serves `service`, behind its guard."""
    app = FastAPI(
        title="gradwatch review",
        version=gradwatch.__version__,
        openapi_url=None,  # FastAPI's own pages of documentation load scripts from other sites
        exception_handlers=problems.HANDLERS,
    )
    app.state.authenticator = authenticator = Authenticator(service)
    api = APIRouter(
        prefix=PREFIX,
        dependencies=[Depends(check_not_repeated)],
        responses=problems.documented(400, 401, 413, 422),
    )
    for part in (session, alerts, clips, cameras, corrections, live_events, admin):
        api.include_router(part.router)

    @api.get("/openapi.json", include_in_schema=False)
    def document(visitor: Viewer, request: Request) -> dict[str, Any]:
        """This document."""
        return openapi(request.app)

    app.include_router(api)
    app.include_router(pages.router)
    settings = service.settings
    # Where visitors log in, a foreign name has no cookie and can read nothing, so any is answered unless configured.
    checks_hosts = is_loopback(settings.host) or settings.allowed_hosts
    return Guard(app, settings.allowed_hosts if checks_hosts else None, Door(authenticator))


def check_not_repeated(request: Request) -> None:
    """Raises ProblemError 422 for a repeated parameter of which only one value would be read."""
    names = [name for name, _ in request.query_params.multi_items() if name not in REPEATABLE]
    if len(names) > len(set(names)):
        raise problems.ProblemError(422, f"query: expected each of {', '.join(sorted(set(names)))[:200]} once")


def openapi(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document, with errors as problems and the ways to authenticate."""
    document: dict[str, Any] = get_openapi(
        title=app.title, version=app.version, description=DESCRIPTION, routes=app.routes
    )
    document["components"]["securitySchemes"] = SECURITY
    document["security"] = [{name: []} for name in SECURITY]
    for path in document["paths"].values():
        for operation in path.values():
            for status, response in operation["responses"].items():
                if int(status) >= 400:
                    response["content"] = {problems.MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    for unused in ("HTTPValidationError", "ValidationError"):
        document["components"]["schemas"].pop(unused, None)
    return document
