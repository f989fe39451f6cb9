"""What must be done from time to time: silences end, old alerts go, and the page hears how cameras stand."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import structlog

from gradwatch.streams.observability.health import Health

from ..metrics import ALERTS_DELETED
from ..settings import Retention
from ..store import retention, snoozing
from ..store.audit import now_ns
from ..store.database import Database

log = structlog.get_logger()

INTERVAL_S = 1.0
RETENTION_INTERVAL_S = 60.0
NAME = "upkeep"


class Upkeep:
    """A thread that outlives every error of the database. `unsnoozed(ids)` and `tick()` are called by it."""

    def __init__(
        self,
        database: Database,
        bounds: Retention,
        health: Health,
        unsnoozed: Callable[[list[str]], None],
        tick: Callable[[], None],
    ) -> None:
        self._database, self._bounds, self._health = database, bounds, health
        self._unsnoozed, self._tick = unsnoozed, tick
        self._next_retention_s = 0.0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=NAME, daemon=True)

    def start(self) -> None:
        """Begins."""
        self._thread.start()

    def stop(self) -> None:
        """Ends after the round at work."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(10.0)

    def round(self) -> None:
        """Does once what the thread does every second."""
        with self._database.reading() as session:
            is_due = snoozing.is_any_over(session, now_ns())
        if is_due:
            with self._database.writing() as session:
                ended = snoozing.end_those_over(session, now_ns())
            self._unsnoozed(ended)
        self._tick()
        if time.monotonic() >= self._next_retention_s:
            self._next_retention_s = time.monotonic() + RETENTION_INTERVAL_S
            self._enforce_retention()

    def _enforce_retention(self) -> None:
        while not self._stopping.is_set():
            with self._database.writing() as session:
                deleted = retention.enforce(session, self._bounds, now_ns())
            ALERTS_DELETED.labels("age").inc(deleted.by_age)
            ALERTS_DELETED.labels("number").inc(deleted.by_number)
            if deleted.unreviewed:
                log.warning("alerts deleted that nobody had reviewed", alerts=deleted.unreviewed)
            if deleted.by_age + deleted.by_number < retention.BATCH:
                return

    def _run(self) -> None:
        said = ""
        while not self._stopping.is_set():
            self._health.beat(NAME)
            try:
                self.round()
                said = ""
            except Exception as error:  # the database may come back
                if str(error) != said:
                    log.exception("upkeep failed")
                said = str(error)
            self._health.rest(NAME)
            self._stopping.wait(INTERVAL_S)
