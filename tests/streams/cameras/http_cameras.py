"""Cameras over HTTP on this machine, with the habits that a test asks for."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Answer = Callable[[BaseHTTPRequestHandler], None]


@contextmanager
def http_camera(answer: Answer, host: str = "127.0.0.1") -> Iterator[str]:
    """Serves `answer` to every GET; yields the URL, without a path."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            with suppress(OSError):  # the client has gone
                answer(self)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer((host, 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://{host}:{server.server_address[1]}"
        server.shutdown()


def begin(request: BaseHTTPRequestHandler, content_type: str | None, status: int = 200, **headers: str) -> None:
    """Sends the head of an answer."""
    request.send_response(status)
    if content_type is not None:
        request.send_header("Content-Type", content_type)
    for name, value in headers.items():
        request.send_header(name.replace("_", "-"), value)
    request.end_headers()


def redirect(location: str) -> Answer:
    """An answer that leads somewhere else."""
    return lambda request: begin(request, None, 302, Location=location)
