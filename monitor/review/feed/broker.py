"""The broker that the review process reads from, and whether it answers: a reader of a dead one only gets nothing."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import msgspec

from gradwatch.streams.observability.health import Health
from gradwatch.streams.transport.connection import BrokerRefusedError, BrokerUnavailableError, wait_until_accepted
from gradwatch.streams.wire.topics import Topics

from ..metrics import BROKER_UP
from ..shapes import BrokerShape
from .threads import BackgroundThread

INTERVAL_S = 5.0
TIMEOUT_S = 2.0
NOT_ASKED = "not asked yet"


class Broker(msgspec.Struct, frozen=True):
    """Servers, client settings and topic names."""

    bootstrap_servers: str
    client: dict[str, Any]
    topics: Topics


class BrokerWatch(BackgroundThread):
    """Asks the broker every few seconds; keeps `state` and calls `changed(state)` when it becomes (un)reachable."""

    def __init__(self, broker: Broker, health: Health, changed: Callable[[BrokerShape], None]) -> None:
        super().__init__("broker", INTERVAL_S, health)
        self.state = BrokerShape(ok=False, since_ns=time.time_ns(), error=NOT_ASKED)
        self._broker, self._changed = broker, changed

    def work(self) -> None:
        """Asks once."""
        error = ""
        try:
            wait_until_accepted(self._broker.bootstrap_servers, self._broker.client, TIMEOUT_S)
        except (BrokerUnavailableError, BrokerRefusedError) as refusal:
            error = str(refusal)
        before, ok = self.state, not error
        since_ns = before.since_ns if ok is before.ok else time.time_ns()
        self.state = BrokerShape(ok=ok, since_ns=since_ns, error=error)
        BROKER_UP.set(ok)
        if ok is not before.ok or before.error == NOT_ASKED:
            self._changed(self.state)
