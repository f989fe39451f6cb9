"""Connections to the page, bounded by address: what waits for its client is closed where others need the room.

An ASGI application sees a request once its headers are complete; half a request, and none at all, are seen here alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import structlog
from uvicorn.protocols.http.h11_impl import H11Protocol

from ..metrics import REFUSED
from ..store.login_limits import network_of

log = structlog.get_logger()

MAX_CONNECTIONS = 400
MAX_OF_ADDRESS = 60  # a browser opens six; an office behind one address has several
REQUEST_WITHIN_S = 20.0  # for its headers; the guard limits the body
STALLED_WITHIN_S = 60.0  # for a client to read on


class Connections:
    """The open connections by address; those of trusted proxies, which are of many clients, share the total alone."""

    def __init__(self, is_proxy: Callable[[str], bool]) -> None:
        self._is_proxy = is_proxy
        self._of: dict[str, dict[Connection, None]] = {}  # oldest first
        self._number = 0

    def add(self, one: Connection) -> None:
        """Takes a new connection; closes one, perhaps the new one, where there are too many."""
        own = self._of.setdefault(one.network, {})
        own[one] = None
        self._number += 1
        if len(own) > MAX_OF_ADDRESS and not self._is_proxy(one.host):
            self._close_one(own, one, "address")
        elif self._number > MAX_CONNECTIONS:
            self._close_one(max(self._of.values(), key=len), one, "all")

    def remove(self, one: Connection) -> None:
        """Forgets a connection, if it is known."""
        own = self._of.get(one.network, {})
        if one in own:
            del own[one]
            self._number -= 1
        if not own:
            self._of.pop(one.network, None)

    def _close_one(self, crowd: dict[Connection, None], newest: Connection, bound: str) -> None:
        closed = next((one for one in crowd if one.waits_for_client and one is not newest), newest)
        REFUSED.labels("connections").inc()
        log.warning("closed a connection: too many", bound=bound, address=closed.network)
        self.remove(closed)
        closed.transport.abort()


class Connection(H11Protocol):
    """uvicorn's connection with time limits: uvicorn would wait for a request, and for a reader, for ever."""

    def __init__(self, connections: Connections, **settings: Any) -> None:
        super().__init__(**settings)
        self._connections = connections
        self._request: asyncio.TimerHandle | None = None
        self._stall: asyncio.TimerHandle | None = None
        self.host = self.network = ""

    @property
    def waits_for_client(self) -> bool:
        """Whether nothing is being answered: the request is not complete, or the answer is not read."""
        cycle = self.cycle
        return cycle is None or cycle.response_complete or cycle.more_body or self.flow.write_paused

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Starts the timeout of the first request."""
        super().connection_made(transport)
        self.host = self.client[0] if self.client else ""
        self.network = network_of(self.host)
        self._await_request()
        self._connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancels the timeouts."""
        super().connection_lost(exc)
        self._connections.remove(self)
        for timeout in (self._request, self._stall):
            if timeout is not None:
                timeout.cancel()

    def on_response_complete(self) -> None:
        """Starts the timeout of the next request."""
        super().on_response_complete()
        self._await_request()

    def pause_writing(self) -> None:
        """Starts the timeout of a client that does not read."""
        super().pause_writing()
        self._stall = self.loop.call_later(STALLED_WITHIN_S, self._close_stalled)

    def resume_writing(self) -> None:
        """Cancels it."""
        super().resume_writing()
        if self._stall is not None:
            self._stall.cancel()

    def send_400_response(self, msg: str) -> None:
        """Counts what is no HTTP."""
        REFUSED.labels("malformed").inc()
        super().send_400_response(msg)

    def _await_request(self) -> None:
        if self._request is not None:
            self._request.cancel()
        self._request = self.loop.call_later(REQUEST_WITHIN_S, self._close_idle)

    def _close_idle(self) -> None:
        if self.cycle is None or self.cycle.response_complete:
            self.transport.close()

    def _close_stalled(self) -> None:
        REFUSED.labels("stalled").inc()
        self.transport.abort()
