"""Publishes verdicts and their tombstones, oldest first, until the broker has acknowledged each."""

from __future__ import annotations

import threading
from contextlib import closing

import msgspec
import structlog

from gradwatch.streams.observability.health import Health
from gradwatch.streams.transport.connection import BrokerRefusedError, BrokerUnavailableError
from gradwatch.streams.transport.producer import BoundedProducer
from gradwatch.streams.wire.records import cloud_event_headers

from ..metrics import VERDICTS_WAITING
from ..store import verdicts
from ..store.database import Database
from ..store.schema import VerdictRow
from .ingest import Broker
from .live import LiveState

log = structlog.get_logger()

INTERVAL_S = 2.0
ACKNOWLEDGED_WITHIN_S = 10.0
NAME = "verdicts"


class VerdictPublisher:
    """A thread; `wake` it when there is something new. A producer is made once one is needed."""

    def __init__(self, broker: Broker, database: Database, live: LiveState, health: Health) -> None:
        self._broker, self._database, self._live, self._health = broker, database, live, health
        self._stopping, self._wake = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name=NAME, daemon=True)

    def start(self) -> None:
        """Begins with what an earlier process left."""
        self._thread.start()

    def wake(self) -> None:
        """Says that a verdict was stored."""
        self._wake.set()

    def stop(self) -> None:
        """Ends after the one at work; the rest is published by the next process."""
        self._stopping.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(ACKNOWLEDGED_WITHIN_S + 5.0)

    def _run(self) -> None:
        said = ""
        while not self._stopping.is_set():
            self._health.beat(NAME)
            try:
                self._publish_all()
                said = ""
            except Exception as error:  # the thread must outlive the broker and the database
                if str(error) != said:
                    expected = isinstance(error, BrokerUnavailableError | BrokerRefusedError)
                    log.warning("verdicts wait", error=str(error), exc_info=not expected)
                said = str(error)
            self._health.rest(NAME)
            self._wake.wait(INTERVAL_S)
            self._wake.clear()

    def _publish_all(self) -> None:
        with self._database.reading() as session:
            waiting = verdicts.unpublished(session)
            partitions = {row.stream_id: self._partition(row.stream_id) for row in waiting}
        VERDICTS_WAITING.set(len(waiting))
        ready = [row for row in waiting if partitions[row.stream_id] is not None]
        if not ready:
            return
        with closing(BoundedProducer(self._broker.bootstrap_servers, self._broker.client)) as producer:
            for row in ready:
                self._publish(producer, row, partitions[row.stream_id])
        VERDICTS_WAITING.set(len(waiting) - len(ready))

    def _partition(self, stream_id: str) -> int | None:
        """Where the stream's frames are; None while nobody knows, and then its verdicts wait."""
        known = self._live.partition_of(stream_id)
        if known is not None:
            return known
        with self._database.reading() as session:
            return verdicts.partition_of(session, stream_id)

    def _publish(self, producer: BoundedProducer, row: VerdictRow, partition: int | None) -> None:
        delivery = producer.send(
            self._broker.topics.verdicts,
            f"{row.stream_id}/{row.verdict_id}".encode(),
            None if row.deleted_ns is not None else msgspec.json.encode(row.body),
            cloud_event_headers("verdict", row.stream_id, row.verdict_id, row.created_ns),
            partition,
        )
        if not delivery.wait(ACKNOWLEDGED_WITHIN_S) or delivery.exception is not None:
            raise BrokerUnavailableError(f"verdict {row.verdict_id} was not acknowledged: {delivery.exception}")
        with self._database.writing() as session:
            now = session.get(VerdictRow, row.verdict_id)
            if now is not None and now.deleted_ns == row.deleted_ns:  # else its tombstone is still to come
                now.published = True
