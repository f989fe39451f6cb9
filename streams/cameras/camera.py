"""Live cameras: RTSP, HTTP and USB as a source of frames that goes on whatever the camera does.

Two threads a camera. The *reader* opens the connection, takes packets off it at once, so that none grows old in a
socket, and connects again when it is lost. The thread that iterates decodes, encodes, looks at the pictures and says
what is wrong. Where it can't follow, the newest frame wins and the others are counted as `superseded`.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import Any

import structlog

from ..observability.health import Condition
from ..observability.metrics import SOURCE_FRAMES
from ..sources import SourceFrame, legal_stream_id
from ..wire.messages import HealthRecord, OutcomeCause
from ..wire.pixels import picture_encoding
from .address import CameraAddress, Transport, camera_address, stream_name
from .backoff import Backoff
from .clock import Arrival, CaptureClock
from .connection import OPEN_TIMEOUT_S, CameraError
from .decoder import Decoder, Picture, UndecodableError
from .disturbances import Disturbances
from .reader import Arrived, Event, Events, Lost, Opened, Reader
from .watch import CameraWatch

log: Any = structlog.get_logger(__name__)

TICK_S = 0.2  # as often somebody looks when nothing comes
LATE_S = 0.5  # a frame that has waited so long is late: of no use to who watches live
CATCH_UP_S = 1.0  # late frames give way to newer ones once all have been late for so long: a hiccup costs none
# Why a frame is left out, beside the causes that reports know.
THINNED = "thinned"  # beyond the rate that was asked for
STOPPED = "stopped"  # it had come and waited when the source was stopped


def camera(
    source: str, transport: Transport = "tcp", rate_hz: float | None = None, name: str | None = None
) -> LiveCamera:
    """A live camera by its address, see `camera_address`. Frames beyond `rate_hz` are left out and counted."""
    address = camera_address(source, transport)
    return LiveCamera(address, legal_stream_id(name or stream_name(address)), rate_hz)


class LiveCamera:
    """Frames of a camera until `stop`; may be iterated once. Their clock is `utc`, see `capture_clock.py`.

    The first connection must come about, else `CameraError` is raised, unless `wait`; later ones are tried for
    ever. `report` gets health records, which carry `run_id`. `came` counts pictures as they came in, `given` those
    that were given out, `dropped` the others by cause.
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
        self.came = self.given = 0
        self.dropped: Counter[str] = Counter()
        self.disturbances = Disturbances(name, run_id, report)
        self._watch = CameraWatch(self.disturbances)
        self._clock, self._thinning = CaptureClock(), Thinning(rate_hz)
        self._decoder: Decoder | None = None
        self._late_since_ns: int | None = None  # on the monotonic clock
        self._skips_to_key = False  # packets were left out, and those that follow need them
        self._wait, self._stop, self._events = wait, threading.Event(), Events()
        self._reader = Reader(address, self._events, _now, backoff or Backoff(), self._stop)

    def condition(self) -> Condition:
        """Whether pictures come that one can work with; any thread may ask."""
        lasting = self.disturbances.lasting
        if lasting or not self._watch.was_connected:
            return Condition(False, ", ".join(lasting) or "not connected yet")
        return Condition(True, "frames come")

    def stop(self) -> None:
        """Ends the frames; any thread may ask for it."""
        self._stop.set()

    def __iter__(self) -> Iterator[SourceFrame]:
        return (frame for frame in self.live() if frame is not None)

    def live(self) -> Generator[SourceFrame | None]:
        """The frames, and None at least a few times a second, so that who publishes can do the rest of its work."""
        self._reader.start()
        try:
            while not self._stop.is_set():
                events, lost = self._events.take(TICK_S)
                self.came += lost
                self._drop(OutcomeCause.SUPERSEDED, lost)
                for i, event in enumerate(events):
                    yield from self._happened(event, events[i + 1 :])
                if not events:
                    self._watch.tick(_now())
                yield None
        finally:
            self.stop()
            self._reader.join(OPEN_TIMEOUT_S + 1.0)
            self._count_rest()

    def _happened(self, event: Event, later: list[Event]) -> Iterator[SourceFrame]:
        if isinstance(event, Arrived):
            self.came += 1
            yield from self._arrived(event, later)
        elif isinstance(event, Opened):
            self._decoder, self._late_since_ns, self._skips_to_key = Decoder(event.setup), None, False
            self._clock.reconnected()
            self._watch.connected(event.at)
        else:
            yield from self._lost(event)

    def _arrived(self, event: Arrived, later: list[Event]) -> Iterator[SourceFrame]:
        decoder = self._decoder
        assert decoder is not None  # the reader opens before it reads
        newer = (other.packet for other in later if isinstance(other, Arrived))
        is_late = self._is_behind(event.at) and any(isinstance(other, Arrived) for other in later)
        self._skips_to_key = (self._skips_to_key or event.after_loss) and not event.packet.is_key
        if is_late and (decoder.setup.is_intra or any(packet.is_key for packet in newer)):
            self._skips_to_key = not decoder.setup.is_intra
            self._drop(OutcomeCause.SUPERSEDED)  # nor need it be decoded for those that follow
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
            yield from self._decoded(picture, event.at, is_late)

    def _is_behind(self, at: Arrival) -> bool:
        """Whether we can't follow: this frame is late, and so was every other for a while."""
        now_ns = time.monotonic_ns()
        if now_ns - at.monotonic_ns <= LATE_S * 1e9:
            self._late_since_ns = None
            return False
        self._late_since_ns = self._late_since_ns or now_ns
        return now_ns - self._late_since_ns > CATCH_UP_S * 1e9

    def _decoded(self, picture: Picture, at: Arrival, is_late: bool = False) -> Iterator[SourceFrame]:
        captured = self._clock.capture(at, picture.media_ns)
        self._watch.frame(picture.size, captured, at)
        if is_late or not self._thinning.keeps(captured.capture_ns):
            self._drop(OutcomeCause.SUPERSEDED if is_late else THINNED)
            return
        content, small = picture.encoded(self._watch.looks_at_next(at))
        self.disturbances.last_seq = self.given  # frames are numbered in this order
        self.given += 1
        if small is not None:
            self._watch.look(small, at)
        yield SourceFrame(content, picture_encoding(content), captured.capture_ns, "utc")

    def _lost(self, event: Lost) -> Iterator[SourceFrame]:
        if self._decoder is not None:
            for picture in self._decoder.flush():
                yield from self._decoded(picture, event.at)
            self._decoder = None
            self._drop(OutcomeCause.UNDECODABLE, self.came - self.given - self.dropped.total())  # what never came out
        if not isinstance(event.failure, CameraError) or not (self._wait or self._watch.was_connected):
            raise event.failure
        self._watch.lost(event.failure, event.at)

    def _count_rest(self) -> None:
        """What came and had its turn no more."""
        events, lost = self._events.take(0.0)
        self.came += lost + sum(isinstance(event, Arrived) for event in events)
        self._drop(STOPPED, self.came - self.given - self.dropped.total())

    def _drop(self, cause: str, count: int = 1) -> None:
        if count > 0:
            self.dropped[cause] += count
            SOURCE_FRAMES.labels(self.name, "dropped", cause).inc(count)


@dataclass(slots=True)
class Thinning:
    """Keeps `rate_hz` frames a second of those that come, evenly; None keeps all."""

    rate_hz: float | None
    _due_ns: float | None = None

    def __post_init__(self) -> None:
        if self.rate_hz is not None and not self.rate_hz > 0:
            raise ValueError(f"rate_hz must be above 0, got {self.rate_hz}")

    def keeps(self, capture_ns: int) -> bool:
        """Whether this frame is one of them. A frame may be a quarter of a period early, so that jitter costs none."""
        if self.rate_hz is None:
            return True
        period_ns = 1e9 / self.rate_hz
        due_ns = capture_ns if self._due_ns is None else self._due_ns
        late_ns = capture_ns - due_ns
        if -2 * period_ns <= late_ns < -period_ns / 4:  # earlier than that: the clock was set back
            return False
        self._due_ns = (due_ns if abs(late_ns) < period_ns else capture_ns) + period_ns
        return True


def _now() -> Arrival:
    return Arrival(time.time_ns(), time.monotonic_ns())
