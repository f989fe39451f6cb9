"""Corrections reach the topic, and one that is withdrawn is gone wherever its stream was when it was made."""

from __future__ import annotations

import pytest

from gradwatch.monitor.review.feed.broker import Broker
from gradwatch.monitor.review.feed.correction_publisher import CorrectionPublisher
from gradwatch.monitor.review.feed.live_state import LiveState
from gradwatch.monitor.review.store import corrections
from gradwatch.monitor.review.store.audit import Actor, Role
from gradwatch.monitor.review.store.database import Database
from gradwatch.monitor.worker.verdict_feed import CorrectionBook
from gradwatch.streams.observability.health import Health
from gradwatch.streams.wire.messages import RegionMute

from ....brokers import make_topics, read_records

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
