"""Serves the application on one socket until it is told to stop."""

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
REQUEST_WITHIN_S = 20.0  # its headers; the guard sees to the body


class _Server(uvicorn.Server):
    """Lets the readers of events go first: they would stay for as long as the page is open."""

    def __init__(self, config: uvicorn.Config, service: ReviewService) -> None:
        super().__init__(config)
        self._service = service

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """SIGTERM or SIGINT; not passed on, as uvicorn would, so that what comes after the server is done too."""
        self._service.events.close()
        self.force_exit = self.should_exit and sig == signal.SIGINT
        self.should_exit = True


class _Protocol(H11Protocol):
    """Hangs up on who opens a connection and sends no request: uvicorn would wait for ever, and they are few."""

    _patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A connection is there."""
        super().connection_made(transport)
        self._expect()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone."""
        super().connection_lost(exc)
        if self._patience is not None:
            self._patience.cancel()

    def on_response_complete(self) -> None:
        """The next request may come."""
        super().on_response_complete()
        self._expect()

    def _expect(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
        self._patience = self.loop.call_later(REQUEST_WITHIN_S, self._hang_up)

    def _hang_up(self) -> None:
        if self.cycle is None or self.cycle.response_complete:
            self.transport.close()


def bind(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one. Raises `PortUnavailableError`."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise PortUnavailableError(f"review: expected a free port, got {host}:{port}: {error}") from error


def configured(service: ReviewService) -> uvicorn.Config:
    """The server's settings."""
    return uvicorn.Config(
        build_app(service),
        http=_Protocol,
        log_config=None,
        access_log=False,  # the metrics count requests; a log of them would hold the visitors' addresses
        proxy_headers=False,  # whom to believe is decided in access.py
        server_header=False,
        lifespan="off",
        limit_concurrency=MAX_CONNECTIONS,
        timeout_graceful_shutdown=GRACE_S,
    )


def serve(service: ReviewService, listening: socket.socket) -> None:
    """Serves until SIGTERM or Ctrl-C; what was begun is answered."""
    config = configured(service)
    gc.freeze()  # code stays: to look through it for garbage held up all answers for a tenth of a second
    service.start()
    host, port = listening.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    log.info("review page", address=f"http://{shown}:{port}/", login=service.settings.demands_login)
    _say_who_can_log_in(service)
    try:
        _Server(config, service).run([listening])
    finally:
        service.stop()
    log.info("stopped")


def _say_who_can_log_in(service: ReviewService) -> None:
    if service.settings.demands_login:
        with service.database.reading() as session:
            if not accounts.users(session):
                log.warning("nobody can log in yet", remedy="gradwatch review users add NAME --role admin")
