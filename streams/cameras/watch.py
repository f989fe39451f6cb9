"""Detects what is wrong with a live camera from its events: connection, silence, gaps, clocks, size, pictures."""

from __future__ import annotations

from collections import deque
from statistics import median

from ..disturbances import Disturbances
from ..wire.messages import Disturbance
from .camera_error import CameraError
from .clock import CaptureTime, Instant
from .picture_health import Luma, PictureHealth

GAP_S = 1.0  # a gap that disturbs tracking; shorter ones vanish in jitter and rate control
NO_FRAMES_S = 3.0  # silence that no working camera has, and short enough to be reported within 5 s
PERIODS, RECENT = 5.0, 30  # a slow camera may be silent for so many periods, the median of the recent steps

OF_CONNECTION = (Disturbance.DISCONNECTED, Disturbance.UNAUTHORIZED)
OF_PICTURES = (Disturbance.NO_FRAMES, Disturbance.FROZEN, Disturbance.BLACK, Disturbance.OVEREXPOSED)


class CameraWatch:
    """Records in `disturbances` what it detects. Not thread-safe: called on one thread, in the order of the events."""

    def __init__(self, disturbances: Disturbances) -> None:
        self._disturbances = disturbances
        self._pictures = PictureHealth()
        self._size: tuple[int, int] | None = None
        self._steps_s: deque[float] = deque(maxlen=RECENT)  # between pictures
        self._last: Instant | None = None  # arrival of the last picture, or the connection; None: not connected
        self._silent_until_ns = 0  # on the monotonic clock: end of the last reported silence
        self.was_connected = False

    def connected(self, at: Instant) -> None:
        """A connection was opened; ends the loss that was reported, if any."""
        for disturbance in OF_CONNECTION:
            self._disturbances.end(disturbance, at.wall_ns)
        if self.was_connected:
            self._disturbances.moment(Disturbance.RECONNECTED, at.wall_ns, "")
        self.was_connected, self._last, self._pictures = True, at, PictureHealth()

    def lost(self, failure: CameraError, at: Instant) -> None:
        """The connection was lost, or could not be opened."""
        for disturbance in OF_PICTURES:
            self._disturbances.end(disturbance, at.wall_ns, "no connection")
        since_ns = None if self._last is None else self._last.wall_ns
        self._disturbances.begin(failure.disturbance, at.wall_ns, str(failure), since_ns)
        self._last = None

    def tick(self, at: Instant) -> None:
        """Time has passed without a picture."""
        if self._last is None:
            return
        silent_s = (at.monotonic_ns - self._last.monotonic_ns) / 1e9
        if silent_s >= self._patience_s(NO_FRAMES_S):
            detail = f"connected, no picture for {silent_s:.1f} s"
            self._disturbances.begin(Disturbance.NO_FRAMES, at.wall_ns, detail, self._last.wall_ns)

    def picture(self, size: tuple[int, int], captured: CaptureTime, at: Instant) -> None:
        """A picture of this size in px arrived."""
        if captured.jump:
            self._disturbances.moment(Disturbance.CLOCK_JUMP, at.wall_ns, captured.jump)
        if Disturbance.NO_FRAMES in self._disturbances.lasting:
            self._silent_until_ns = at.monotonic_ns
        if captured.step_ns is not None:
            self._check_gap(captured.step_ns, at)
        self._disturbances.end(Disturbance.NO_FRAMES, at.wall_ns)
        if self._size is not None and size != self._size:
            detail = f"{self._size[0]} x {self._size[1]} px became {size[0]} x {size[1]}"
            self._disturbances.moment(Disturbance.SIZE_CHANGED, at.wall_ns, detail)
        self._size, self._last = size, at

    def wants_thumbnail(self, at: Instant) -> bool:
        """Whether the next picture should be inspected."""
        return self._pictures.is_due(at.monotonic_ns / 1e9)

    def inspect(self, small: Luma, at: Instant) -> None:
        """Inspects the thumbnail of the picture that arrived at `at`, see `picture_health.py`."""
        for disturbance, since_s in self._pictures.inspect(small, at.monotonic_ns / 1e9).items():
            if since_s is None:
                self._disturbances.end(disturbance, at.wall_ns)
            else:
                since_ns = at.wall_ns - at.monotonic_ns + round(since_s * 1e9)
                self._disturbances.begin(disturbance, at.wall_ns, since_ns=since_ns)

    def _check_gap(self, step_ns: int, at: Instant) -> None:
        step_s = step_ns / 1e9
        self._steps_s.append(step_s)
        # H.264 arrives a picture late: after a silence comes the last picture from before it, the gap with the next.
        is_reported = at.monotonic_ns - step_ns <= self._silent_until_ns
        if step_s >= self._patience_s(GAP_S) and not is_reported:
            detail = f"no picture was taken for {step_s:.1f} s"
            self._disturbances.moment(Disturbance.GAP, at.wall_ns, detail, at.wall_ns - step_ns)

    def _patience_s(self, least_s: float) -> float:
        """How long this camera may send no picture, at least `least_s`."""
        return max(least_s, PERIODS * median(self._steps_s)) if self._steps_s else least_s
