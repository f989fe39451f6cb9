"""All parts of the review process, put together: database, live state, events, and the threads that feed them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import structlog

from gradwatch.streams.observability.health import Condition, Health

from . import presenting
from .feed.broker_watch import BrokerState, BrokerWatch
from .feed.clips import Clips
from .feed.events import Events
from .feed.follower import Follower
from .feed.ingest import AlertIntake, Broker, followers
from .feed.live import LiveState
from .feed.truth import Truth
from .feed.upkeep import Upkeep
from .feed.verdict_publisher import VerdictPublisher
from .settings import ReviewSettings
from .store import listing
from .store.alerts import Taken
from .store.database import Database
from .store.login_limits import LoginLimits
from .store.schema import VerdictRow

log = structlog.get_logger()

NOBODY = ""  # whose `reviewed` an event can't tell


class ReviewService:
    """`start`, then ask its parts; `stop` ends all threads. Raises DatabaseUnavailableError."""

    def __init__(self, settings: ReviewSettings, broker: Broker, health: Health | None = None) -> None:
        self.settings, self.broker = settings, broker
        self.health = health or Health()
        self.database = Database(settings.database)
        self.live = LiveState(settings.max_cameras, settings.max_live_bytes)
        self.events = Events()
        self.limits = LoginLimits()
        self.truth = Truth(None if settings.truth is None else Path(settings.truth))
        self.clips = Clips(broker, Path(settings.evidence))
        self.watch = BrokerWatch(broker.bootstrap_servers, broker.client, self._broker_changed)
        self.verdicts = VerdictPublisher(broker, self.database, self.live, self.health)
        intake = AlertIntake(broker, self.database, self.live, self.truth, self._taken, self.tell_changed)
        self.followers: list[Follower[Any]] = followers(broker, intake, self.live, self.health)
        self._upkeep = Upkeep(self.database, settings.retention, self.health, self._unsnoozed, self._tell_cameras)
        self._told: dict[str, int] = {}

    def start(self) -> None:
        """Starts the threads; the broker need not be there."""
        self.health.require("database", self._database_answers)
        self.watch.start()
        for follower in self.followers:
            follower.start()
        self.verdicts.start()
        self._upkeep.start()

    def stop(self) -> None:
        """Ends all threads and closes the database; what has come and is not stored is read again next time."""
        self.events.close()
        for follower in self.followers:
            follower.stop()
        self.verdicts.stop()
        self._upkeep.stop()
        self.watch.stop()
        self.clips.close()
        self.database.close()

    def tell_changed(self, alert_ids: list[str], action: str = "attachment", actor: str = "") -> None:
        """Tells the page that alerts have changed by what was not their worker."""
        with self.database.reading() as session:
            for listed in listing.some(session, NOBODY, alert_ids):
                fields = {"action": action, "actor": actor, "alert": _event_item(listed)}
                self.events.publish("review", fields)

    def tell_verdict(self, row: VerdictRow, action: str, actor: str) -> None:
        """Tells the page of a verdict, and the publisher that there is work."""
        self.events.publish("verdict", {"action": action, "actor": actor, "verdict": row.body})
        self.verdicts.wake()

    def _taken(self, taken: list[Taken]) -> None:
        newest = {one.alert.alert_id: one for one in taken if one.is_newest}
        new = {one.alert.alert_id for one in taken if one.is_new}  # the newest may be a later revision
        with self.database.reading() as session:
            for listed in listing.some(session, NOBODY, list(newest)):
                one = newest[listed.alert.alert_id]
                fields = {"is_new": one.alert.alert_id in new, "muted": one.muted, "alert": _event_item(listed)}
                self.events.publish("alert", fields)

    def _unsnoozed(self, alert_ids: list[str]) -> None:
        self.tell_changed(alert_ids, "unsnooze", "time")

    def _broker_changed(self, state: BrokerState) -> None:
        log.info("broker", ok=state.ok, error=state.error)
        since = str(state.since_ns)
        self.events.publish("health", {"broker": {"ok": state.ok, "since_ns": since, "error": state.error}})

    def _tell_cameras(self) -> None:
        """How the cameras stand that have changed since the last time; not kept, since the next one replaces it."""
        changed = []
        for camera in self.live.cameras():
            if self._told.get(camera.stream_id) != camera.changes:
                self._told[camera.stream_id] = camera.changes
                report = camera.report
                changed.append(
                    {
                        "stream_id": camera.stream_id,
                        "state": None if report is None else report.state,
                        "seq": None if report is None else report.seq,
                        "last_report_ns": None if report is None else str(report.published_ns),
                        "last_frame_ns": None if camera.frame is None else str(camera.frame.stamp.published_ns),
                        "open_alerts": 0 if report is None else len(report.open_alerts),
                        "change": {} if report is None else report.change,
                    }
                )
        if len(self._told) > 2 * self.settings.max_cameras:
            self._told.clear()
        if changed:
            self.events.publish("cameras", {"cameras": changed}, is_kept=False)

    def _database_answers(self) -> Condition:
        with self.database.reading() as session:
            session.connection().exec_driver_sql("SELECT 1")
        return Condition(True, "answers")


def _event_item(listed: listing.Listed) -> dict[str, Any]:
    """The alert as in a list; whether one has reviewed it is each reader's own, so it is left out."""
    shown = presenting.item(listed).model_dump(mode="json")
    shown["review"].pop("reviewed")
    return shown
