"""Reads Kafka: alerts and attachments into the database, everything else into the live state.

One thread for each subject. The offsets of alerts and attachments are stored in the transaction of the records before
them, so nothing is lost or doubled whenever the process dies. Reports, overlays, health and frames only show the
present; they are read from a few minutes back.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import msgspec
import structlog

from gradwatch.streams.observability.health import Health
from gradwatch.streams.transport.reader import NewestRecords, Place, TopicReader
from gradwatch.streams.wire.checks import check_alert
from gradwatch.streams.wire.frames import decode_frame
from gradwatch.streams.wire.messages import STREAM_ID, Alert, FrameReport, HealthRecord
from gradwatch.streams.wire.outputs import decode_alert, decode_health, decode_report
from gradwatch.streams.wire.pixels import BadRecordError
from gradwatch.streams.wire.records import Record

from ...evidence.window import fits_int64
from ..metrics import MUTED, RECORDS
from ..store import alerts
from ..store.database import Database
from ..store.schema import Json, RevisionRow
from .broker import Broker
from .ground_truth import GroundTruth
from .live_state import LiveState
from .threads import ReaderThread

log = structlog.get_logger()

POLL_S = 0.2
BATCH = 500  # records in one transaction
REPORTS_BACK_MS = 600_000
OVERLAYS_BACK_MS = 30_000
HEALTH_BACK_MS = 3_600_000
FRAMES_INTERVAL_S = 1.0
MAX_DEPTH = 64  # newest records of a partition that are read for its frames
SCORES_WAIT_S = 10.0
MAX_WAITING = 1_000
MAX_ALERT_BYTES = 256 * 1024  # a page of the list has 500 of them
MAX_ATTACHMENT_BYTES = 1024 * 1024
MAX_HEALTH_BYTES = 8 * 1024
MAX_NESTING = 32  # JSON nested deeper can't be encoded again


class AlertIngest:
    """Stores alerts and attachments. Calls `stored(revisions)` and `attached(alert_ids)` after the commit."""

    def __init__(
        self,
        broker: Broker,
        database: Database,
        live: LiveState,
        truth: GroundTruth,
        stored: Callable[[list[alerts.StoredRevision]], None],
        attached: Callable[[list[str]], None],
    ) -> None:
        self._broker, self._database, self._live, self._truth = broker, database, live, truth
        self._stored, self._attached = stored, attached
        self._names = {broker.topics.alerts: "alerts", broker.topics.attachments: "attachments"}
        self._without_scores: dict[tuple[str, int], tuple[float, Alert]] = {}

    def open(self) -> AbstractContextManager[TopicReader]:
        """A reader from the stored offsets on."""
        with self._database.reading() as session:
            offsets = alerts.load_offsets(session, self._names)
        return TopicReader(self._broker.bootstrap_servers, self._names, self._broker.client, offsets)

    def step(self, reader: TopicReader) -> None:
        """Stores the records that have arrived, in transactions of bounded size."""
        records = reader.poll(POLL_S)
        for start in range(0, len(records), BATCH):
            self.store(records[start : start + BATCH])
        self._fill_in_scores()

    def store(self, records: Sequence[Record]) -> None:
        """Stores one batch and the next offsets in one transaction, then announces what is new."""
        offsets: dict[Place, int] = {}
        received: list[alerts.ReceivedRevision] = []
        attachments: list[tuple[Record, Json]] = []
        for record in records:
            offsets[record.topic, record.partition] = record.offset + 1
            try:
                if record.topic == self._broker.topics.alerts:
                    received.append(self._receive(record))
                else:
                    attachments.append((record, _decode_attachment(record)))
            except (BadRecordError, ValueError) as error:
                _refuse(self._names[record.topic], record, error)
        with self._database.writing() as session:
            stored = alerts.store_revisions(session, received, time.time_ns())
            attached = []
            for record, body in attachments:
                try:
                    if alerts.store_attachment(session, body, record.published_ns):
                        attached.append(str(body["alert_id"]))
                except ValueError as error:
                    _refuse("attachments", record, error)
            alerts.save_offsets(session, offsets)
        RECORDS.labels("alerts", "taken").inc(len(stored))
        RECORDS.labels("alerts", "known").inc(len(received) - len(stored))
        RECORDS.labels("attachments", "taken").inc(len(attached))
        MUTED.inc(sum(one.muted for one in stored))
        self._await_scores(stored)
        if stored:
            self._stored(stored)
        if attached:
            self._attached(attached)

    def _receive(self, record: Record) -> alerts.ReceivedRevision:
        alert = decode_alert(_content(record, MAX_ALERT_BYTES))
        check_alert(alert)
        scores = self._live.scores_at(alert.stream_id, alert.run_id, _scored_seq(alert))
        challenge = self._truth.challenge(alert.stream_id, alert.run_id, alert.onset_seq)
        return alerts.ReceivedRevision(alert, record.published_ns, scores, challenge)

    def _await_scores(self, stored: Sequence[alerts.StoredRevision]) -> None:
        """Remembers revisions whose report has not arrived yet: the topics are read independently."""
        until_s = time.monotonic() + SCORES_WAIT_S
        for one in stored:
            if not one.has_scores and len(self._without_scores) < MAX_WAITING:
                self._without_scores[one.alert.alert_id, one.alert.revision] = (until_s, one.alert)

    def _fill_in_scores(self) -> None:
        found: dict[tuple[str, int], list[Json]] = {}
        for key, (until_s, alert) in list(self._without_scores.items()):
            scores = self._live.scores_at(alert.stream_id, alert.run_id, _scored_seq(alert))
            if scores is not None:
                found[key] = scores
            if scores is not None or time.monotonic() > until_s:
                del self._without_scores[key]
        if found:
            with self._database.writing() as session:
                for key, scores in found.items():
                    if (row := session.get(RevisionRow, key)) is not None:
                        row.scores = scores


def _scored_seq(alert: Alert) -> int:
    """The frame whose scores say why the alert was raised: that of the peak, the last one in older versions."""
    return alert.peak_seq if alert.peak_seq >= 0 else alert.last_seq


def reader_threads(broker: Broker, ingest: AlertIngest, live: LiveState, health: Health) -> list[ReaderThread[Any]]:
    """All threads that read from Kafka, not yet started."""
    topics = broker.topics

    def following(name: str, topic: str, back_ms: int) -> ReaderThread[TopicReader]:
        def opens() -> TopicReader:
            since_ms = time.time_ns() // 1_000_000 - back_ms
            return TopicReader(broker.bootstrap_servers, [topic], broker.client, since_ms=since_ms)

        def step(reader: TopicReader) -> None:
            for record in reader.poll(POLL_S):
                update_live(live, name, record)

        return ReaderThread(name, [topic], opens, step, health)

    def newest_frames() -> NewestRecords:
        return NewestRecords(broker.bootstrap_servers, topics.frames, broker.client)

    def step_frames(reader: NewestRecords) -> None:
        began_s = time.monotonic()
        for record in reader.look(lambda partition: min(MAX_DEPTH, live.streams_in(partition) + 2)):
            update_live(live, "frames", record)
        time.sleep(max(0.0, FRAMES_INTERVAL_S - (time.monotonic() - began_s)))

    return [
        ReaderThread("alerts", [topics.alerts, topics.attachments], ingest.open, ingest.step, health),
        following("reports", topics.reports, REPORTS_BACK_MS),
        following("overlays", topics.overlays, OVERLAYS_BACK_MS),
        following("health", topics.health, HEALTH_BACK_MS),
        ReaderThread("frames", [topics.frames], newest_frames, step_frames, health),
    ]


def update_live(live: LiveState, topic: str, record: Record) -> None:
    """Puts a report, overlay, health record or frame into the live state; refuses one that can't be used."""
    try:
        if topic == "reports":
            report = decode_report(record.value or b"")
            _check_showable(report)
            live.put_report(report)
        elif topic == "frames":
            live.put_frame(decode_frame(record))
        elif topic == "overlays":
            if not record.value:
                raise ValueError("expected JSON as value, got nothing")
            live.put_overlay(_stream_id(record), record.value, record.published_ns)
        else:
            live.put_health(_decode_health(record), record.published_ns)
    except (BadRecordError, ValueError) as error:
        _refuse(topic, record, error)
    else:
        RECORDS.labels(topic, "taken").inc()


