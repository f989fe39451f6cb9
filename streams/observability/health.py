"""Liveness and readiness of a process: what `/healthz` and `/readyz` return.

Alive: every thread that is working has sent a heartbeat recently, and none has failed. Ready: alive, and every
required condition holds. Threads send heartbeats; conditions are evaluated only on request.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from .logs import scrub

UNHEALTHY_AFTER_S = 30.0


class Condition(NamedTuple):
    """Whether a required condition holds, and why."""

    ok: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Check:
    """One line of a response. `age_s`: since the last heartbeat, or since a condition was first seen as it is now."""

    name: str
    ok: bool
    age_s: float
    reason: str


@dataclass(slots=True)
class _Beat:
    at_s: float
    at_work: bool = True
    failure: str = ""


@dataclass(slots=True)
class _Required:
    condition: Callable[[], Condition]
    since_s: float
    ok: bool | None = None


class Health:
    """Heartbeats and conditions of one process. Thread-safe.

    A working thread without a heartbeat for `limit_s` counts as dead. `clock` returns monotonic seconds.
    """

    def __init__(self, limit_s: float = UNHEALTHY_AFTER_S, clock: Callable[[], float] = time.monotonic) -> None:
        self.limit_s = limit_s
        self._clock = clock
        self._since_s = clock()
        self._beats: dict[str, _Beat] = {}
        self._required: dict[str, _Required] = {}
        self._lock = threading.Lock()

    def beat(self, name: str, at_work: bool = True) -> None:
        """Heartbeat of thread `name`, which is working, or else waits for work."""
        with self._lock:
            beat = self._beats.setdefault(name, _Beat(0.0))
            if not beat.failure:
                beat.at_s, beat.at_work = self._clock(), at_work

    def rest(self, name: str) -> None:
        """Thread `name` waits for work: until its next heartbeat it may be silent."""
        self.beat(name, at_work=False)

    def fail(self, name: str, reason: str) -> None:
        """Thread `name` has ended with an error. Final: later heartbeats are ignored."""
        with self._lock:
            self._beats[name] = _Beat(self._clock(), failure=reason or "failed")

    def require(self, name: str, condition: Callable[[], Condition]) -> None:
        """Requires `condition`, which is evaluated in the thread that asks; replaces an earlier one of that name."""
        with self._lock:
            self._required[name] = _Required(condition, self._clock())

    def liveness(self) -> list[Check]:
        """A check for each thread that ever sent a heartbeat."""
        now_s = self._clock()
        with self._lock:
            return [self._alive(name, beat, now_s) for name, beat in self._beats.items()]

    def readiness(self) -> list[Check]:
        """The checks of `liveness` and one for each condition; not ready before the first condition is required."""
        with self._lock:
            required = list(self._required.items())
        met = [self._met(name, entry) for name, entry in required]
        return [*self.liveness(), *(met or [Check("start", False, self._clock() - self._since_s, "starting")])]

    def _alive(self, name: str, beat: _Beat, now_s: float) -> Check:
        age_s = now_s - beat.at_s
        if beat.failure:
            return Check(name, False, age_s, scrub(beat.failure))
        if not beat.at_work:
            return Check(name, True, age_s, "waits for work")
        if age_s > self.limit_s:
            return Check(name, False, age_s, f"at work without a sign of life for more than {self.limit_s:g} s")
        return Check(name, True, age_s, "at work")

    def _met(self, name: str, entry: _Required) -> Check:
        try:
            ok, reason = entry.condition()
        except Exception as error:
            # the caller must get a response: a condition that can't be evaluated is not met
            ok, reason = False, f"{type(error).__name__}: {error}"
        if entry.ok is not ok:
            entry.ok, entry.since_s = ok, self._clock()
        return Check(name, ok, self._clock() - entry.since_s, scrub(reason))
