"""Turns for work that takes much memory or time: a few at once, and a bounded queue in which each has a share."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from gradwatch import GradwatchError


class BusyError(GradwatchError):
    """The queue, or the share of whoever asks, is full; the same request may succeed in a moment."""


class Turns:
    """At most `at_once` work, `waiting` more wait, and of these together at most `of_one` are of one asker."""

    def __init__(self, at_once: int, waiting: int, of_one: int) -> None:
        self._most, self._of_one = at_once + waiting, of_one
        self._slots = threading.BoundedSemaphore(at_once)
        self._inside: Counter[str] = Counter()
        self._lock = threading.Lock()

    @contextmanager
    def turn(self, asker: str) -> Iterator[None]:
        """Waits for a turn, which the block then has. Raises BusyError at once where none is to be had soon."""
        with self._lock:
            if self._inside.total() >= self._most or self._inside[asker] >= self._of_one:
                raise BusyError(f"expected at most {self._most} at once and {self._of_one} of one visitor")
            self._inside[asker] += 1
        try:
            with self._slots:
                yield
        finally:
            with self._lock:
                self._inside[asker] -= 1
                self._inside += Counter()  # forgets those who are gone
