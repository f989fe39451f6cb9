"""Server-sent events for the page, from one bounded ring.

An event has an id `boot-number`. A reader that reconnects with the last id it saw gets the events that it missed, or
a `reset` where the ring no longer holds them. A reader that does not keep up is disconnected: it resumes the same way.
"""

from __future__ import annotations

import asyncio
import secrets
import threading
from collections import deque
from collections.abc import AsyncGenerator
from typing import Any, NamedTuple

import msgspec

from ..metrics import EVENT_READERS, EVENT_READERS_DROPPED

RING_EVENTS = 5_000
RING_BYTES = 8 * 1024 * 1024
QUEUE_EVENTS = 1_000  # by which one reader may lag behind
MAX_READERS = 200
MAX_OF_ACCOUNT, MAX_OF_ADDRESS = 20, 40  # a browser has one for each of its tabs
HEARTBEAT_S = 15.0
RETRY_MS = 2_000


class TooManyReadersError(RuntimeError):
    """The number of readers is at its bound."""


class Asker(NamedTuple):
    """Who reads."""

    account: str = ""
    address: str = ""


class _Reader:
    def __init__(self, asker: Asker) -> None:
        self.asker = asker
        self.loop = asyncio.get_running_loop()
        self.queue: asyncio.Queue[bytes | None] = asyncio.Queue(QUEUE_EVENTS + 1)
        self.is_slow = False

    def put(self, event: bytes) -> None:
        """Called in the reader's loop."""
        if self.is_slow:
            return
        if self.queue.qsize() >= QUEUE_EVENTS:
            self.is_slow = True
            EVENT_READERS_DROPPED.inc()
            while not self.queue.empty():
                self.queue.get_nowait()
            self.queue.put_nowait(None)
            return
        self.queue.put_nowait(event)


class Events:
    """Publish from any thread; read in an event loop."""

    def __init__(self) -> None:
        self.boot = secrets.token_hex(4)
        self._number = 0
        self._bytes = 0
        self._ring: deque[tuple[int, bytes]] = deque()
        self._readers: set[_Reader] = set()
        self._lock = threading.Lock()
        self._closed = False

    @property
    def readers(self) -> int:
        """Number of open readers."""
        return len(self._readers)

    @property
    def held_bytes(self) -> int:
        """Size of the ring."""
        return self._bytes

    def publish(self, name: str, fields: dict[str, Any], is_kept: bool = True) -> None:
        """Sends an event to every reader; `fields` become its JSON. One not kept has no id and is never resent."""
        event = b"event: %s\ndata: %s\n\n" % (name.encode(), msgspec.json.encode(fields))
        with self._lock:
            if is_kept:
                event = self._remember(event)
            for reader in self._readers:
                reader.loop.call_soon_threadsafe(reader.put, event)

    def close(self) -> None:
        """Disconnects all readers, so that the server can stop."""
        with self._lock:
            self._closed = True
            for reader in self._readers:
                reader.loop.call_soon_threadsafe(reader.queue.put_nowait, None)

    async def read(self, last_event_id: str | None, asker: Asker) -> AsyncGenerator[bytes, None]:
        """Events after `last_event_id`, or from now on for None, with heartbeats. Raises TooManyReadersError."""
        reader, missed = self._enter(last_event_id, asker)
        try:
            yield b"retry: %d\n\n" % RETRY_MS
            for event in missed:
                yield event
            while not self._closed:
                try:
                    waited = await asyncio.wait_for(reader.queue.get(), HEARTBEAT_S)
                except TimeoutError:
                    yield b": heartbeat\n\n"
                    continue
                if waited is None:
                    return
                yield waited
        finally:
            with self._lock:
                self._readers.discard(reader)
                EVENT_READERS.set(len(self._readers))

    def check_room(self, asker: Asker) -> None:
        """Raises TooManyReadersError if no reader can be added, or none of this account or address."""
        others = [reader.asker for reader in list(self._readers)]
        for bound, number, of in (
            (MAX_READERS, len(others), ""),
            (MAX_OF_ACCOUNT, sum(one.account == asker.account for one in others), " of one account"),
            (MAX_OF_ADDRESS, sum(one.address == asker.address for one in others), " of one address"),
        ):
            if number >= bound:
                raise TooManyReadersError(f"expected at most {bound} readers of events{of}")

    def _remember(self, event: bytes) -> bytes:
        self._number += 1
        event = b"id: %s-%d\n%s" % (self.boot.encode(), self._number, event)
        self._ring.append((self._number, event))
        self._bytes += len(event)
        while len(self._ring) > RING_EVENTS or self._bytes > RING_BYTES:
            self._bytes -= len(self._ring.popleft()[1])
        return event

    def _enter(self, last_event_id: str | None, asker: Asker) -> tuple[_Reader, list[bytes]]:
        with self._lock:
            self.check_room(asker)
            reader = _Reader(asker)
            self._readers.add(reader)
            EVENT_READERS.set(len(self._readers))
            return reader, self._missed(last_event_id)

    def _missed(self, last_event_id: str | None) -> list[bytes]:
        boot_id = self.boot.encode()
        boot, _, number = (last_event_id or "").partition("-")
        oldest = self._ring[0][0] if self._ring else self._number + 1
        seen = int(number) if number.isascii() and number.isdigit() and len(number) < 19 else -1
        if boot == self.boot and oldest - 1 <= seen <= self._number:
            return [event for n, event in self._ring if n > seen]
        name = b"hello" if last_event_id is None else b"reset"
        return [b'id: %s-%d\nevent: %s\ndata: {"boot": "%s"}\n\n' % (boot_id, self._number, name, boot_id)]
