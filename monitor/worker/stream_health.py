"""What the worker notices about streams, as health records: broken clocks, lost frames, failures of judging.

A source reports its camera on the same topic (`streams/cameras`); `reporter` tells the two apart.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from gradwatch.streams.disturbances import Disturbances
from gradwatch.streams.wire.messages import Disturbance, FrameIdentity, HealthRecord

from ..judging.stream_time import StreamTime

MOMENT_EVERY_S = 60.0
STOPPED = "capture times do not advance; frames are judged by the interval in which they arrive"


class StreamHealth:
    """The disturbances that the worker notices, by stream. Thread-safe.

    `report` takes each record and must not block: health records are sent best effort.
    """

    def __init__(self, report: Callable[[HealthRecord], None] = lambda record: None) -> None:
        self._report = report
        self._streams: dict[str, Disturbances] = {}
        self._moments_s: dict[tuple[str, Disturbance], float] = {}
        self._lock = threading.Lock()

    def begin(self, stream_id: str, run_id: str, disturbance: Disturbance, detail: str, last_seq: int = -1) -> None:
        """Reports the begin of a disturbance; does nothing while it lasts."""
        with self._lock:
            self._of(stream_id, run_id, last_seq).begin(disturbance, time.time_ns(), detail)

    def end(self, stream_id: str, run_id: str, disturbance: Disturbance, last_seq: int = -1) -> None:
        """Reports the end of a disturbance; does nothing if it does not last."""
        with self._lock:
            self._of(stream_id, run_id, last_seq).end(disturbance, time.time_ns())

    def moment(
        self,
        stream_id: str,
        run_id: str,
        disturbance: Disturbance,
        detail: str,
        last_seq: int = -1,
        repeat_s: float = MOMENT_EVERY_S,
    ) -> None:
        """Reports a single event, unless its kind was reported for the stream in the last `repeat_s`."""
        key, now_s = (stream_id, disturbance), time.monotonic()
        with self._lock:
            if now_s - self._moments_s.get(key, -repeat_s) >= repeat_s:
                self._moments_s[key] = now_s
                self._of(stream_id, run_id, last_seq).moment(disturbance, time.time_ns(), detail)

    def signal(self, identity: FrameIdentity, is_missing: bool, shown: str) -> None:
        """Begins or ends the wait of a stream with nothing to be calibrated on; `shown` is its one color, or ""."""
        stream_id, run_id, seq = identity.stream_id, identity.run_id, identity.seq
        if is_missing:
            detail = f"{shown or 'frozen, or a slate'}: the stream is calibrated once it shows a picture"
            self.begin(stream_id, run_id, Disturbance.NO_SIGNAL, detail, seq)
        else:
            self.end(stream_id, run_id, Disturbance.NO_SIGNAL, seq)

    def clock(self, identity: FrameIdentity, before: StreamTime | None, now: StreamTime | None) -> None:
        """Reports what the capture time of a judged frame shows; `before` is the time of the frame before it."""
        if before is None or now is None:
            return
        stream_id, run_id, last_seq = identity.stream_id, identity.run_id, identity.seq - 1
        if now.jump:
            self.moment(stream_id, run_id, Disturbance.CLOCK_JUMP, now.jump, last_seq)
        if before.has_stopped or now.has_stopped:  # the begin may have been noticed by the worker before this one
            self.begin(stream_id, run_id, Disturbance.CLOCK_STOPPED, STOPPED, last_seq)
        if not now.has_stopped:
            self.end(stream_id, run_id, Disturbance.CLOCK_STOPPED, last_seq)

    def forget(self, stream_id: str) -> None:
        """Drops all that is kept of a stream."""
        with self._lock:
            self._streams.pop(stream_id, None)
            for key in [key for key in self._moments_s if key[0] == stream_id]:
                del self._moments_s[key]

    def _of(self, stream_id: str, run_id: str, last_seq: int) -> Disturbances:
        """The disturbances of a run; those of an earlier run ended with it."""
        known = self._streams.get(stream_id)
        if known is None or known.run_id != run_id:
            known = self._streams[stream_id] = Disturbances(stream_id, run_id, self._report, "worker")
        known.last_seq = last_seq
        return known
