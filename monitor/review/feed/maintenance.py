"""Periodic work: ends expired snoozes, deletes old alerts, tries the database, and reports the state of the cameras."""

from __future__ import annotations

import time
from collections.abc import Callable

import structlog

from gradwatch.streams.observability.health import Health

from ..metrics import ALERTS_DELETED
from ..settings import Retention
from ..store import retention, snoozes
from ..store.database import Database
from .threads import BackgroundThread

log = structlog.get_logger()

INTERVAL_S = 1.0
RETENTION_INTERVAL_S = 60.0
TRIAL_INTERVAL_S = 10.0


class Maintenance(BackgroundThread):
    """Calls `unsnoozed(alert_ids)` for snoozes that expired, and `tick()` once a second."""

    def __init__(
        self,
        database: Database,
        bounds: Retention,
        health: Health,
        unsnoozed: Callable[[list[str]], None],
        tick: Callable[[], None],
    ) -> None:
        super().__init__("maintenance", INTERVAL_S, health)
        self._database, self._bounds = database, bounds
        self._unsnoozed, self._tick = unsnoozed, tick
        self._next_retention_s = self._next_trial_s = 0.0

    def work(self) -> None:
        """One round."""
        self.beat()
        if time.monotonic() >= self._next_trial_s:
            self._next_trial_s = time.monotonic() + TRIAL_INTERVAL_S
            self._database.try_write()
        with self._database.reading() as session:
            is_due = snoozes.any_expired(session, time.time_ns())
        if is_due:
            with self._database.writing() as session:
                ended = snoozes.end_expired(session, time.time_ns())
            self._unsnoozed(ended)
        self._tick()
        if time.monotonic() >= self._next_retention_s:
            self._next_retention_s = time.monotonic() + RETENTION_INTERVAL_S
            self._enforce_retention()

    def _enforce_retention(self) -> None:
        while not self.stopping.is_set():
            with self._database.writing() as session:
                deleted = retention.enforce(session, self._bounds, time.time_ns())
            ALERTS_DELETED.labels("age").inc(deleted.by_age)
            ALERTS_DELETED.labels("number").inc(deleted.by_number)
            if deleted.unreviewed:
                log.warning("deleted alerts that nobody had reviewed", alerts=deleted.unreviewed)
            if deleted.by_age + deleted.by_number < retention.BATCH:
                return
