"""Opens cameras over HTTP. Redirects, and whatever a playlist names, stay on the hosts that the user named.

FFmpeg's own HTTP client follows every redirect, so a camera, or somebody on the way to it, could make it connect to any
host that this machine reaches. Here each address is checked first, and FFmpeg gets the bytes.
"""

from __future__ import annotations

import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from socket import SHUT_RDWR
from typing import IO, Any
from urllib.error import HTTPError, URLError
from urllib.parse import unquote, urlsplit

from ..wire.pixels import JPEG_MAGIC
from .address import CameraAddress
from .camera_error import NO_STREAM, OPEN_TIMEOUT_S, READ_TIMEOUT_S, CameraError, camera_error, unauthorized
from .hosts import check_host, unverified

SCHEMES = ("http", "https")
CHUNK_BYTES = 64 * 1024
MAX_UNUSED_BYTES = 64 * 1024 * 1024  # read since the last packet
PEEK_BYTES = 512


class HttpStream:
    """One HTTP body, with the methods that PyAV asks of a file; `name` is its URL without credentials."""

    def __init__(self, name: str, answer: HTTPResponse, client: HttpClient) -> None:
        self.name = name
        self.content_type = answer.headers.get_content_type()
        self._answer, self.client = answer, client

    def read(self, size: int = CHUNK_BYTES) -> bytes:
        """At most `size` bytes, as soon as there are some; b"" at the end. Raises CameraError."""
        with self.client.explained():
            chunk = self._answer.read1(size)
        self.client.count(len(chunk))
        return chunk

    def is_multipart(self) -> bool:
        """Whether the body is a sequence of JPEGs, by its type or by its first bytes."""
        if self.content_type.startswith("multipart/"):
            return True
        with self.client.explained():
            start = self._answer.peek(PEEK_BYTES).lstrip()
        return start.startswith((JPEG_MAGIC, b"--"))

    def close(self) -> None:
        """Closes the connection."""
        self._answer.close()


class HttpClient:
    """Opens the URLs of one camera, with its credentials and only on its hosts."""

    def __init__(self, address: CameraAddress) -> None:
        self._address = address
        self._unused = 0
        passwords = urllib.request.HTTPPasswordMgrWithDefaultRealm()
        parts = urlsplit(address.url)
        if parts.username is not None:
            authority = parts.netloc.rpartition("@")[2]
            places = [f"{scheme}://{authority}/" for scheme in SCHEMES]
            passwords.add_password(None, places, unquote(parts.username), unquote(parts.password or ""))
        self._opener = urllib.request.build_opener(
            _Http,
            _Https(context=unverified()),
            _Redirects(partial(check_host, self._address)),
            urllib.request.HTTPDigestAuthHandler(passwords),
            urllib.request.HTTPBasicAuthHandler(passwords),
        )

    def open(self, url: str) -> HttpStream:
        """Opens a URL. Raises CameraError for a failure, and for a URL that leads to another host or protocol."""
        parts = urlsplit(check_host(self._address, url))
        plain = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
        with self.explained():
            answer: Any = self._opener.open(plain, timeout=READ_TIMEOUT_S)
        return HttpStream(plain, answer, self)

    def count(self, read: int) -> None:
        """Counts bytes that were read. Raises CameraError when they make no packet."""
        self._unused += read
        if self._unused > MAX_UNUSED_BYTES:
            raise CameraError(f"{self._address.shown} sent {MAX_UNUSED_BYTES >> 20} MiB without a picture")

    def used(self) -> None:
        """Begins the count anew: the bytes have made a packet."""
        self._unused = 0

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Raises the errors of the HTTP client as CameraError."""
        shown = self._address.shown
        try:
            yield
        except HTTPError as error:
            error.close()
            raise _refused(shown, error.code) from None
        except (OSError, HTTPException, ValueError) as error:
            reason = error.reason if isinstance(error, URLError) else error
            raise camera_error(reason if isinstance(reason, Exception) else error, shown, READ_TIMEOUT_S) from None


def _refused(shown: str, status: int) -> CameraError:
    if status in (401, 403):
        return unauthorized(shown)
    if status == 404:
        return CameraError(NO_STREAM.format(shown=shown))
    return CameraError(f"{shown} answers with the status {status}; expected 200")


class _Deadline(HTTPConnection):
    """A connection that is closed when the head of the answer has not come whole by the time-out."""

    _timer: threading.Timer | None = None

    def connect(self) -> None:
        super().connect()
        self._timer = threading.Timer(OPEN_TIMEOUT_S, partial(_shut, self.sock))
        self._timer.daemon = True
        self._timer.start()

    def getresponse(self) -> HTTPResponse:
        try:
            return super().getresponse()
        finally:
            if self._timer is not None:
                self._timer.cancel()


class _SecureDeadline(_Deadline, HTTPSConnection):
    """The same over TLS."""


def _shut(sock: Any) -> None:
    with suppress(OSError):  # it may be closed already
        sock.shutdown(SHUT_RDWR)


class _Http(urllib.request.HTTPHandler):
    def http_open(self, req: urllib.request.Request) -> HTTPResponse:
        return self.do_open(_Deadline, req)


class _Https(urllib.request.HTTPSHandler):
    def https_open(self, req: urllib.request.Request) -> HTTPResponse:
        return self.do_open(_SecureDeadline, req, context=self._context)  # type: ignore[attr-defined]


class _Redirects(urllib.request.HTTPRedirectHandler):
    def __init__(self, check: Any) -> None:
        self._check = check

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        self._check(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)
