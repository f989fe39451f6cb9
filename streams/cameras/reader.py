"""Reads a camera: a thread that keeps it connected and takes packets off it at once, and the queue they wait in."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from .access_units import AccessUnitAssembler, TimedPacket
from .address import CameraAddress
from .backoff import Backoff
from .camera_error import OPEN_TIMEOUT_S, READ_TIMEOUT_S, TIMEOUT_MESSAGE, CameraError
from .clock import Instant
from .connection import CodecSetup, Connection, Packet, connect

ALMOST = 0.98  # of a time-out: FFmpeg's clock and ours are not read at the same moment
MAX_WAITING_BYTES = 64 * 1024 * 1024  # of packets; 2 s of 4K in JPEG


@dataclass(frozen=True, slots=True)
class ConnectionOpened:
    """A connection was opened."""

    setup: CodecSetup
    at: Instant


@dataclass(frozen=True, slots=True)
class PacketArrived:
    """A packet arrived; `after_loss` if packets before it were dropped."""

    packet: Packet
    at: Instant
    after_loss: bool


@dataclass(frozen=True, slots=True)
class ConnectionLost:
    """A connection was lost or could not be opened. A `failure` that is no `CameraError` is a bug of ours."""

    failure: Exception
    at: Instant


Event = ConnectionOpened | PacketArrived | ConnectionLost


class EventQueue:
    """Events of a reader, in order, for one other thread. Bounded: drops packets beyond `max_bytes`."""

    def __init__(self, max_bytes: int = MAX_WAITING_BYTES) -> None:
        self._max_bytes = max_bytes
        self._events: deque[Event] = deque()
        self._bytes = self._dropped = 0
        self._after_loss = False
        self._changed = threading.Condition()

    def put(self, event: ConnectionOpened | ConnectionLost) -> None:
        """Adds an event that is never dropped."""
        with self._changed:
            self._events.append(event)
            self._changed.notify()

    def put_packet(self, packet: Packet, at: Instant) -> None:
        """Adds a packet. If it exceeds the bound, drops all packets that wait: they are too old for live use."""
        with self._changed:
            if self._bytes + len(packet.content) > self._max_bytes:
                kept = [event for event in self._events if not isinstance(event, PacketArrived)]
                self._dropped += len(self._events) - len(kept)
                self._events, self._bytes, self._after_loss = deque(kept), 0, True
            self._events.append(PacketArrived(packet, at, self._after_loss))
            self._bytes += len(packet.content)
            self._after_loss = False
            self._changed.notify()

    def take(self, timeout_s: float) -> tuple[list[Event], int]:
        """Waits up to `timeout_s` for events; returns all, and how many packets were dropped before them."""
        with self._changed:
            self._changed.wait_for(lambda: bool(self._events), timeout_s)
            events, dropped = list(self._events), self._dropped
            self._events.clear()
            self._bytes = self._dropped = 0
            return events, dropped


class CameraReader(threading.Thread):
    """Connects, reads and reconnects until stopped. `now` reads the clocks for arrival times."""

    def __init__(
        self,
        address: CameraAddress,
        events: EventQueue,
        now: Callable[[], Instant],
        backoff: Backoff,
        stop: threading.Event,
    ) -> None:
        super().__init__(name=f"read {address.shown}", daemon=True)
        self._address, self._events, self._now = address, events, now
        self._backoff, self._stop_asked = backoff, stop

    def run(self) -> None:
        """The thread. Every error becomes a `ConnectionLost`; one that is a bug ends the thread."""
        while not self._stop_asked.is_set():
            failure, connected_s = self._read_connection()
            if self._stop_asked.is_set():
                return
            self._events.put(ConnectionLost(failure, self._now()))
            if not isinstance(failure, CameraError):
                return
            self._stop_asked.wait(self._backoff.pause_s(failure.disturbance, connected_s))

    def _read_connection(self) -> tuple[Exception, float]:
        """Reads one connection from the attempt to its end; returns why it ended and for how many seconds it lasted."""
        started, opened = self._now(), None
        try:
            with connect(self._address) as connection:
                opened = self._now()
                self._events.put(ConnectionOpened(connection.setup, opened))
                self._queue_pictures(connection)
            failure: Exception = CameraError(f"{self._address.shown} closed the connection")
        except Exception as error:
            failure = error
        if opened is not None:
            return failure, _seconds(opened, self._now())
        if isinstance(failure, CameraError) and _seconds(started, self._now()) > ALMOST * OPEN_TIMEOUT_S:
            # FFmpeg reports an interrupted answer as something other than video.
            failure = CameraError(TIMEOUT_MESSAGE.format(shown=self._address.shown, timeout_s=OPEN_TIMEOUT_S))
        return failure, 0.0

    def _queue_pictures(self, connection: Connection) -> None:
        assembler = AccessUnitAssembler(connection.setup)
        try:
            for packet, at in self._packets(connection):
                for picture in assembler.put(packet, at):
                    self._events.put_packet(*picture)
        finally:
            for picture in assembler.flush():
                self._events.put_packet(*picture)

    def _packets(self, connection: Connection) -> Iterator[TimedPacket]:
        last = self._now()
        for packet in connection.packets:
            at = self._now()
            if self._stop_asked.is_set():
                return
            if _seconds(last, at) > ALMOST * READ_TIMEOUT_S:
                # FFmpeg's time-out misses two cases: sound continues without pictures, and the read was interrupted
                # and yields the part of a picture that had arrived as if it were whole.
                raise CameraError(TIMEOUT_MESSAGE.format(shown=self._address.shown, timeout_s=READ_TIMEOUT_S))
            if packet is not None:
                yield packet, at
                last = at


def _seconds(since: Instant, until: Instant) -> float:
    return (until.monotonic_ns - since.monotonic_ns) / 1e9
