"""Everything outside /api/v1: the files of the page, probes and metrics."""

from __future__ import annotations

import hashlib
import mimetypes
from pathlib import Path
from urllib.parse import quote

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from .access import Service, Viewer, authenticator_of
from .pictures import is_cached
from .problems import ProblemError, problem

router = APIRouter(include_in_schema=False)

PAGE = Path(__file__).resolve().parent.parent / "page"
LOGIN_PAGE, APPLICATION = "login.html", "index.html"
# Served to anybody: the log-in page needs them, and they contain no data.
SUFFIXES = {".html", ".css", ".js", ".mjs", ".svg", ".png", ".ico", ".woff2", ".webmanifest", ".json", ".txt"}


@router.get("/healthz")
def healthz(service: Service) -> Response:
    """Alive: 200, or 503 if a thread has died. No details, since anybody may ask."""
    return _probe(all(check.ok for check in service.health.liveness()))


@router.get("/readyz")
def readyz(service: Service) -> Response:
    """Ready: the database answers. Without a broker stored alerts can still be reviewed."""
    return _probe(all(check.ok for check in service.health.readiness()))


@router.get("/metrics")
def metrics(visitor: Viewer) -> Response:
    """For Prometheus, which needs an API token where log-in is required."""
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


@router.get("/login")
def login(request: Request) -> Response:
    """The log-in page."""
    return _file(request, PAGE / LOGIN_PAGE)


@router.get("/assets/{path:path}")
def asset(request: Request, path: str) -> Response:
    """Scripts, styles and pictures of the page."""
    folder = PAGE / "assets"
    found = (folder / path).resolve() if "\0" not in path else folder
    if not found.is_relative_to(folder) or found.suffix not in SUFFIXES:
        raise ProblemError(404, "expected a file of the page, found none of that name")
    return _file(request, found)


@router.get("/")
@router.get("/{path:path}")
def application(request: Request, path: str = "") -> Response:
    """The page, under every path that it gives itself (`/alerts/…`). Redirects to the log-in page."""
    if path.startswith("api/"):
        return problem(404, "expected a path of the API; /api/v1/openapi.json lists all of them")
    try:
        authenticator_of(request).authenticate(request)
    except ProblemError as error:
        if error.status != 401:
            raise
        wanted = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        return RedirectResponse("/login" if wanted == "/" else f"/login?next={quote(wanted, safe='')}", 303)
    return _file(request, PAGE / APPLICATION)


def _probe(ok: bool) -> Response:
    return Response(b'{"ok": true}\n' if ok else b'{"ok": false}\n', 200 if ok else 503, media_type="application/json")


def _file(request: Request, path: Path) -> Response:
    """A file of the page with its ETag: a browser caches it and revalidates it each time."""
    try:
        content = path.read_bytes()
    except OSError:
        raise ProblemError(404, "expected a file of the page, found none of that name") from None
    etag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    headers = {"ETag": etag, "Cache-Control": "no-cache"}
    if is_cached(request, etag):
        return Response(status_code=304, headers=headers)
    kind = "text/javascript" if path.suffix in {".js", ".mjs"} else mimetypes.guess_type(path.name)[0]
    return Response(content, headers=headers, media_type=kind or "application/octet-stream")
