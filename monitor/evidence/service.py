"""The evidence service: follows the alerts and keeps a file of the frames around each.

An open alert gets a first file once 5 s from its onset are there. It is replaced when the alert is closed and 5 s
more are there, or when 60 s from the onset are there, whichever comes first; then the alert's records are committed.
A revision that comes later replaces the file once more, and nothing of it is lost: what the file has is taken from
there, since the topic may have deleted it. A stream that falls silent, or goes on with another run, has no more to
give, so its file is written with what there is, and says what is missing.

The order for each alert: file synced and renamed, attachment acknowledged, alert committed. After a crash the rest is
done again, with equal results.
"""

from __future__ import annotations

import threading
import time

import structlog

from gradwatch.streams.observability.health import Condition, Health
from gradwatch.streams.observability.metrics import EVIDENCE_FAILED, EVIDENCE_WAITING
from gradwatch.streams.transport.connection import BrokerUnavailableError, TopicMissingError
from gradwatch.streams.transport.consumer import FrameConsumer
from gradwatch.streams.transport.producer import BoundedProducer
from gradwatch.streams.wire.messages import Alert
from gradwatch.streams.wire.messages import alert_id as id_of
from gradwatch.streams.wire.outputs import decode_alert
from gradwatch.streams.wire.pixels import BadRecordError
from gradwatch.streams.wire.records import Record

from .arrivals import Arrivals
from .folder import EvidenceFolder
from .keeping import Keeper, cause_of
from .pending import Due, Pending
from .windows import WindowSource

log = structlog.get_logger()

TICK_S = 0.2
AWAY_S = 1.0  # between looks at a broker that does not answer
IDLE_S = 3.0  # without a record and with nothing pending, after which `once` is done
MAX_PENDING_BYTES = 16 * 1024 * 1024  # of alerts' records; beyond it no more are read
THREAD = "evidence"


