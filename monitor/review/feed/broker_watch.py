"""Whether the broker answers, asked every few seconds: a reader of a dead one only hears nothing."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from gradwatch.streams.transport.connection import BrokerRefusedError, BrokerUnavailableError, wait_until_accepted

from ..metrics import BROKER_UP

INTERVAL_S = 5.0
TIMEOUT_S = 2.0


@dataclass(frozen=True, slots=True)
class BrokerState:
    """`since_ns` is when it last changed, wall clock; `error` is "" while it answers."""

    ok: bool
    since_ns: int
    error: str = ""


class BrokerWatch:
    """Keeps `state` up to date and calls `changed(state)` whenever it goes or comes back."""

    def __init__(
        self, bootstrap_servers: str, settings: Mapping[str, Any], changed: Callable[[BrokerState], None]
    ) -> None:
        self.state = BrokerState(False, time.time_ns(), "not asked yet")
        self._servers, self._settings, self._changed = bootstrap_servers, settings, changed
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="broker", daemon=True)

    def start(self) -> None:
        """Begins to ask."""
        self._thread.start()

    def stop(self) -> None:
        """Ends."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(2 * TIMEOUT_S)

    def _run(self) -> None:
        while not self._stopping.is_set():
            error = self._ask()
            before, ok = self.state, not error
            since_ns = before.since_ns if ok is before.ok else time.time_ns()
            self.state = BrokerState(ok, since_ns, error)
            BROKER_UP.set(ok)
            if ok is not before.ok or before.error == "not asked yet":
                self._changed(self.state)
            self._stopping.wait(INTERVAL_S)

    def _ask(self) -> str:
        try:
            wait_until_accepted(self._servers, self._settings, TIMEOUT_S)
        except (BrokerUnavailableError, BrokerRefusedError) as error:
            return str(error)
        return ""
