"""The page's files, and what probes and Prometheus ask: everything outside /api/v1."""

from __future__ import annotations

import hashlib
import mimetypes
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import RedirectResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from .access import Gate, Service, Viewer, gate_of
from .pictures import is_known
from .problems import ProblemError, problem

router = APIRouter(include_in_schema=False)

PAGE = Path(__file__).resolve().parent.parent / "page"
LOGIN_PAGE, APPLICATION = "login.html", "index.html"
# Anybody may have what the log-in page is made of; the application's own files hold no data either.
SUFFIXES = {".html", ".css", ".js", ".mjs", ".svg", ".png", ".ico", ".woff2", ".webmanifest", ".json", ".txt"}
TheGate = Annotated[Gate, Depends(gate_of)]


@router.get("/healthz")
def healthz(service: Service) -> Response:
    """Alive: 200, or 503 where a thread has died. Says nothing more: anybody may ask."""
    return _verdict(all(check.ok for check in service.health.liveness()))


@router.get("/readyz")
def readyz(service: Service) -> Response:
    """Ready: the database answers. A broker that is down leaves us ready: what is stored can be reviewed."""
    return _verdict(all(check.ok for check in service.health.readiness()))


@router.get("/metrics")
def metrics(visitor: Viewer) -> Response:
    """For Prometheus, which needs an API token where log-in is demanded."""
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
        raise ProblemError(404, "expected a file of the page, got none of that name")
    return _file(request, found)


@router.get("/")
@router.get("/{path:path}")
def application(request: Request, gate: TheGate, path: str = "") -> Response:
    """The application; whatever path it gives itself (`/alerts/…`), it is one page. Strangers are sent to log in."""
    if path.startswith("api/"):
        return problem(404, "expected a path of the API; /api/v1/openapi.json names all of them")
    try:
        gate.recognize(request)
    except ProblemError as error:
        if error.status != 401:
            raise
        wanted = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        return RedirectResponse("/login" if wanted == "/" else f"/login?next={quote(wanted, safe='')}", 303)
    return _file(request, PAGE / APPLICATION)


def _verdict(ok: bool) -> Response:
    return Response(b'{"ok": true}\n' if ok else b'{"ok": false}\n', 200 if ok else 503, media_type="application/json")


def _file(request: Request, path: Path) -> Response:
    """A file of the page with its ETag; a browser keeps it and asks each time whether it has changed."""
    try:
        content = path.read_bytes()
    except OSError:
        raise ProblemError(404, "expected a file of the page, got none of that name") from None
    etag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    headers = {"ETag": etag, "Cache-Control": "no-cache"}
    if is_known(request, etag):
        return Response(status_code=304, headers=headers)
    kind = "text/javascript" if path.suffix in {".js", ".mjs"} else mimetypes.guess_type(path.name)[0]
    return Response(content, headers=headers, media_type=kind or "application/octet-stream")
