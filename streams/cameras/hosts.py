"""Keeps a camera on the hosts that the user named, wherever it leads to.

FFmpeg follows every redirect, so a camera, or somebody on the way to it, could make it connect to any host that this
machine reaches. HTTP is read by `http_stream.py`, which checks each URL; an RTSP camera is asked here before FFmpeg
connects (RFC 2326, 11.3).
"""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from urllib.parse import SplitResult, urlsplit

from .address import SCHEMES, CameraAddress
from .camera_error import OPEN_TIMEOUT_S, TIMEOUT_MESSAGE, CameraError

MAX_READS = 16  # of an answer that comes in pieces
MAX_REDIRECTS = 5
REDIRECT = re.compile(r"RTSP/\S+ 3\d\d.*?^location:[ \t]*(\S+)", re.I | re.M | re.S)
METHODS = ("OPTIONS", "DESCRIBE")


def check_host(address: CameraAddress, url: str) -> str:
    """Returns `url`, to which a camera leads, if it is a network stream on one of its hosts. Raises CameraError."""
    try:
        target = urlsplit(url)
        host = (target.hostname or "").rstrip(".")
    except ValueError:
        raise CameraError(f"{address.shown} leads to an address that is not valid") from None
    if target.scheme.lower() not in SCHEMES:
        raise CameraError(f"{address.shown} leads to a protocol that a camera may not use")
    if host not in address.hosts:
        raise CameraError(
            f"{address.shown} leads to the host {host[:80]!r}; expected {', '.join(sorted(address.hosts))}. "
            f"If it is yours, allow it: --allow-host, or allow_hosts of the camera"
        )
    return url


@contextmanager
def checked_redirects(address: CameraAddress) -> Iterator[None]:
    """For a `with` block that connects to an RTSP camera: follows its redirects first.

    Raises CameraError if one leads away from its hosts. The connections stay open for the block, because a server that
    has prepared its stream for a DESCRIBE answers 503 while it takes that back. A camera that can't be reached
    passes: the attempt to connect explains that better. So does a camera that redirects only those who have logged in.
    """
    with ExitStack() as held:
        url: str | None = address.url if address.url.startswith("rtsp") else None
        for _ in range(MAX_REDIRECTS):
            try:
                location = _location(urlsplit(url), held) if url is not None else None
            except TimeoutError:
                message = TIMEOUT_MESSAGE.format(shown=address.shown, timeout_s=OPEN_TIMEOUT_S)
                raise CameraError(message) from None
            url = check_host(address, location) if location is not None else None
        yield


def _location(parts: SplitResult, held: ExitStack) -> str | None:
    """Where the camera redirects its clients to, None if nowhere; `held` gets the connection. Raises TimeoutError."""
    url = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    try:
        sock = held.enter_context(closing(_connected(parts)))
        for number, method in enumerate(METHODS, 1):
            sock.sendall(f"{method} {url} RTSP/1.0\r\nCSeq: {number}\r\nUser-Agent: gradwatch\r\n\r\n".encode())
            redirect = REDIRECT.match(_head(sock))
            if redirect is not None:
                return redirect[1]
    except TimeoutError:
        raise
    except (OSError, ValueError):
        pass  # the attempt to connect will say why
    return None


def _connected(parts: SplitResult) -> socket.socket:
    secure = parts.scheme == "rtsps"
    port = parts.port or (322 if secure else 554)
    sock = socket.create_connection((parts.hostname or "", port), OPEN_TIMEOUT_S)
    return unverified().wrap_socket(sock) if secure else sock


def _head(sock: socket.socket) -> str:
    """The head of an answer; the body of an answer to DESCRIBE is not read."""
    data = b""
    for _ in range(MAX_READS):
        data += sock.recv(4096)
        if b"\r\n\r\n" in data:
            break
    return data.partition(b"\r\n\r\n")[0].decode("latin-1")


def unverified() -> ssl.SSLContext:
    """Cameras have certificates of their own making, for names that nobody else knows."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context
