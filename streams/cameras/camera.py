"""Live cameras: RTSP, HTTP and USB as a source of frames that continues whatever the camera does.

Two threads a camera. The *reader* opens the connection, takes packets off it at once, so that none grows old in a
socket, and reconnects. The thread that iterates decodes, encodes, inspects the pictures and reports disturbances.
Where it is too slow, the newest frame wins and the others are counted as `superseded`.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import Any

import structlog

from ..disturbances import Disturbances
from ..observability.health import Condition
from ..observability.metrics import SOURCE_FRAMES
from ..recordings.played import AS_RECORDED, Playback, SourceFrame, SourceOptionError, legal_stream_id
from ..wire.messages import HealthRecord, OutcomeCause
from ..wire.pixels import picture_encoding
from .address import CameraAddress, Transport, camera_address, stream_name
from .backoff import Backoff
from .camera_error import OPEN_TIMEOUT_S, CameraError
from .clock import CaptureClock, Instant
from .decoder import CameraPicture, Decoder, UndecodableError
from .reader import CameraReader, ConnectionLost, ConnectionOpened, Event, EventQueue, PacketArrived
from .watch import CameraWatch

log: Any = structlog.get_logger(__name__)

TICK_S = 0.2  # between checks while nothing arrives
LATE_S = 0.5  # a frame that has waited this long is late for live use
CATCH_UP_S = 1.0  # late frames are skipped once all have been late for this long: a short stall costs none
# Causes of drops, beside those of reports.
THINNED = "thinned"  # beyond the rate that was asked for
STOPPED = "stopped"  # received, but not yet processed when the source was stopped


def camera(
    source: str, playback: Playback = AS_RECORDED, name: str | None = None, transport: Transport = "tcp"
) -> LiveCamera:
    """A live camera by its address, see `camera_address`; frames beyond `playback.rate_hz` are dropped and counted."""
    if playback != Playback(playback.rate_hz):
        raise SourceOptionError(
            f"expected a playback that sets rate_hz only: a live camera has no more, got {playback}"
        )
    address = camera_address(source, transport)
    return LiveCamera(address, legal_stream_id(name or stream_name(address)), playback.rate_hz)


class LiveCamera:
    """Frames of a camera until `stop`; may be iterated once. Their clock is `utc`, see `clock.py`.

    Raises `CameraError` if the first connection fails, unless `wait`; later ones are tried without end. `report` is
    called with health records, which carry `run_id`. Of the `received` pictures, `emitted` became frames and the others
    are in `dropped` by cause.
    """

    def __init__(
        self,
        address: CameraAddress,
        name: str,
        rate_hz: float | None = None,
        *,
        wait: bool = False,
        run_id: str = "",
        report: Callable[[HealthRecord], None] = lambda _: None,
        backoff: Backoff | None = None,
    ) -> None:
        self.name = name
        self.received = self.emitted = 0
        self.dropped: Counter[str] = Counter()
        self.disturbances = Disturbances(name, run_id, report)
        self._watch = CameraWatch(self.disturbances)
        self._clock, self._limiter = CaptureClock(), RateLimiter(rate_hz)
        self._decoder: Decoder | None = None
        self._late_since_ns: int | None = None  # on the monotonic clock
        self._skips_to_key = False  # packets were dropped, and the next need them
        self._wait, self._stop, self._events = wait, threading.Event(), EventQueue()
        self._reader = CameraReader(address, self._events, _now, backoff or Backoff(), self._stop)

    def condition(self) -> Condition:
        """Whether usable pictures arrive. Thread-safe."""
        lasting = self.disturbances.lasting
        if lasting or not self._watch.was_connected:
            return Condition(False, ", ".join(lasting) or "not connected yet")
        return Condition(True, "frames arrive")

    def stop(self) -> None:
        """Ends the frames. Thread-safe."""
        self._stop.set()

    def __iter__(self) -> Iterator[SourceFrame]:
        return (frame for frame in self.live() if frame is not None)

    def live(self) -> Generator[SourceFrame | None]:
        """The frames, and None at least a few times a second, so that the caller can do other work meanwhile."""
        self._reader.start()
        try:
            while not self._stop.is_set():
                events, lost = self._events.take(TICK_S)
                self.received += lost
                self._drop(OutcomeCause.SUPERSEDED, lost)
                for i, event in enumerate(events):
                    yield from self._handle(event, events[i + 1 :])
                if not events:
                    self._watch.tick(_now())
                yield None
        finally:
            self.stop()
            self._reader.join(OPEN_TIMEOUT_S + 1.0)
            events, lost = self._events.take(0.0)
            self.received += lost + sum(isinstance(event, PacketArrived) for event in events)
            self._drop(STOPPED, self._unaccounted())

    def _handle(self, event: Event, later: list[Event]) -> Iterator[SourceFrame]:
        if isinstance(event, PacketArrived):
            self.received += 1
            yield from self._decode(event, later)
        elif isinstance(event, ConnectionOpened):
            self._decoder, self._late_since_ns, self._skips_to_key = Decoder(event.setup), None, False
            self._clock.reconnected()
            self._watch.connected(event.at)
        else:
            yield from self._lose(event)

    def _decode(self, event: PacketArrived, later: list[Event]) -> Iterator[SourceFrame]:
        decoder = self._decoder
        assert decoder is not None  # the reader opens before it reads
        is_behind = self._is_behind(event.at)
        newer = [other.packet for other in later if isinstance(other, PacketArrived)] if is_behind else []
        is_late = bool(newer)
        self._skips_to_key = (self._skips_to_key or event.after_loss) and not event.packet.is_key
        if is_late and (decoder.setup.is_intra or any(packet.is_key for packet in newer)):
            self._skips_to_key = not decoder.setup.is_intra
            self._drop(OutcomeCause.SUPERSEDED)  # no later packet needs it decoded
            return
        if self._skips_to_key and not decoder.setup.is_intra:
            self._drop(OutcomeCause.SUPERSEDED)
            self._watch.tick(event.at)
            return
        try:
            pictures = decoder.decode(event.packet)
        except UndecodableError as error:
            self._drop(OutcomeCause.UNDECODABLE)
            log.debug("undecodable", stream=self.name, error=str(error))
            pictures = []
        if not pictures:
            self._watch.tick(event.at)
        for picture in pictures:
            yield from self._emit(picture, event.at, is_late)

    def _is_behind(self, at: Instant) -> bool:
        """Whether we are too slow: this frame is late, and so was every other for a while."""
        now_ns = time.monotonic_ns()
        if now_ns - at.monotonic_ns <= LATE_S * 1e9:
            self._late_since_ns = None
            return False
        self._late_since_ns = self._late_since_ns or now_ns
        return now_ns - self._late_since_ns > CATCH_UP_S * 1e9

    def _emit(self, picture: CameraPicture, at: Instant, is_late: bool = False) -> Iterator[SourceFrame]:
        captured = self._clock.capture_time(at, picture.media_ns)
        self._watch.picture(picture.size, captured, at)
        if is_late or not self._limiter.admits(captured.capture_ns):
            self._drop(OutcomeCause.SUPERSEDED if is_late else THINNED)
            return
        content, small = picture.encode(self._watch.wants_thumbnail(at))
        self.disturbances.last_seq = self.emitted  # the seq that publishing will give this frame
        self.emitted += 1
        if small is not None:
            self._watch.inspect(small, at)
        yield SourceFrame(content, picture_encoding(content), captured.capture_ns, "utc")

    def _lose(self, event: ConnectionLost) -> Iterator[SourceFrame]:
        if self._decoder is not None:
            for picture in self._decoder.flush():
                yield from self._emit(picture, event.at)
            self._decoder = None
            self._drop(OutcomeCause.UNDECODABLE, self._unaccounted())
        if not isinstance(event.failure, CameraError) or not (self._wait or self._watch.was_connected):
            raise event.failure
        self._watch.lost(event.failure, event.at)

    def _unaccounted(self) -> int:
        return self.received - self.emitted - self.dropped.total()

    def _drop(self, cause: str, count: int = 1) -> None:
        if count > 0:
            self.dropped[cause] += count
            SOURCE_FRAMES.labels(self.name, "dropped", cause).inc(count)


@dataclass(slots=True)
class RateLimiter:
    """Admits `rate_hz` frames a second, evenly spaced; all if None."""

    rate_hz: float | None
    _due_ns: float | None = None

    def __post_init__(self) -> None:
        if self.rate_hz is not None and not self.rate_hz > 0:
            raise ValueError(f"rate_hz must be above 0, got {self.rate_hz}")

    def admits(self, capture_ns: int) -> bool:
        """Whether to keep this frame; it may be a quarter of a period early, so that jitter costs none."""
        if self.rate_hz is None:
            return True
        period_ns = 1e9 / self.rate_hz
        due_ns = capture_ns if self._due_ns is None else self._due_ns
        late_ns = capture_ns - due_ns
        if -2 * period_ns <= late_ns < -period_ns / 4:  # earlier than that: the clock was set back
            return False
        self._due_ns = (due_ns if abs(late_ns) < period_ns else capture_ns) + period_ns
        return True


def _now() -> Instant:
    return Instant(time.time_ns(), time.monotonic_ns())
