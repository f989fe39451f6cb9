"""What is wrong with a live camera, from what it sends and when: connection, silence, gaps, clocks, size, pictures."""

from __future__ import annotations

from collections import deque
from statistics import median

from ..wire.messages import Disturbance
from .clock import Arrival, Captured
from .connection import CameraError
from .disturbances import Disturbances
from .picture_health import Luma, PictureHealth

GAP_S = 1.0  # a hole that tracking feels; what is shorter is lost in jitter and rate control
NO_FRAMES_S = 3.0  # silence that no camera has in working order, and soon enough to be told within 5 s
PERIODS, RECENT = 5.0, 30  # of a slow camera so many periods, the median of the recent steps, may pass before either

OF_CONNECTION = (Disturbance.DISCONNECTED, Disturbance.UNAUTHORIZED)
OF_PICTURES = (Disturbance.NO_FRAMES, Disturbance.FROZEN, Disturbance.BLACK, Disturbance.OVEREXPOSED)


class CameraWatch:
    """Tells `disturbances` what it finds. All of it is called on one thread, in the order in which things happened."""

    def __init__(self, disturbances: Disturbances) -> None:
        self._tell = disturbances
        self._pictures = PictureHealth()
        self._size: tuple[int, int] | None = None
        self._steps_s: deque[float] = deque(maxlen=RECENT)  # between pictures
        self._heard: Arrival | None = None  # when the last picture came, or the connection; None: not connected
        self._silent_until_ns = 0  # on the monotonic clock, as far as it was told
        self.was_connected = False

    def connected(self, at: Arrival) -> None:
        """There is a connection; an earlier one was lost, or none could be made, if this was said."""
        for disturbance in OF_CONNECTION:
            self._tell.end(disturbance, at.wall_ns)
        if self.was_connected:
            self._tell.moment(Disturbance.RECONNECTED, at.wall_ns, "")
        self.was_connected, self._heard, self._pictures = True, at, PictureHealth()

    def lost(self, failure: CameraError, at: Arrival) -> None:
        """The connection was lost, or could not be made."""
        for disturbance in OF_PICTURES:
            self._tell.end(disturbance, at.wall_ns, "no connection")
        since_ns = None if self._heard is None else self._heard.wall_ns
        self._tell.begin(failure.disturbance, at.wall_ns, str(failure), since_ns)
        self._heard = None

    def tick(self, at: Arrival) -> None:
        """Time has passed and no picture has come out."""
        if self._heard is None:
            return
        silent_s = (at.monotonic_ns - self._heard.monotonic_ns) / 1e9
        if silent_s >= self._patience_s(NO_FRAMES_S):
            self._tell.begin(
                Disturbance.NO_FRAMES, at.wall_ns, f"connected, no picture for {silent_s:.1f} s", self._heard.wall_ns
            )

    def frame(self, size: tuple[int, int], captured: Captured, at: Arrival) -> None:
        """A picture of this size in px has come."""
        if captured.jump:
            self._tell.moment(Disturbance.CLOCK_JUMP, at.wall_ns, captured.jump)
        if Disturbance.NO_FRAMES in self._tell.lasting:
            self._silent_until_ns = at.monotonic_ns
        if captured.step_ns is not None:
            self._stepped(captured.step_ns, at)
        self._tell.end(Disturbance.NO_FRAMES, at.wall_ns)
        if self._size is not None and size != self._size:
            detail = f"{self._size[0]} x {self._size[1]} px became {size[0]} x {size[1]}"
            self._tell.moment(Disturbance.SIZE_CHANGED, at.wall_ns, detail)
        self._size, self._heard = size, at

    def looks_at_next(self, at: Arrival) -> bool:
        """Whether a thumbnail of the picture is wanted."""
        return self._pictures.is_due(at.monotonic_ns / 1e9)

    def look(self, small: Luma, at: Arrival) -> None:
        """A thumbnail of the picture that came at `at`, see `picture_health.py`."""
        for disturbance, since_s in self._pictures.look(small, at.monotonic_ns / 1e9).items():
            if since_s is None:
                self._tell.end(disturbance, at.wall_ns)
            else:
                since_ns = at.wall_ns - at.monotonic_ns + round(since_s * 1e9)
                self._tell.begin(disturbance, at.wall_ns, since_ns=since_ns)

    def _stepped(self, step_ns: int, at: Arrival) -> None:
        step_s = step_ns / 1e9
        self._steps_s.append(step_s)
        # H.264 comes a picture late: after a silence first the last from before it, and the hole only with the next.
        is_told = at.monotonic_ns - step_ns <= self._silent_until_ns
        if step_s >= self._patience_s(GAP_S) and not is_told:
            detail = f"no picture was taken for {step_s:.1f} s"
            self._tell.moment(Disturbance.GAP, at.wall_ns, detail, at.wall_ns - step_ns)

    def _patience_s(self, least_s: float) -> float:
        """How long pictures of this camera may be missing, at least `least_s`."""
        return max(least_s, PERIODS * median(self._steps_s)) if self._steps_s else least_s
