"""Serves the application on one socket until a signal stops it."""

from __future__ import annotations

import gc
import resource
import signal
import socket
from functools import partial
from types import FrameType

import structlog
import uvicorn
from anyio.to_thread import current_default_thread_limiter

from gradwatch.streams.observability.logs import limit_logs
from gradwatch.streams.observability.status_server import PortUnavailableError, serving

from ..service import ReviewService
from . import connections, problems
from .access import Authenticator
from .app import build_app

log = structlog.get_logger()

GRACE_S = 5
ACCEPTED_AT_ONCE = 100  # connections, before those too many are closed
QUEUE = 1024  # connections that wait to be accepted
THREADS = 80  # more than may wait: 16 clips, 16 writers, 12 log-ins, 10 thumbnails
FILES = 2048  # at least; where 256 is the default, connections could take them all
RARELY = ("asyncio", "uvicorn.error", connections.__name__, problems.__name__)


class _Server(uvicorn.Server):
    """Disconnects the readers of events first: they would stay connected as long as their page is open."""

    def __init__(self, config: uvicorn.Config, service: ReviewService) -> None:
        super().__init__(config)
        self._service = service

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Makes room for requests that wait, and for more connections than asyncio accepts at once."""
        current_default_thread_limiter().total_tokens = THREADS
        await super().startup(sockets)
        for listening in sockets or []:
            listening.listen(QUEUE)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Handles SIGTERM or SIGINT; does not raise it again, as uvicorn would, so that `serve` can clean up."""
        self._service.events.close()
        self.force_exit = self.should_exit and sig == signal.SIGINT
        self.should_exit = True


def bind(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one. Raises `PortUnavailableError`."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise PortUnavailableError(f"review: expected a free port, got {host}:{port}: {error}") from error


def server_config(service: ReviewService) -> uvicorn.Config:
    """The settings of uvicorn."""
    app = build_app(service)
    opened = connections.Connections(Authenticator(service).is_trusted)
    return uvicorn.Config(
        app,
        http=partial(connections.Connection, opened),  # type: ignore[arg-type]  # a factory is all that is needed
        ws="none",
        log_config=None,
        access_log=False,  # metrics count requests; a log would contain visitors' addresses
        proxy_headers=False,  # access.py decides which proxies to trust
        server_header=False,
        lifespan="off",
        backlog=ACCEPTED_AT_ONCE,
        log_level="error",  # what is wrong with a request is counted, not logged
        timeout_graceful_shutdown=GRACE_S,
    )


def _allow_files() -> None:
    """Raises this process's limit of open files to `FILES`, as far as the system allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < FILES:
        resource.setrlimit(
            resource.RLIMIT_NOFILE, (FILES if hard == resource.RLIM_INFINITY else min(FILES, hard), hard)
        )


def address_of(listening: socket.socket) -> str:
    """The address of the page, with a slash at its end."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


def serve(service: ReviewService, listening: socket.socket) -> None:
    """Serves until SIGTERM or Ctrl-C; open requests are answered. Raises `PortUnavailableError`."""
    settings, config = service.settings, server_config(service)
    limit_logs(RARELY)
    _allow_files()
    with serving(settings.metrics_port, settings.metrics_address, service.health):
        gc.freeze()  # searching the code for garbage delayed all answers by 0.1 s
        service.start()
        log.info("review page", address=address_of(listening), login=settings.demands_login)
        try:
            _Server(config, service).run([listening])
        finally:
            service.stop()
    log.info("stopped")
