"""Corrections reach the topic, and one that is withdrawn is gone wherever its stream was when it was made."""

from __future__ import annotations

import contextlib

import pytest

from gradwatch.monitor.review.feed import correction_publisher
from gradwatch.monitor.review.feed.broker import Broker
from gradwatch.monitor.review.feed.correction_publisher import CorrectionPublisher
from gradwatch.monitor.review.feed.live_state import LiveState
from gradwatch.monitor.review.store import corrections
from gradwatch.monitor.review.store.audit import Actor, Role
from gradwatch.monitor.review.store.database import Database
from gradwatch.monitor.worker.verdict_feed import CorrectionBook
from gradwatch.streams.observability.health import Health
from gradwatch.streams.transport.connection import BrokerUnavailableError
from gradwatch.streams.wire.messages import RegionMute

from ....brokers import make_topics, read_records
from ....faults.topic_faults import FAULTS
from ....waiting import wait_until

ADA = Actor("ada", Role.ADMIN, "local")

pytestmark = pytest.mark.service


def test_a_withdrawn_correction_of_a_stream_that_moved_stays_withdrawn(embedded: str, sqlite_url: str) -> None:
    topics = make_topics(embedded, 3)
    database, live = Database(sqlite_url), LiveState(9, 1 << 20)
    publisher = CorrectionPublisher(Broker(embedded, {}, topics), database, live, Health())
    mute = RegionMute(corrections.new_id(), "gate", "ada", 1, [(0, 0), (9, 0), (9, 9)])
    live.partition_of = lambda stream_id: 2  # type: ignore[method-assign]
    with database.writing() as session:
        corrections.add(session, ADA, mute)
    publisher.work()
    live.partition_of = lambda stream_id: 0  # type: ignore[method-assign]
    with database.writing() as session:
        corrections.withdraw(session, ADA, mute.verdict_id)
    publisher.work()
    database.close()
    records = read_records(embedded, [topics.verdicts], 4)
    for order in ([0, 1, 2], [2, 1, 0], [1, 2, 0]):  # partitions are read in any order
        book = CorrectionBook()
        for record in sorted(records, key=lambda record, order=order: order.index(record.partition)):
            book.update(record)
        assert book.of("gate") == ()


@pytest.mark.parametrize("fault", FAULTS)
def test_a_correction_waits_while_its_topic_takes_none(
    kafka: str, sqlite_url: str, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    monkeypatch.setattr(correction_publisher, "ACKNOWLEDGED_WITHIN_S", 2.0)
    topics = make_topics(kafka, 1)
    database, live = Database(sqlite_url), LiveState(9, 1 << 20)
    live.partition_of = lambda stream_id: 0  # type: ignore[method-assign]
    publisher = CorrectionPublisher(Broker(kafka, {}, topics), database, live, Health())
    mute = RegionMute(corrections.new_id(), "gate", "ada", 1, [(0, 0), (9, 0), (9, 9)])
    with database.writing() as session:
        corrections.add(session, ADA, mute)
    mend = FAULTS[fault](kafka, topics, topics.verdicts)
    with pytest.raises(BrokerUnavailableError):
        publisher.work()
    mend()
    wait_until(lambda: published(publisher, database))
    (record,) = read_records(kafka, [topics.verdicts], 1)
    database.close()
    assert record.key == f"gate/{mute.verdict_id}".encode()


def published(publisher: CorrectionPublisher, database: Database) -> bool:
    """Tries once more, as the thread does; whether no correction waits any longer."""
    with contextlib.suppress(BrokerUnavailableError):
        publisher.work()
    with database.reading() as session:
        return not corrections.unpublished(session)
