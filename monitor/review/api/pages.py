"""Everything outside /api/v1: the files of the page."""

from __future__ import annotations

import hashlib
import mimetypes
from pathlib import Path

from fastapi import APIRouter, Request, Response

from .pictures import is_cached
from .problems import ProblemError, problem

router = APIRouter(include_in_schema=False)

PAGE = Path(__file__).resolve().parent.parent / "page"
LOGIN_PAGE, APPLICATION = "login.html", "index.html"
SUFFIXES = {".html", ".css", ".js", ".mjs", ".svg", ".png", ".ico", ".woff2", ".webmanifest", ".json", ".txt"}


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
    """The page, under every path that it gives itself (`/alerts/…`)."""
    if path.startswith("api/"):
        return problem(404, "expected a path of the API; /api/v1/openapi.json lists all of them")
    return _file(request, PAGE / APPLICATION)


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
