"""Threads that run as long as the process, whatever the broker and the database do."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Generic, TypeVar

import structlog

from gradwatch import GradwatchError
from gradwatch.streams.observability.health import Health
from gradwatch.streams.transport.connection import TopicMissingError

log = structlog.get_logger()

RETRY_S = 2.0
LONGEST_RETRY_S = 15.0
STARTING = "starting"
MISSING = "make it with: gradwatch topics --create"
EXPECTED_ERRORS = (GradwatchError, ValueError)  # logged without a traceback

Reader = TypeVar("Reader")


class BackgroundThread(ABC):
    """Calls `work` every `interval_s` until stopped.

    No error ends the thread: each new message is logged once and kept in `failure` until `work` succeeds.
    """

    STOP_TIMEOUT_S = 10.0

    def __init__(self, name: str, interval_s: float, health: Health) -> None:
        self.name, self.interval_s = name, interval_s
        self.failure: str | None = STARTING
        self.stopping = threading.Event()
        self._health = health
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    @abstractmethod
    def work(self) -> None:
        """One round; after an error it is called again."""

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread after the round at work."""
        self.stopping.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(self.STOP_TIMEOUT_S)

    def wake(self) -> None:
        """Starts the next round at once."""
        self._wake.set()

    def beat(self) -> None:
        """Tells the health check that the thread is alive and at work."""
        self._health.beat(self.name)

    def _run(self) -> None:
        logged = ""
        while not self.stopping.is_set():
            try:
                self.work()
                self.failure = None
            except Exception as error:
                self.failure = _described(error)
                if self.failure != logged:
                    is_expected = isinstance(error, EXPECTED_ERRORS)
                    log.warning("thread failed", thread=self.name, error=self.failure, exc_info=not is_expected)
            logged = self.failure or ""
            self._health.rest(self.name)
            self._wake.wait(self.interval_s)
            self._wake.clear()


def _described(error: Exception) -> str:
    """What went wrong, never empty: some errors have no text."""
    if isinstance(error, TopicMissingError):
        return f"{error}; {MISSING}"
    text = str(error).strip()
    is_told = text and isinstance(error, EXPECTED_ERRORS)
    return text if is_told else f"{type(error).__name__}: {text or 'no further text; see the log of the review server'}"


class ReaderThread(BackgroundThread, Generic[Reader]):
    """Opens a reader of topics and calls `step(reader)` over and over; after an error it opens a new one.

    What a step has not stored is read again, so steps must be repeatable. `topics` are those that it reads.
    """

    def __init__(
        self,
        name: str,
        topics: Sequence[str],
        opens: Callable[[], AbstractContextManager[Reader]],
        step: Callable[[Reader], None],
        health: Health,
    ) -> None:
        super().__init__(name, RETRY_S / 2, health)
        self.topics, self._opens, self._step = topics, opens, step

    def work(self) -> None:
        """Reads until stopped; the wait after it doubles while one error follows another."""
        began_s = time.monotonic()
        try:
            with self._opens() as reader:
                while not self.stopping.is_set():
                    self.beat()
                    self._step(reader)
                    self.failure = None
        finally:
            is_first = time.monotonic() - began_s > LONGEST_RETRY_S
            self.interval_s = RETRY_S if is_first else min(2 * self.interval_s, LONGEST_RETRY_S)
