"""The reader of a camera: a thread that keeps it connected and takes packets off it at once, and what they wait in."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from .access_units import WholePictures
from .address import CameraAddress
from .backoff import Backoff
from .clock import Arrival
from .connection import (
    OPEN_TIMEOUT_S,
    READ_TIMEOUT_S,
    CameraError,
    CodecSetup,
    Connection,
    Packet,
    connected,
    silence,
)

ALMOST = 0.98  # of a time-out: FFmpeg's and our clocks are not read at the same moment
MAX_WAITING_BYTES = 64 * 1024 * 1024  # of packets; 2 s of 4K in JPEG


@dataclass(frozen=True, slots=True)
class Opened:
    """There is a connection."""

    setup: CodecSetup
    at: Arrival


@dataclass(frozen=True, slots=True)
class Arrived:
    """A packet came; `after_loss` says that packets before it were thrown away."""

    packet: Packet
    at: Arrival
    after_loss: bool


@dataclass(frozen=True, slots=True)
class Lost:
    """There is no connection any longer, or none could be made. Not a `CameraError`: our mistake."""

    failure: Exception
    at: Arrival


Event = Opened | Arrived | Lost


class Events:
    """What a reader has to tell, in order, for one other thread. Packets beyond `MAX_WAITING_BYTES` are thrown away."""

    def __init__(self, max_bytes: int = MAX_WAITING_BYTES) -> None:
        self._max_bytes = max_bytes
        self._events: deque[Event] = deque()
        self._bytes = self._lost = 0
        self._after_loss = False
        self._changed = threading.Condition()

    def tell(self, event: Opened | Lost) -> None:
        """Adds an event that is never thrown away."""
        with self._changed:
            self._events.append(event)
            self._changed.notify()

    def arrived(self, packet: Packet, at: Arrival) -> None:
        """Adds a packet; where too many wait, all of them go: what waits so long is of no use to anybody."""
        with self._changed:
            if self._bytes + len(packet.content) > self._max_bytes:
                waiting = [event for event in self._events if not isinstance(event, Arrived)]
                self._lost += len(self._events) - len(waiting)
                self._events, self._bytes, self._after_loss = deque(waiting), 0, True
            self._events.append(Arrived(packet, at, self._after_loss))
            self._bytes += len(packet.content)
            self._after_loss = False
            self._changed.notify()

    def take(self, timeout_s: float) -> tuple[list[Event], int]:
        """All that waits, after `timeout_s` at the latest, and how many packets were thrown away before them."""
        with self._changed:
            self._changed.wait_for(lambda: bool(self._events), timeout_s)
            events, lost = list(self._events), self._lost
            self._events.clear()
            self._bytes = self._lost = 0
            return events, lost


class Reader(threading.Thread):
    """Connects, reads and connects again until stopped. `now` is the clock that arrivals are told by."""

    def __init__(
        self,
        address: CameraAddress,
        events: Events,
        now: Callable[[], Arrival],
        backoff: Backoff,
        stop: threading.Event,
    ) -> None:
        super().__init__(name=f"read {address.shown}", daemon=True)
        self._address, self._events, self._now = address, events, now
        self._backoff, self._stop_asked = backoff, stop

    def run(self) -> None:
        """The thread; whatever goes wrong is told as `Lost`, since nobody would see it raised here."""
        while not self._stop_asked.is_set():
            failure, held_s = self._connection()
            if self._stop_asked.is_set():
                return
            self._events.tell(Lost(failure, self._now()))
            if not isinstance(failure, CameraError):
                return
            self._stop_asked.wait(self._backoff.pause_s(failure.disturbance, held_s))

    def _connection(self) -> tuple[Exception, float]:
        """One connection from the attempt to its end: why it ended, and for how many seconds it had held."""
        begun, opened = self._now(), None
        try:
            with connected(self._address) as connection:
                opened = self._now()
                self._events.tell(Opened(connection.setup, opened))
                self._pass_on(connection)
            failure: Exception = CameraError(f"{self._address.shown} closed the connection")
        except Exception as error:
            failure = error
        if opened is not None:
            return failure, _seconds(opened, self._now())
        if isinstance(failure, CameraError) and _seconds(begun, self._now()) > ALMOST * OPEN_TIMEOUT_S:
            # An answer that was interrupted looks to FFmpeg like one that is no video.
            failure = CameraError(silence(self._address.shown, OPEN_TIMEOUT_S))
        return failure, 0.0

    def _pass_on(self, connection: Connection) -> None:
        whole = WholePictures(connection.setup)
        try:
            for packet, at in self._packets(connection):
                for picture in whole.put(packet, at):
                    self._events.arrived(*picture)
        finally:
            for picture in whole.rest():
                self._events.arrived(*picture)

    def _packets(self, connection: Connection) -> Iterator[tuple[Packet, Arrival]]:
        heard = self._now()
        for packet in connection:
            at = self._now()
            if self._stop_asked.is_set():
                return
            if _seconds(heard, at) > ALMOST * READ_TIMEOUT_S:
                # Two cases that no time-out of FFmpeg's shows: sound goes on without pictures, or the read was
                # interrupted and what had come of a picture is given out as if it were whole.
                raise CameraError(silence(self._address.shown, READ_TIMEOUT_S))
            if packet is not None:
                yield packet, at
                heard = at


def _seconds(since: Arrival, until: Arrival) -> float:
    return (until.monotonic_ns - since.monotonic_ns) / 1e9
