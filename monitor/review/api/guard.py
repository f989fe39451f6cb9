"""The outermost ASGI layer: checks host, size and sender of requests, adds security headers, and measures."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..metrics import REFUSED, REQUESTS
from ..settings import LOOPBACK_NAMES
from .problems import problem

MAX_BODY_BYTES = 256 * 1024
BODY_WITHIN_S = 20.0
SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "font-src 'self'; connect-src 'self'; manifest-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}


class Guard:
    """Wraps an ASGI application.

    `hosts` are the accepted names in the Host header; None: any. Without them a page of any site could let its own name
    resolve to 127.0.0.1 and read everything (DNS rebinding). `admit` returns the answer to whom it does not let in.
    """

    def __init__(self, app: ASGIApp, hosts: Iterable[str] | None, admit: Callable[[Request], Response | None]) -> None:
        self.app, self._admit = app, admit
        self._hosts = None if hosts is None else {*LOOPBACK_NAMES, *(host.lower() for host in hosts)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuses one request or passes it on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began_s = time.perf_counter()
        status = 500

        async def send_guarded(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers.update(SECURITY_HEADERS)
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        refusal = self._refusal(Headers(scope=scope))
        try:
            if refusal is None:
                refusal = await run_in_threadpool(self._admit, Request(scope))
            if refusal is not None:
                await refusal(scope, receive, send_guarded)
            else:
                await self.app(scope, _bounded(receive), send_guarded)
        finally:
            route = _route_of(scope)
            if route != "/api/v1/events":  # open as long as the page is
                REQUESTS.labels(route, f"{status // 100}xx").observe(time.perf_counter() - began_s)

    def _refusal(self, headers: Headers) -> Any:
        host = headers.get("Host", "")
        if self._hosts is not None and _name_of(host) not in self._hosts:
            REFUSED.labels("host").inc()
            detail = f"expected a Host in review.allowed_hosts, got {host[:80]!r}"
            return problem(421, detail, "host")
        length = headers.get("Content-Length", "0")
        if not length.isascii() or not length.isdigit() or int(length[:20]) > MAX_BODY_BYTES:
            REFUSED.labels("size").inc()
            return problem(413, f"expected a body of at most {MAX_BODY_BYTES} bytes, got {length[:20]}")
        return None


def _route_of(scope: Scope) -> str:
    """The path with the names of its parameters instead of values: the number of labels must be bounded."""
    if "endpoint" not in scope:
        return "none"
    route = str(scope["path"])
    for name, value in scope.get("path_params", {}).items():
        route = route.replace(f"/{value}", f"/{{{name}}}", 1) if value != "" else route
    return route


def _name_of(host: str) -> str:
    """The name in a Host header, without its port."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower()


def _bounded(receive: Receive) -> Receive:
    """`receive` that disconnects once the body is too large or takes too long."""
    received, is_whole = 0, False
    deadline_s = time.monotonic() + BODY_WITHIN_S

    async def bounded() -> Message:
        nonlocal received, is_whole
        if is_whole:  # only the disconnect of the client is left to wait for
            return await receive()
        try:
            message = await asyncio.wait_for(receive(), max(0.0, deadline_s - time.monotonic()))
        except TimeoutError:
            REFUSED.labels("slow").inc()
            return {"type": "http.disconnect"}
        is_whole = not message.get("more_body", False)
        received += len(message.get("body", b""))
        if received > MAX_BODY_BYTES:
            REFUSED.labels("size").inc()
            return {"type": "http.disconnect"}
        return message

    return bounded
