"""One HTTP port for monitoring a process: `/metrics` for Prometheus, `/healthz` and `/readyz` as JSON."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from socketserver import ThreadingTCPServer
from typing import Any
from urllib.parse import urlsplit

import msgspec
from prometheus_client import MetricsHandler

import gradwatch
from gradwatch import GradwatchError

from .health import Check, Health
from .metrics import BUILD, HEALTHY, READY

log = logging.getLogger(__name__)

LOOPBACK = "127.0.0.1"
PATHS = ("/metrics", "/healthz", "/readyz")
CLIENT_TIMEOUT_S = 5.0  # after which a silent client is disconnected
SHUTDOWN_POLL_S = 0.1


class PortUnavailableError(GradwatchError):
    """The port for metrics and health can't be opened; the message contains it and the reason."""


class StatusServer:
    """Serves on threads of its own until closed. With `port` 0 it takes a free one; see the attribute `port`.

    There is no access control: use `0.0.0.0` only where Prometheus or the prober runs on another machine. Raises
    `PortUnavailableError`.
    """

    def __init__(self, port: int, address: str = LOOPBACK, health: Health | None = None) -> None:
        self.health = health or Health()
        try:
            self._server = _Server(address, port, self.health)
        except (OSError, OverflowError) as error:
            raise PortUnavailableError(f"metrics: expected a free port, got {address}:{port}: {error}") from error
        self.port: int = self._server.server_address[1]
        BUILD.info({"version": gradwatch.__version__})
        HEALTHY.set_function(lambda: _all_ok(self.health.liveness()))
        READY.set_function(lambda: _all_ok(self.health.readiness()))
        threading.Thread(target=self._server.serve_forever, args=(SHUTDOWN_POLL_S,), name="status", daemon=True).start()

    def close(self) -> None:
        """Frees the port."""
        self._server.shutdown()
        self._server.server_close()

    def __enter__(self) -> StatusServer:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


@contextmanager
def serving(port: int | None, address: str, health: Health) -> Iterator[StatusServer | None]:
    """Serves while the block runs; does nothing where `port` is None. Raises `PortUnavailableError`."""
    if port is None:
        yield None
        return
    with StatusServer(port, address, health) as server:
        log.info("serving %s at %s port %d", ", ".join(PATHS), address, server.port)
        yield server


class _Server(ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, address: str, port: int, health: Health) -> None:
        self.address_family = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM)[0][0]
        self.health = health
        super().__init__((address, port), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that disconnects before its response is not worth a warning."""
        log.debug("request failed", exc_info=True)


class _Handler(MetricsHandler):
    timeout = CLIENT_TIMEOUT_S
    server: _Server

    def do_GET(self) -> None:
        """Routes by path; the metrics themselves are the client library's."""
        path = urlsplit(self.path).path
        if path == "/metrics":
            super().do_GET()
        elif path == "/healthz":
            self._checks(self.server.health.liveness())
        elif path == "/readyz":
            self._checks(self.server.health.readiness())
        else:
            self._answer(404, {"error": f"expected one of {', '.join(PATHS)}"})

    def _checks(self, checks: list[Check]) -> None:
        ok = _all_ok(checks)
        self._answer(200 if ok else 503, {"ok": ok, "checks": [asdict(check) for check in checks]})

    def _answer(self, status: int, body: dict[str, Any]) -> None:
        content = msgspec.json.encode(body) + b"\n"
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(content)


def _all_ok(checks: list[Check]) -> bool:
    return all(check.ok for check in checks)
