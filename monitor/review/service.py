"""The review process without HTTP: database, live state, events, and the threads that feed them."""

from __future__ import annotations

import secrets
from functools import partial
from pathlib import Path
from typing import Any

import structlog

from gradwatch.streams.observability.health import Condition, Health
from gradwatch.streams.observability.logs import hide

from . import presenting, shapes
from .feed.broker import Broker, BrokerWatch
from .feed.clips import Clips
from .feed.correction_publisher import CorrectionPublisher
from .feed.events import Events
from .feed.ground_truth import GroundTruth
from .feed.ingest import AlertIngest, reader_threads
from .feed.live_state import LiveState
from .feed.maintenance import Maintenance
from .feed.turns import Turns
from .settings import ReviewSettings
from .store import accounts, cameras, listing
from .store.alerts import StoredRevision
from .store.database import Database
from .store.login_limits import LoginLimits
from .store.schema import CorrectionRow

log = structlog.get_logger()

NO_USER = ""  # events go to all users, so they show the alert to none in particular


class ReviewService:
    """Owns the parts of the review process and announces their changes as events.

    `secret` is that of the link which lets in whoever runs the server; None makes one. The parts work before `start`,
    which starts the threads; `stop` ends them. Raises DatabaseUnavailableError.
    """

    def __init__(self, settings: ReviewSettings, broker: Broker, secret: str | None = None) -> None:
        self.settings, self.broker = settings, broker
        self.secret = secret or secrets.token_urlsafe(32)
        hide([self.secret])
        self.health = Health()
        self.database = Database(settings.database)
        self.live = LiveState(settings.max_cameras, settings.max_live_bytes, settings.forget_cameras_after_s)
        self.events = Events()
        self.limits = LoginLimits()
        self.password_checks = Turns(at_once=2, waiting=10, of_one=3)
        self.thumbnails = Turns(at_once=2, waiting=8, of_one=6)  # a browser asks for six at once
        self.truth = GroundTruth(None if settings.truth is None else Path(settings.truth))
        self.clips = Clips(broker, Path(settings.evidence), settings.forget_cameras_after_s)
        self.watch = BrokerWatch(broker, self.health, self._announce_broker)
        self.corrections = CorrectionPublisher(broker, self.database, self.live, self.health)
        ingest = AlertIngest(
            broker, self.database, self.live, self.truth, self.announce_revisions, self.announce_changes
        )
        self.readers = reader_threads(broker, ingest, self.live, self.health)
        unsnoozed = partial(self.announce_changes, action="unsnooze", actor="time")
        maintenance = Maintenance(self.database, settings.retention, self.health, unsnoozed, self._tick)
        self._threads = (self.watch, *self.readers, self.corrections, maintenance)
        self._announced: dict[str, int] = {}  # camera -> its number of updates
        self.forget_cameras()

    def takes_link(self) -> bool:
        """Whether the link lets in: where nobody has to log in, and until an admin can."""
        if not self.settings.demands_login:
            return True
        with self.database.reading() as session:
            return not accounts.can_admin_log_in(session, by_proxy=bool(self.settings.trusted_proxies))

    def start(self) -> None:
        """Starts the threads; the broker need not be reachable."""
        self.health.require("database", self._database_works)
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Ends all threads and closes the database; records read but not stored are read again next time."""
        self.events.close()
        for thread in self._threads:
            thread.stop()
        self.clips.close()
        self.database.close()

    def announce_changes(self, alert_ids: list[str], action: str = "attachment", actor: str = "") -> None:
        """Publishes events for alerts that were changed by something other than a new revision."""
        with self.database.reading() as session:
            for listed in listing.find(session, NO_USER, alert_ids):
                self.events.publish("review", {"action": action, "actor": actor, "alert": _event_item(listed)})

    def announce_correction(self, row: CorrectionRow, action: str, actor: str) -> None:
        """Publishes an event for a correction, and wakes the publisher."""
        self.events.publish("verdict", {"action": action, "actor": actor, "verdict": row.body})
        self.corrections.wake()

    def announce_revisions(self, stored: list[StoredRevision]) -> None:
        """Publishes one event for each alert with a new newest revision."""
        newest = {one.alert.alert_id: one for one in stored if one.is_newest}
        new = {one.alert.alert_id for one in stored if one.is_new}  # the newest may be a later revision
        with self.database.reading() as session:
            for listed in listing.find(session, NO_USER, list(newest)):
                one = newest[listed.alert.alert_id]
                fields = {"is_new": one.alert.alert_id in new, "muted": one.muted, "alert": _event_item(listed)}
                self.events.publish("alert", fields)

    def forget_cameras(self) -> None:
        """Drops the cameras that somebody has removed, here or at another process of the same database."""
        with self.database.reading() as session:
            removed = cameras.forgotten(session)
        self.live.forget(removed)

    def _tick(self) -> None:
        self.forget_cameras()
        self.live.forget_silent()
        self.clips.drop_expired()
        self._announce_cameras()

    def _announce_broker(self, state: shapes.BrokerShape) -> None:
        log.info("broker", ok=state.ok, error=state.error)
        self.events.publish("health", {"broker": state.model_dump(mode="json")})

    def _announce_cameras(self) -> None:
        """Publishes the state of the cameras that have changed; not kept, since the next event replaces it."""
        changed = []
        announced, self._announced = self._announced, {}
        for camera in self.live.cameras():
            self._announced[camera.stream_id] = camera.changes
            if announced.get(camera.stream_id) != camera.changes:
                report = camera.report
                changed.append(
                    {
                        "stream_id": camera.stream_id,
                        "state": None if report is None else report.state,
                        "seq": None if report is None else report.identity.seq,
                        "last_report_ns": None if report is None else str(report.published_ns),
                        "last_frame_ns": None if camera.frame is None else str(camera.frame.stamp.published_ns),
                        "open_alerts": 0 if report is None else len(report.alert_ids),
                        "change": {} if report is None else report.change,
                    }
                )
        if changed:
            self.events.publish("cameras", {"cameras": changed}, is_kept=False)

    def _database_works(self) -> Condition:
        self.database.check()
        return Condition(True, "can be read and written")


def _event_item(listed: listing.ListedAlert) -> dict[str, Any]:
    """The alert as in a list, without `reviewed`, which each user has for themselves."""
    shown = presenting.alert_item(listed).model_dump(mode="json")
    shown["review"].pop("reviewed")
    return shown
