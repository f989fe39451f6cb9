"""The evidence service: follows the alerts topic and writes a file with the frames around each alert.

An open alert gets a first file once 5 s from its onset have been reported. The final file replaces it 5 s after the
alert closes or 60 s after its onset, whichever comes first; then the alert's records are committed. A later revision
replaces the file once more and keeps what the file has, which the topic may have deleted since. If a stream falls
silent or begins another run, no more frames will come: the file is written with those there are, and lists the missing.

Order for each alert: file synced and renamed, attachment acknowledged, alert committed. After a crash the remaining
steps are done again, with equal results.
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
from gradwatch.streams.wire.checks import check_alert
from gradwatch.streams.wire.outputs import decode_alert
from gradwatch.streams.wire.pixels import BadRecordError
from gradwatch.streams.wire.records import Record

from .archiver import AlertArchiver, cause_of
from .folder import EvidenceFolder
from .pending_alert import Due, PendingAlert
from .progress import ProgressReader
from .scan import WindowSource

log = structlog.get_logger()

POLL_S = 0.2
RETRY_S = 1.0  # between requests to a broker that does not answer
IDLE_S = 3.0  # `once` ends after so long without a record and with nothing pending
MAX_PENDING_BYTES = 16 * 1024 * 1024  # of alerts' records; above it no more are read
THREAD = "evidence"


class EvidenceService:
    """Runs on one thread, which owns the consumer and the folder; `stop` may be called from any."""

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
        self._progress = ProgressReader(source.records, source.topics.reports)
        self._patience_s = patience_s
        self._health = health or Health()
        self._archiver = AlertArchiver(source, folder, producer, lambda: self._health.beat(THREAD))
        self._pending: dict[str, PendingAlert] = {}
        self._next_poll_s = self._heard_s = 0.0
        self._broker_failure = ""  # reason why progress could not be read

    def run(self, once: bool = False) -> None:
        """Works until `stop`, or with `once` until every alert on the topic has its evidence."""
        self._health.require("group", self._group_condition)
        self._health.require("files", self._files_condition)
        self._heard_s = time.monotonic()
        try:
            while not self.stopping.is_set() and not (once and self._is_idle()):
                self._health.beat(THREAD)
                for record in self.consumer.poll(POLL_S):
                    self._take(record)
                self._drop_revoked()
                self._poll_progress()
                self._write_due_files()
                self._limit_pending()
        finally:
            self.consumer.close()

    def stop(self) -> None:
        """Ends `run` after its current step; the next run does what is not committed."""
        self.stopping.set()

    def failures(self) -> list[str]:
        """The distinct reasons why alerts have no evidence although their frames are on the topic."""
        found = {pending.failure for pending in list(self._pending.values())} | {self._broker_failure}
        return sorted(found - {""})

    def _take(self, record: Record) -> None:
        self._heard_s = time.monotonic()
        try:
            alert = decode_alert(record.value or b"")
            self.folder.path(alert.stream_id, alert.alert_id)
            check_alert(alert)
        except (BadRecordError, ValueError) as error:
            EVIDENCE_FAILED.labels("", "bad_schema").inc()
            log.warning("skipped an invalid alert", partition=record.partition, offset=record.offset, error=str(error))
            self.consumer.finish(record.partition, record.offset)
            return
        pending = self._pending.setdefault(alert.alert_id, PendingAlert(record.timestamp_ms))
        pending.add(alert, record.partition, record.offset)

    def _drop_revoked(self) -> None:
        """Drops the alerts of partitions that another member of the group has taken over."""
        assigned = self.consumer.assigned
        self._pending = {
            alert_id: pending
            for alert_id, pending in self._pending.items()
            if all(partition in assigned for partition, _ in pending.records)
        }
        EVIDENCE_WAITING.set(len(self._pending))

    def _poll_progress(self) -> None:
        """Reads how far the runs of pending alerts have come; retries later if the broker does not answer."""
        now_s = time.monotonic()
        if not self._pending:
            self._broker_failure = ""
        if now_s < self._next_poll_s or not self._pending:
            return
        self._next_poll_s = now_s + POLL_S
        try:
            self._progress.keep_only({pending.run for pending in self._pending.values()})
            for pending in self._pending.values():
                self._progress.follow(pending.run, pending.published_ms)
            self._progress.poll()
            self._broker_failure = ""
        except (BrokerUnavailableError, TopicMissingError) as error:
            self._progress.reset_silence()  # the streams may be alive
            self._next_poll_s = now_s + RETRY_S
            self._broker_failure = f"{cause_of(error)}: {error}"
            log.warning("waiting for the broker", error=str(error))

    def _write_due_files(self) -> None:
        for alert_id, pending in list(self._pending.items()):
            if self.stopping.is_set():
                return
            progress = self._progress.of(pending.run)
            due = pending.due(progress, time.monotonic(), self._patience_s) if progress is not None else Due.NONE
            if due is Due.NONE or not self._archive(pending):
                continue
            pending.has_first_file = True
            if due is Due.FINAL:
                del self._pending[alert_id]
                for place in pending.records:
                    self.consumer.finish(*place)

    def _archive(self, pending: PendingAlert) -> bool:
        """Writes and announces a file; returns whether that succeeded. A failure is counted and tried again."""
        alert = pending.latest
        try:
            made = self._archiver.archive(pending.revisions, pending.published_ms)
        except Exception as error:  # one alert's failure must not hold up the others' evidence
            cause = cause_of(error)
            EVIDENCE_FAILED.labels(alert.stream_id, cause).inc()
            pending.failed(time.monotonic(), f"{cause}: {error}")
            retry_in_s = round(pending.next_attempt_s - time.monotonic(), 1)
            context = {"stream": alert.stream_id, "alert": alert.alert_id, "cause": cause, "retry_in_s": retry_in_s}
            log.warning("can't write evidence yet", **context, error=str(error), exc_info=cause == "other")
            return False
        pending.succeeded()
        self.written += 1
        counts = {"revision": made.revision, "frames": made.frames, "missing": made.missing, "bytes": made.size_bytes}
        log.info("evidence written", stream=made.stream_id, alert=made.alert_id, **counts)
        return True

    def _limit_pending(self) -> None:
        if self.consumer.pause(MAX_PENDING_BYTES) and self.consumer.offsets.unfinished_bytes <= MAX_PENDING_BYTES // 2:
            self.consumer.resume()

    def _is_idle(self) -> bool:
        if not self.consumer.joined:  # silence counts from the moment in which alerts can arrive
            self._heard_s = time.monotonic()
        return not self._pending and time.monotonic() - self._heard_s > IDLE_S

    def _group_condition(self) -> Condition:
        """Ready once the service has joined its consumer group."""
        return Condition(self.consumer.joined, "joined" if self.consumer.joined else "has not joined yet")

    def _files_condition(self) -> Condition:
        """Ready while nothing prevents evidence from being written."""
        failures = self.failures()
        return Condition(not failures, "; ".join(failures[:3]) or str(self.folder.root))
