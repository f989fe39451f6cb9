"""Serves the application on one socket until a signal stops it."""

from __future__ import annotations

import asyncio
import gc
import signal
import socket
from types import FrameType

import structlog
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from gradwatch.streams.observability.status_server import PortUnavailableError

from ..service import ReviewService
from ..store import accounts
from .app import build_app

log = structlog.get_logger()

MAX_CONNECTIONS = 400
GRACE_S = 5
REQUEST_WITHIN_S = 20.0  # for its headers; the guard limits the body


class _Server(uvicorn.Server):
    """Disconnects the readers of events first: they would stay connected as long as their page is open."""

    def __init__(self, config: uvicorn.Config, service: ReviewService) -> None:
        super().__init__(config)
        self._service = service

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Handles SIGTERM or SIGINT; does not raise it again, as uvicorn would, so that `serve` can clean up."""
        self._service.events.close()
        self.force_exit = self.should_exit and sig == signal.SIGINT
        self.should_exit = True


class _Protocol(H11Protocol):
    """Closes connections without a request: uvicorn would wait for ever, and their number is bounded."""

    _timeout: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Starts the timeout of the first request."""
        super().connection_made(transport)
        self._restart_timeout()

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancels the timeout."""
        super().connection_lost(exc)
        if self._timeout is not None:
            self._timeout.cancel()

    def on_response_complete(self) -> None:
        """Starts the timeout of the next request."""
        super().on_response_complete()
        self._restart_timeout()

    def _restart_timeout(self) -> None:
        if self._timeout is not None:
            self._timeout.cancel()
        self._timeout = self.loop.call_later(REQUEST_WITHIN_S, self._close_if_idle)

    def _close_if_idle(self) -> None:
        if self.cycle is None or self.cycle.response_complete:
            self.transport.close()


def bind(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one. Raises `PortUnavailableError`."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise PortUnavailableError(f"review: expected a free port, got {host}:{port}: {error}") from error


def server_config(service: ReviewService) -> uvicorn.Config:
    """The settings of uvicorn."""
    return uvicorn.Config(
        build_app(service),
        http=_Protocol,
        log_config=None,
        access_log=False,  # metrics count requests; a log would contain visitors' addresses
        proxy_headers=False,  # access.py decides which proxies to trust
        server_header=False,
        lifespan="off",
        limit_concurrency=MAX_CONNECTIONS,
        timeout_graceful_shutdown=GRACE_S,
    )


def serve(service: ReviewService, listening: socket.socket) -> None:
    """Serves until SIGTERM or Ctrl-C; open requests are answered."""
    config = server_config(service)
    gc.freeze()  # searching the code for garbage delayed all answers by 0.1 s
    service.start()
    host, port = listening.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    log.info("review page", address=f"http://{shown}:{port}/", login=service.settings.demands_login)
    if service.settings.demands_login:
        with service.database.reading() as session:
            if not accounts.list_users(session):
                log.warning("no user can log in yet", remedy="gradwatch review users add NAME --role admin")
    try:
        _Server(config, service).run([listening])
    finally:
        service.stop()
    log.info("stopped")