class EvidenceService:
    """One thread that owns consumer and folder; `stop` may be called from any."""

    def __init__(
        self,
        consumer: FrameConsumer,
        source: WindowSource,
        producer: BoundedProducer,
        folder: EvidenceFolder,
        patience_s: float = 30.0,
        health: Health | None = None,
    ) -> None:
        self.consumer, self.folder = consumer, folder
        self.stopping = threading.Event()
        self.written = 0
        self._arrivals = Arrivals(source.records, source.topics.reports)
        self._patience_s = patience_s
        self._health = health or Health()
        self._keeper = Keeper(source, folder, producer, lambda: self._health.beat(THREAD))
        self._pending: dict[str, Pending] = {}
        self._look_at_s = self._heard_s = 0.0
        self._away = ""  # why the broker could not be asked, in words

    def run(self, once: bool = False) -> None:
        """Works until `stop`, or with `once` until all alerts that there are have their evidence."""
        require_service(self._health, self)
        self._heard_s = time.monotonic()
        try:
            while not self.stopping.is_set() and not (once and self._idle()):
                self._health.beat(THREAD)
                for record in self.consumer.poll(TICK_S):
                    self._take(record)
                self._drop_others()
                self._look()
                self._serve()
                self._hold_back()
        finally:
            self.consumer.close()

    def stop(self) -> None:
        """Ends `run` after what it is at; what is not committed then is done by the next."""
        self.stopping.set()

    def failures(self) -> list[str]:
        """Why alerts have no evidence although their frames are there, each reason once."""
        found = {pending.failure for pending in list(self._pending.values())} | {self._away}
        return sorted(found - {""})

    def _take(self, record: Record) -> None:
        self._heard_s = time.monotonic()
        try:
            alert = decode_alert(record.value or b"")
            self.folder.path(alert.stream_id, alert.alert_id)
            _check(alert)
        except (BadRecordError, ValueError) as error:
            EVIDENCE_FAILED.labels("", "bad_schema").inc()
            log.warning("no alert", partition=record.partition, offset=record.offset, error=str(error))
            self.consumer.finish(record.partition, record.offset)
            return
        pending = self._pending.setdefault(alert.alert_id, Pending(record.timestamp_ms))
        pending.take(alert, record.partition, record.offset)

    def _drop_others(self) -> None:
        """Leaves what another member of the group does now."""
        owned = self.consumer.assigned
        self._pending = {
            alert_id: pending
            for alert_id, pending in self._pending.items()
            if all(partition in owned for partition, _ in pending.places)
        }
        EVIDENCE_WAITING.set(len(self._pending))

    def _look(self) -> None:
        """Learns what has come; a broker that is away is asked again later."""
        now_s = time.monotonic()
        if not self._pending:
            self._away = ""
        if now_s < self._look_at_s or not self._pending:
            return
        self._look_at_s = now_s + TICK_S
        try:
            self._arrivals.forget_all_but({pending.run for pending in self._pending.values()})
            for pending in self._pending.values():
                self._arrivals.wait_for(pending.run, pending.published_ms)
            self._arrivals.look()
            self._away = ""
        except (BrokerUnavailableError, TopicMissingError) as error:
            self._arrivals.excuse()  # it is not the streams that are silent
            self._look_at_s = now_s + AWAY_S
            self._away = f"{cause_of(error)}: {error}"
            log.warning("waiting for the broker", error=str(error))

    def _serve(self) -> None:
        for alert_id, pending in list(self._pending.items()):
            if self.stopping.is_set():
                return
            progress = self._arrivals.of(pending.run)
            due = pending.due(progress, time.monotonic(), self._patience_s) if progress is not None else Due.NOTHING
            if due is Due.NOTHING or not self._attempt(pending):
                continue
            pending.has_first = True
            if due is Due.WHOLE:
                del self._pending[alert_id]
                for place in pending.places:
                    self.consumer.finish(*place)

    def _attempt(self, pending: Pending) -> bool:
        """Writes and publishes; returns whether that succeeded. Whatever fails is counted and tried again."""
        alert = pending.latest
        try:
            kept = self._keeper.keep(pending.alerts, pending.published_ms)
        except Exception as error:  # of one alert: the others' evidence must not wait for it
            cause = cause_of(error)
            EVIDENCE_FAILED.labels(alert.stream_id, cause).inc()
            pending.failed(time.monotonic(), f"{cause}: {error}")
            again = {"cause": cause, "again_in_s": round(pending.try_at_s - time.monotonic(), 1), "error": str(error)}
            unknown = cause == "other"
            log.warning("no evidence yet", stream=alert.stream_id, alert=alert.alert_id, **again, exc_info=unknown)
            return False
        pending.succeeded()
        self.written += 1
        said = {"revision": kept.revision, "frames": kept.frames, "missing": kept.missing, "bytes": kept.size_bytes}
        log.info("evidence written", stream=kept.stream_id, alert=kept.alert_id, **said)
        return True

    def _hold_back(self) -> None:
        if not self.consumer.pause(MAX_PENDING_BYTES):
            return
        if self.consumer.offsets.unfinished_bytes <= MAX_PENDING_BYTES // 2:
            self.consumer.resume()

    def _idle(self) -> bool:
        return self.consumer.joined and not self._pending and time.monotonic() - self._heard_s > IDLE_S


def _check(alert: Alert) -> None:
    """Raises ValueError for an alert of which no evidence can be written: it would be tried for ever.

    Its id must be that of its own stream and episode, or one alert could take the place of another.
    """
    if alert.alert_id != id_of(alert.stream_id, alert.run_id, alert.kind, alert.onset_seq):
        raise ValueError(f"expected the id of stream, run, kind and onset, got {alert.alert_id}")
    for name in ("onset_capture_ns", "last_capture_ns", "first_offset", "partition"):
        if not 0 <= getattr(alert, name) < 2**63:
            raise ValueError(f"field {name}: expected a number from 0 of 63 bits, got {getattr(alert, name)}")


def require_service(health: Health, service: EvidenceService) -> None:
    """Ready once `service` has joined its group, and while nothing keeps it from writing evidence."""

    def group() -> Condition:
        joined = service.consumer.joined
        return Condition(joined, "joined" if joined else "has not joined yet")

    def files() -> Condition:
        failures = service.failures()
        return Condition(not failures, "; ".join(failures[:3]) or str(service.folder.root))

    health.require("group", group)
    health.require("files", files)
