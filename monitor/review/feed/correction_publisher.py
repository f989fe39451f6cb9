"""Publishes corrections and their tombstones, oldest first, until the broker has acknowledged each."""

from __future__ import annotations

from contextlib import closing

import msgspec

from gradwatch.streams.observability.health import Health
from gradwatch.streams.transport.connection import BrokerUnavailableError
from gradwatch.streams.transport.producer import BoundedProducer
from gradwatch.streams.wire.records import cloud_event_headers

from ..metrics import CORRECTIONS_WAITING
from ..store import corrections
from ..store.database import Database
from ..store.schema import CorrectionRow
from .broker import Broker
from .live_state import LiveState
from .threads import BackgroundThread

INTERVAL_S = 2.0
ACKNOWLEDGED_WITHIN_S = 10.0


class CorrectionPublisher(BackgroundThread):
    """Publishes what the database holds unpublished, from an earlier process too; `wake` it after storing one."""

    STOP_TIMEOUT_S = ACKNOWLEDGED_WITHIN_S + 5.0

    def __init__(self, broker: Broker, database: Database, live: LiveState, health: Health) -> None:
        super().__init__("corrections", INTERVAL_S, health)
        self._broker, self._database, self._live = broker, database, live

    def work(self) -> None:
        """Publishes all corrections whose partition is known; opens a producer only if there are any."""
        self.beat()
        with self._database.reading() as session:
            waiting = corrections.unpublished(session)
            partitions = {row.stream_id: self._partition(row.stream_id) for row in waiting}
        CORRECTIONS_WAITING.set(len(waiting))
        ready = [row for row in waiting if partitions[row.stream_id] is not None]
        if not ready:
            return
        with closing(BoundedProducer(self._broker.bootstrap_servers, self._broker.client)) as producer:
            for row in ready:
                self._publish(producer, row, partitions[row.stream_id])
        CORRECTIONS_WAITING.set(len(waiting) - len(ready))

    def _partition(self, stream_id: str) -> int | None:
        """The partition of the stream's frames; while it is unknown (None), corrections of the stream wait."""
        known = self._live.partition_of(stream_id)
        if known is not None:
            return known
        with self._database.reading() as session:
            return corrections.partition_of(session, stream_id)

    def _publish(self, producer: BoundedProducer, row: CorrectionRow, partition: int | None) -> None:
        topic, is_withdrawn = self._broker.topics.verdicts, row.deleted_ns is not None
        key = f"{row.stream_id}/{row.verdict_id}".encode()
        value = None if is_withdrawn else msgspec.json.encode(row.body)
        headers = cloud_event_headers("verdict", row.stream_id, row.verdict_id, row.created_ns)
        # The stream may have moved since, and the correction lie in the partition where its frames came then.
        partitions = producer.partitions(topic) if is_withdrawn else [partition]
        for delivery in [producer.send(topic, key, value, headers, one) for one in partitions]:
            if not delivery.wait(ACKNOWLEDGED_WITHIN_S) or delivery.exception is not None:
                raise BrokerUnavailableError(f"correction {row.verdict_id} was not acknowledged: {delivery.exception}")
        with self._database.writing() as session:
            now = session.get(CorrectionRow, row.verdict_id)
            if now is not None and now.deleted_ns == row.deleted_ns:  # otherwise its tombstone is still unpublished
                now.published = True
