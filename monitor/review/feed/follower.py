"""One thread that follows topics for as long as the process lives, whatever becomes of the broker."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Generic, TypeVar

import structlog

from gradwatch.streams.observability.health import Health
from gradwatch.streams.transport.connection import BrokerRefusedError, BrokerUnavailableError

log = structlog.get_logger()

RETRY_S = 2.0
LONGEST_RETRY_S = 15.0

Reader = TypeVar("Reader")


class Follower(Generic[Reader]):
    """Opens a reader and calls `step(reader)` over and over; after any error opens a new one.

    What `step` has not stored is read again, so a step must be one that can be repeated. An error ends no thread:
    it is logged once for each new message, and shown in `failure` until a step succeeds.
    """

    def __init__(
        self,
        name: str,
        opens: Callable[[], AbstractContextManager[Reader]],
        step: Callable[[Reader], None],
        health: Health,
    ) -> None:
        self.name = name
        self.failure: str | None = "starting"
        self._opens, self._step, self._health = opens, step, health
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begins."""
        self._thread.start()

    def stop(self, timeout_s: float = 10.0) -> None:
        """Ends after the step at work."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def _run(self) -> None:
        pause_s, said = RETRY_S / 2, ""
        while not self._stopping.is_set():
            began_s = time.monotonic()
            try:
                self._follow()
            except (BrokerUnavailableError, BrokerRefusedError, ValueError) as error:
                self.failure = str(error)
                if self.failure != said:
                    log.warning("can't follow", thread=self.name, error=self.failure)
            except Exception as error:
                self.failure = f"{type(error).__name__}: {error}"
                if self.failure != said:
                    log.exception("can't follow", thread=self.name)
            said = self.failure or ""
            self._health.rest(self.name)
            pause_s = RETRY_S if time.monotonic() - began_s > LONGEST_RETRY_S else min(2 * pause_s, LONGEST_RETRY_S)
            self._stopping.wait(pause_s)

    def _follow(self) -> None:
        with self._opens() as reader:
            while not self._stopping.is_set():
                self._health.beat(self.name)
                self._step(reader)
                self.failure = None
