"""What comes from Kafka: alerts and attachments into the database, everything else into the live state.

One thread a concern. The offsets of alerts and attachments are stored in the transaction of what was read, so
nothing is lost and nothing is doubled whenever the process dies; reports, overlays, health and pictures only show how
things stand, and are read from a few minutes back.
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
from gradwatch.streams.wire.frames import decode_frame
from gradwatch.streams.wire.messages import STREAM_ID, Alert, FrameReport, alert_id
from gradwatch.streams.wire.outputs import decode_alert, decode_report
from gradwatch.streams.wire.pixels import BadRecordError
from gradwatch.streams.wire.records import Record
from gradwatch.streams.wire.topics import Topics

from ...evidence.window import fits_int64
from ..metrics import MUTED, RECORDS
from ..store import alerts
from ..store.audit import now_ns
from ..store.database import Database
from ..store.schema import Json, RevisionRow
from .follower import Follower
from .live import LiveState
from .truth import Truth

log = structlog.get_logger()

POLL_S = 0.2
BATCH = 500  # records a transaction
SCORES_BACK_MS = 600_000
OVERLAYS_BACK_MS = 30_000
HEALTH_BACK_MS = 3_600_000
LOOK_INTERVAL_S = 1.0
MAX_DEPTH = 64
SCORES_WAIT_S = 10.0
MAX_WAITING = 1_000
MAX_ALERT_BYTES = 256 * 1024  # a page of the list has 500 of them
MAX_JSON_BYTES = {"attachments": 1024 * 1024, "health": 64 * 1024}
MAX_NESTING = 32  # what is nested deeper can't be written as JSON again, nor be shown


class Broker(msgspec.Struct, frozen=True):
    """Where to read: servers, settings of the client, names of the topics."""

    bootstrap_servers: str
    client: dict[str, Any]
    topics: Topics


class AlertIntake:
    """Alerts and attachments, into the database; `told(taken)` is called after the commit."""

    def __init__(
        self,
        broker: Broker,
        database: Database,
        live: LiveState,
        truth: Truth,
        told: Callable[[list[alerts.Taken]], None],
        attached: Callable[[list[str]], None],
    ) -> None:
        self._broker, self._database, self._live, self._truth = broker, database, live, truth
        self._told, self._attached = told, attached
        self._names = {broker.topics.alerts: "alerts", broker.topics.attachments: "attachments"}
        self._without_scores: dict[tuple[str, int], tuple[float, str, str, int]] = {}

    def open(self) -> AbstractContextManager[TopicReader]:
        """A reader that goes on where the database says."""
        with self._database.reading() as session:
            offsets = alerts.offsets(session, self._names)
        return TopicReader(self._broker.bootstrap_servers, self._names, self._broker.client, offsets)

    def step(self, reader: TopicReader) -> None:
        """Takes what has come, in transactions of a bounded size."""
        records = reader.poll(POLL_S)
        for start in range(0, len(records), BATCH):
            self._take(records[start : start + BATCH])
        self._fill_in_scores()

    def _take(self, records: Sequence[Record]) -> None:
        reached: dict[Place, int] = {}
        arrivals, attachments = [], []
        for record in records:
            reached[record.topic, record.partition] = record.offset + 1
            if record.topic == self._broker.topics.alerts:
                arrivals += self._arrival(record)
            else:
                attachments += _json(record, "attachments")
        with self._database.writing() as session:
            taken = alerts.take(session, arrivals, now_ns())
            attached = []
            for body, published_ns in attachments:
                try:
                    if alerts.take_attachment(session, body, published_ns):
                        attached.append(str(body["alert_id"]))
                except ValueError as error:
                    _refuse("attachments", str(error))
            alerts.save_offsets(session, reached)
        RECORDS.labels("alerts", "taken").inc(len(taken))
        RECORDS.labels("alerts", "known").inc(len(arrivals) - len(taken))
        RECORDS.labels("attachments", "taken").inc(len(attached))
        MUTED.inc(sum(one.muted for one in taken))
        self._await_scores(arrivals, taken)
        if taken:
            self._told(taken)
        if attached:
            self._attached(attached)

    def _arrival(self, record: Record) -> list[alerts.Arrival]:
        content = record.value or b""
        try:
            if len(content) > MAX_ALERT_BYTES:
                raise ValueError(f"expected at most {MAX_ALERT_BYTES} bytes, got {len(content)}")
            alert = decode_alert(content)
            _check_storable(alert)
        except (BadRecordError, ValueError) as error:
            _refuse("alerts", f"{record.topic}[{record.partition}] offset {record.offset}: {error}")
            return []
        scores = self._live.scores_at(alert.stream_id, alert.run_id, alert.last_seq)
        challenge = self._truth.challenge(alert.stream_id, alert.run_id, alert.onset_seq)
        return [alerts.Arrival(alert, record.published_ns, scores, challenge)]

    def _await_scores(self, arrivals: Sequence[alerts.Arrival], taken: Sequence[alerts.Taken]) -> None:
        """Remembers revisions whose report has not come up yet; the topics are read side by side."""
        until_s = time.monotonic() + SCORES_WAIT_S
        new = {(one.alert.alert_id, one.alert.revision) for one in taken}
        for arrival in arrivals:
            alert, key = arrival.alert, (arrival.alert.alert_id, arrival.alert.revision)
            if arrival.scores is None and key in new and len(self._without_scores) < MAX_WAITING:
                self._without_scores[key] = (until_s, alert.stream_id, alert.run_id, alert.last_seq)

    def _fill_in_scores(self) -> None:
        found: dict[tuple[str, int], list[Json]] = {}
        for key, (until_s, stream_id, run_id, seq) in list(self._without_scores.items()):
            scores = self._live.scores_at(stream_id, run_id, seq)
            if scores is not None:
                found[key] = scores
            if scores is not None or time.monotonic() > until_s:
                del self._without_scores[key]
        if found:
            with self._database.writing() as session:
                for key, scores in found.items():
                    if (row := session.get(RevisionRow, key)) is not None:
                        row.scores = scores


def followers(broker: Broker, intake: AlertIntake, live: LiveState, health: Health) -> list[Follower[Any]]:
    """All threads that read, not yet started."""
    topics = broker.topics

    def since(topic: str, back_ms: int) -> Callable[[], AbstractContextManager[TopicReader]]:
        return lambda: TopicReader(
            broker.bootstrap_servers, [topic], broker.client, since_ms=time.time_ns() // 1_000_000 - back_ms
        )

    def look(reader: NewestRecords) -> None:
        began_s = time.monotonic()
        for record in reader.look(lambda partition: min(MAX_DEPTH, live.streams_in(partition) + 2)):
            _take_frame(live, record)
        time.sleep(max(0.0, LOOK_INTERVAL_S - (time.monotonic() - began_s)))

    def newest() -> AbstractContextManager[NewestRecords]:
        return NewestRecords(broker.bootstrap_servers, topics.frames, broker.client)

    return [
        Follower("alerts", intake.open, intake.step, health),
        Follower("reports", since(topics.reports, SCORES_BACK_MS), _each(live, _take_report), health),
        Follower("overlays", since(topics.overlays, OVERLAYS_BACK_MS), _each(live, _take_overlay), health),
        Follower("health", since(topics.health, HEALTH_BACK_MS), _each(live, _take_health), health),
        Follower("frames", newest, look, health),
    ]


def _each(live: LiveState, take: Callable[[LiveState, Record], None]) -> Callable[[TopicReader], None]:
    def step(reader: TopicReader) -> None:
        for record in reader.poll(POLL_S):
            take(live, record)

    return step


def _take_report(live: LiveState, record: Record) -> None:
    try:
        report = decode_report(record.value or b"")
        _check_showable(report)
        live.take_report(report)
    except (BadRecordError, ValueError) as error:
        _refuse("reports", str(error))
    else:
        RECORDS.labels("reports", "taken").inc()


def _take_frame(live: LiveState, record: Record) -> None:
    try:
        live.take_frame(decode_frame(record))
    except BadRecordError as error:
        _refuse("frames", str(error))
    else:
        RECORDS.labels("frames", "taken").inc()


def _take_overlay(live: LiveState, record: Record) -> None:
    stream_id = (record.key or b"").decode("utf-8", "replace")
    if STREAM_ID.fullmatch(stream_id) is None or not record.value:
        _refuse("overlays", f"expected a stream id as key and JSON as value, got {stream_id[:80]!r}")
        return
    live.take_overlay(stream_id, record.value, record.published_ns)
    RECORDS.labels("overlays", "taken").inc()


def _take_health(live: LiveState, record: Record) -> None:
    stream_id = (record.key or b"").decode("utf-8", "replace")
    for body, published_ns in _json(record, "health"):
        if STREAM_ID.fullmatch(stream_id) is None:
            _refuse("health", f"expected a stream id as key, got {stream_id[:80]!r}")
            return
        live.take_health(stream_id, body, published_ns)
        RECORDS.labels("health", "taken").inc()


def _json(record: Record, topic: str) -> list[tuple[Json, int]]:
    """The JSON object in a record, none where there is no such thing in it."""
    content = record.value or b""
    try:
        if len(content) > MAX_JSON_BYTES[topic]:
            raise ValueError(f"at most {MAX_JSON_BYTES[topic]} bytes, got {len(content)}")
        body = msgspec.json.decode(content, type=dict[str, Any])
        if _is_deeper(body, MAX_NESTING):
            raise ValueError(f"at most {MAX_NESTING} levels")
    except (ValueError, RecursionError) as error:  # msgspec's errors are ValueErrors
        _refuse(topic, f"{record.topic}[{record.partition}] offset {record.offset}: expected JSON: {error}")
        return []
    return [(body, record.published_ns)]


def _is_deeper(value: Any, levels: int) -> bool:
    """Whether objects and lists are nested in more than so many levels."""
    if not isinstance(value, dict | list):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(_is_deeper(one, levels - 1) for one in inner)


def _check_storable(alert: Alert) -> None:
    """Raises ValueError for what a column can't hold, and for an id that is not that of the alert's own episode.

    One such record would be tried for ever, and keep out all that come after it.
    """
    fields = msgspec.to_builtins(alert)
    if alert.revision < 1:
        raise ValueError(f"field revision: expected 1 or more, got {alert.revision}")
    if alert.alert_id != alert_id(alert.stream_id, alert.run_id, alert.kind, alert.onset_seq):
        raise ValueError(f"field alert_id: expected that of stream, run, kind and onset, got {alert.alert_id[:80]!r}")
    if len(alert.alert_id) > 64 or len(alert.run_id) > 63 or STREAM_ID.fullmatch(alert.stream_id) is None:
        raise ValueError(f"expected ids of at most 64 letters, got {alert.alert_id[:80]!r} of {alert.stream_id[:80]!r}")
    for name, value in fields.items():
        if isinstance(value, int) and not -(2**63) <= value < 2**63:
            raise ValueError(f"field {name}: expected a number of 64 bits, got one of {value.bit_length()}")
        if "\0" in (value if isinstance(value, str) else "".join(value) if isinstance(value, list) else ""):
            raise ValueError(f"field {name}: expected text without zero bytes")


def _check_showable(report: FrameReport) -> None:
    """Raises ValueError for a report whose place or time no array of scores can hold."""
    identity = report.identity
    if STREAM_ID.fullmatch(identity.stream_id) is None or STREAM_ID.fullmatch(identity.run_id) is None:
        raise ValueError(f"expected ids of a stream and a run, got {str(identity)[:160]!r}")
    if not fits_int64(report):
        raise ValueError(f"expected a seq and times from 0 of 63 bits, got {str(identity)[:160]!r}")


def _refuse(topic: str, error: str) -> None:
    RECORDS.labels(topic, "refused").inc()
    log.warning("record refused", topic=topic, error=error)
