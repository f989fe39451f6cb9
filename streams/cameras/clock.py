"""Capture times of live pictures: this machine's clock for the time of day, the camera's for the spacing.

Each live picture has two times. The *media clock* is the camera's: its differences are the true spacing of the
pictures, but it starts anywhere and runs a little fast or slow. The *wall clock* at arrival is UTC, but late by the
network's delay, which varies. So capture time is media time plus an offset, and only the offset follows the wall clock.
No picture arrives before it is taken, so an arrival earlier than the offset predicts lowers it at once; it rises
slowly, by a low pass, which also follows the drift between the clocks.

Recordings have no arrival: they keep their own timeline, on the clock `media`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

RISE_S = 10.0  # time constant: 100 ppm of drift stay within 1 ms, and jitter of 50 ms moves no frame by more than 1 ms
JUMP_S = 1.0  # more than jitter, a full buffer or a lost second of pictures explains
LATE_S = 3.0  # pictures late for longer than this mean that the camera's clock has moved, not that the network is slow


@dataclass(frozen=True, slots=True)
class Instant:
    """A moment on both clocks of this machine: `wall_ns` UTC, `monotonic_ns` never set."""

    wall_ns: int
    monotonic_ns: int


@dataclass(frozen=True, slots=True)
class CaptureTime:
    """`capture_ns` UTC; `step_ns` since the previous picture or None; `jump` describes a clock that jumped, or ""."""

    capture_ns: int
    step_ns: int | None = None
    jump: str = ""


class CaptureClock:
    """The capture times of one camera. Capture times increase, unless the wall clock itself was set back."""

    def __init__(self) -> None:
        self._offset_ns: int | None = None  # of capture time from media time, in this connection
        self._last: tuple[Instant, int] | None = None  # arrival and media time of the last that had one, likewise
        self._last_capture_ns: int | None = None
        self._is_first = True  # of its connection
        self._last_arrival: Instant | None = None  # in any connection
        self._late_since_ns: int | None = None

    def reconnected(self) -> None:
        """Starts over: the camera's clock may begin anywhere."""
        self._is_first = True
        self._offset_ns = self._last = self._late_since_ns = None

    def capture_time(self, arrival: Instant, media_ns: int | None) -> CaptureTime:
        """The capture time of the picture that arrived at `arrival`; `media_ns` None: the camera has no clock."""
        set_by_ns = self._wall_clock_set_by(arrival)
        jump = f"this machine's clock was set by {set_by_ns / 1e9:+.1f} s" if set_by_ns else ""
        if media_ns is None:
            capture_ns = arrival.wall_ns
        else:
            jump = jump or self._follow(arrival, media_ns)
            if jump or self._offset_ns is None:
                self._offset_ns, self._late_since_ns = arrival.wall_ns - media_ns, None
            capture_ns = media_ns + self._offset_ns
        last_ns = self._last_capture_ns
        if last_ns is not None and set_by_ns >= 0:
            capture_ns = max(capture_ns, last_ns + 1)
        is_first, self._is_first = self._is_first, False
        self._last = self._last if media_ns is None else (arrival, media_ns)
        self._last_arrival, self._last_capture_ns = arrival, capture_ns
        step_ns = None if last_ns is None or is_first or jump else capture_ns - last_ns
        return CaptureTime(capture_ns, step_ns, jump)

    def _wall_clock_set_by(self, arrival: Instant) -> int:
        """By how much the wall clock was set since the previous picture; 0 for less than a jump."""
        if self._last_arrival is None:
            return 0
        wall_ns = arrival.wall_ns - self._last_arrival.wall_ns
        set_by_ns = wall_ns - (arrival.monotonic_ns - self._last_arrival.monotonic_ns)
        return set_by_ns if abs(set_by_ns) > JUMP_S * 1e9 else 0

    def _follow(self, arrival: Instant, media_ns: int) -> str:
        """Updates the offset by this arrival; returns a description of a jump of the camera's clock, or ""."""
        if self._offset_ns is None or self._last is None:
            return ""
        last_arrival, last_media_ns = self._last
        passed_ns, media_passed_ns = arrival.monotonic_ns - last_arrival.monotonic_ns, media_ns - last_media_ns
        late_ns = arrival.wall_ns - media_ns - self._offset_ns
        # A stream that resumes after a stall is late and catches up; a camera can't run ahead of time.
        if media_passed_ns < 0 or (media_passed_ns - passed_ns > JUMP_S * 1e9 and late_ns < -JUMP_S * 1e9):
            return f"the camera's clock went {media_passed_ns / 1e9:+.1f} s within {passed_ns / 1e9:.1f} s"
        if late_ns > JUMP_S * 1e9:
            self._late_since_ns = self._late_since_ns or arrival.monotonic_ns
            if arrival.monotonic_ns - self._late_since_ns > LATE_S * 1e9:
                return f"the camera's clock is {late_ns / 1e9:.1f} s behind this machine's and stays there"
            return ""
        self._late_since_ns = None
        share = 1.0 if late_ns < 0 else -math.expm1(-max(0, passed_ns) / (RISE_S * 1e9))
        self._offset_ns += round(share * late_ns)
        return ""