def _stream_id(record: Record) -> str:
    stream_id = (record.key or b"").decode("utf-8", "replace")
    if STREAM_ID.fullmatch(stream_id) is None:
        raise ValueError(f"expected a stream id as key, got {stream_id[:80]!r}")
    return stream_id


def _content(record: Record, max_bytes: int) -> bytes:
    """The value of a record. Raises ValueError above `max_bytes`."""
    content = record.value or b""
    if len(content) > max_bytes:
        raise ValueError(f"expected at most {max_bytes} bytes, got {len(content)}")
    return content


def _decode_health(record: Record) -> HealthRecord:
    """The health record in a record. Raises ValueError for one that is too large, or about another stream."""
    health = decode_health(_content(record, MAX_HEALTH_BYTES))
    if health.stream_id != _stream_id(record):
        raise ValueError(f"field stream_id: expected that of the key, got {health.stream_id[:80]!r}")
    return health


def _decode_attachment(record: Record) -> Json:
    """The JSON object in a record. Raises ValueError for one that is too large or nested too deep to be shown."""
    try:
        body: Json = msgspec.json.decode(_content(record, MAX_ATTACHMENT_BYTES), type=dict[str, Any])
    except RecursionError as error:
        raise ValueError(f"expected JSON: {error}") from error
    if _is_deeper(body, MAX_NESTING):
        raise ValueError(f"expected JSON of at most {MAX_NESTING} levels")
    return body


def _is_deeper(value: Any, levels: int) -> bool:
    """Whether objects and lists are nested in more than so many levels."""
    if not isinstance(value, dict | list):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(_is_deeper(one, levels - 1) for one in inner)


def _check_showable(report: FrameReport) -> None:
    """Raises ValueError for ids that are none, and for a seq or time that an array of int64 can't hold."""
    identity = report.identity
    if STREAM_ID.fullmatch(identity.stream_id) is None or STREAM_ID.fullmatch(identity.run_id) is None:
        raise ValueError(f"expected ids of a stream and a run, got {str(identity)[:160]!r}")
    if not fits_int64(report):
        raise ValueError(f"expected a seq and times from 0 of 63 bits, got {str(identity)[:160]!r}")


def _refuse(topic: str, record: Record, error: Exception) -> None:
    RECORDS.labels(topic, "refused").inc()
    place = f"{record.topic}[{record.partition}] offset {record.offset}"
    log.warning("refused a record", topic=topic, place=place, error=str(error))
