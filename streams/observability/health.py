"""Whether a process is alive, and whether it is ready: what `/healthz` and `/readyz` answer.

Alive: every thread that is at work gives a beat now and then, and none has failed. Ready: alive, and every
condition holds that was required. Threads push their beats; conditions are asked only when somebody looks.
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
    """Whether something that was required is so, and why."""

    ok: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Check:
    """One line of an answer. `age_s` is since the last beat, or since a condition was first seen as it is now."""

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
    """What a process knows of itself. Thread-safe.

    A thread at work without a beat for `limit_s` is taken for dead. `clock` gives seconds that never go back.
    """

    def __init__(self, limit_s: float = UNHEALTHY_AFTER_S, clock: Callable[[], float] = time.monotonic) -> None:
        self.limit_s = limit_s
        self._clock = clock
        self._since_s = clock()
        self._beats: dict[str, _Beat] = {}
        self._required: dict[str, _Required] = {}
        self._lock = threading.Lock()

    def beat(self, name: str) -> None:
        """Says that `name` is alive and at work."""
        self._note(name, at_work=True)

    def rest(self, name: str) -> None:
        """Says that `name` waits for work: it may be silent for as long as it likes."""
        self._note(name, at_work=False)

    def fail(self, name: str, reason: str) -> None:
        """Says that `name` has ended with an error; there is no way back."""
        with self._lock:
            self._beats[name] = _Beat(self._clock(), failure=reason or "failed")

    def require(self, name: str, condition: Callable[[], Condition]) -> None:
        """Asks `condition` from now on, in whatever thread looks; replaces an earlier one of that name."""
        with self._lock:
            self._required[name] = _Required(condition, self._clock())

    def liveness(self) -> list[Check]:
        """A check for each thread that ever gave a beat."""
        now_s = self._clock()
        with self._lock:
            return [self._alive(name, beat, now_s) for name, beat in self._beats.items()]

    def readiness(self) -> list[Check]:
        """What `liveness` says, and a check for each condition: what is not alive is not ready.

        Nor is what has not come so far as to require anything.
        """
        with self._lock:
            required = list(self._required.items())
        met = [self._met(name, entry) for name, entry in required]
        return [*self.liveness(), *(met or [Check("start", False, self._clock() - self._since_s, "starting")])]

    def _note(self, name: str, at_work: bool) -> None:
        with self._lock:
            beat = self._beats.get(name)
            if beat is None:
                self._beats[name] = _Beat(self._clock(), at_work)
            elif not beat.failure:
                beat.at_s, beat.at_work = self._clock(), at_work

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
            # whoever looks must get an answer: a condition that can't be told is not met
            ok, reason = False, f"{type(error).__name__}: {error}"
        if entry.ok is not ok:
            entry.ok, entry.since_s = ok, self._clock()
        return Check(name, ok, self._clock() - entry.since_s, scrub(reason))
