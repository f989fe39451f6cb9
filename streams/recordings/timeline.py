"""Times of recorded frames: the recording's own, without what is wrong with them.

A time may be missing, lie before zero, leap ahead and back, repeat, wrap or begin anew. A wrong time is replaced by one
interval after the frame before; where the clock itself was set, the frames go on one interval later. So times are never
negative and never decrease, and one wrong time moves one frame only.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import replace
from statistics import median_low
from typing import NamedTuple

import structlog

from .damage import RecordingError
from .still import Still

MAX_TIME_NS = 2**63 - 1
MAX_STEP_NS = 10_000_000_000  # between frames, or `INTERVALS` intervals of a recording of few frames
INTERVALS = 10
RECENT = 15  # steps, whose median is the interval
AGREEMENT_NS = 1_000_000_000  # so far may a step of the log times differ that confirms a long step

log = structlog.get_logger(__name__)


class StoredTime(NamedTuple):
    """A time as a recording states it, which may be wrong, and when a recorder logged the frame; None: not stated."""

    own_ns: int | None
    logged_ns: int | None = None


def steady(stored: Iterable[tuple[StoredTime, Still]], interval_ns: int) -> Iterator[Still]:
    """The stills at times that never decrease; `interval_ns` is the interval until the first steps are known.

    Reads one still ahead. A step beyond `MAX_STEP_NS` is kept where the log times confirm it.
    """
    timeline = Timeline(interval_ns)
    iterator = iter(stored)
    try:
        current, failure = next(iterator, None), None
        while current is not None:
            try:
                following = next(iterator, None)
            except RecordingError as error:
                following, failure = None, error  # the current still was read before
            time, still = current
            yield replace(still, time_ns=timeline.time_ns(time, None if following is None else following[0]))
            current = following
        if failure is not None:
            raise failure
    finally:
        if timeline.wrong or timeline.resets:
            log.warning("times of the recording mended", wrong_times=timeline.wrong, clock_resets=timeline.resets)


class Timeline:
    """Gives each frame its time: `wrong` counts the times that were replaced, `resets` the clocks that were set."""

    def __init__(self, interval_ns: int) -> None:
        self.wrong = self.resets = 0
        self._has_times = False
        self._steps_ns = deque([interval_ns], RECENT)
        self._offset_ns = 0  # from the recording's own times to those given
        self._own_ns = 0  # the last of the recording's own times that was right
        self._last_ns: int | None = None  # the last time given
        self._last_logged_ns: int | None = None

    def time_ns(self, stored: StoredTime, following: StoredTime | None) -> int:
        """The time of the still that is stored with the time `stored`, before the one at `following`."""
        self._has_times |= bool(stored.own_ns)
        own, later = _legal(stored.own_ns), None if following is None else _legal(following.own_ns)
        if self._last_ns is None:
            later_logged_ns = None if following is None else following.logged_ns
            time_ns = self._first(own, later, stored.logged_ns, later_logged_ns)
        else:
            time_ns = self._next(own, later, self._last_ns, self._logged_step(stored))
        self._last_ns, self._last_logged_ns = min(time_ns, MAX_TIME_NS), stored.logged_ns
        return self._last_ns

    def _first(self, own: int | None, later: int | None, logged_ns: int | None, later_logged_ns: int | None) -> int:
        """The first time: the still's own, unless that is missing or does not fit the second, which fits better."""
        if later is None:
            start = logged_ns if logged_ns is not None and not own else own or 0
        elif own is None or later < own or self._is_off(own, later, logged_ns, later_logged_ns):
            start = later - self._interval_ns()
            self.wrong += 1
        else:
            start = own
        self._own_ns, self._offset_ns = start, max(0, -start)
        return start + self._offset_ns

    def _is_off(self, own: int, later: int, logged_ns: int | None, later_logged_ns: int | None) -> bool:
        """Whether a leap to the second time is the first one's fault: it is farther from its log time."""
        if later - own <= self._longest_ns() or logged_ns is None or later_logged_ns is None:
            return False
        return abs(own - logged_ns) > abs(later - later_logged_ns)

    def _next(self, own: int | None, later: int | None, last_ns: int, logged_step_ns: int | None) -> int:
        is_plausible = logged_step_ns is not None and 0 <= logged_step_ns <= self._longest_ns()
        filled_ns = last_ns + (logged_step_ns if is_plausible and logged_step_ns else self._interval_ns())
        if own is None:
            self.wrong += self._has_times
            return filled_ns
        step_ns = own + self._offset_ns - last_ns
        confirmed = logged_step_ns is not None and abs(step_ns - logged_step_ns) <= AGREEMENT_NS
        fits = own >= self._own_ns and (step_ns <= self._longest_ns() or confirmed)
        if later is not None and self._own_ns <= later:  # the next may go on from the frame before
            later_step_ns = later + self._offset_ns - last_ns
            is_spike = later < own if fits else later_step_ns <= self._longest_ns() + self._interval_ns()
            if is_spike:
                self.wrong += 1
                return max(last_ns, min(filled_ns, last_ns + later_step_ns))
        if not fits:
            self.resets += 1
            if step_ns > 0:  # if more follow, they are the interval
                self._steps_ns.append(step_ns)
            self._own_ns, self._offset_ns = own, filled_ns - own
            return filled_ns
        if step_ns > 0:
            self._steps_ns.append(step_ns)
        self._own_ns = own
        return max(last_ns, last_ns + step_ns)

    def _logged_step(self, stored: StoredTime) -> int | None:
        if stored.logged_ns is None or self._last_logged_ns is None:
            return None
        return stored.logged_ns - self._last_logged_ns

    def _interval_ns(self) -> int:
        return median_low(self._steps_ns)

    def _longest_ns(self) -> int:
        return max(MAX_STEP_NS, INTERVALS * self._interval_ns())


def _legal(time_ns: int | None) -> int | None:
    return time_ns if time_ns is not None and -MAX_TIME_NS <= time_ns <= MAX_TIME_NS else None
