"""Each revision is stored once and the newest is shown, in whatever order and however often they arrive."""

from __future__ import annotations

import random

import pytest
from sqlalchemy import func, select

from gradwatch.monitor.review.store import alerts
from gradwatch.monitor.review.store.database import Database
from gradwatch.monitor.review.store.schema import AlertRow, AttachmentRow, ReviewRow, RevisionRow
from gradwatch.streams.wire.messages import AlertState, Severity

from ..builders import ALERT, RAISED_NS, SECOND_NS, make_alert, store

TOPIC = "gradwatch.alerts"
HISTORY = [
    ALERT,
    make_alert(revision=2, severity=Severity.CRITICAL, score=2.5),
    make_alert(revision=3, severity=Severity.CRITICAL, state=AlertState.CLOSED, score=2.5),
]


@pytest.mark.parametrize("seed", range(4))
def test_any_order_and_any_repetition_end_in_the_same(database: Database, seed: int) -> None:
    records = HISTORY * 2
    random.Random(seed).shuffle(records)
    for start in range(0, len(records), 2):
        store(database, *records[start : start + 2])
    with database.reading() as session:
        row = session.get_one(AlertRow, records[0].alert_id)
        assert (row.revision, row.state, row.score) == (3, "closed", 2.5)
        revisions = list(session.scalars(select(RevisionRow.revision).order_by(RevisionRow.revision)))
        assert revisions == [1, 2, 3]
        assert session.scalar(select(func.count()).select_from(ReviewRow)) == 1


def test_a_stored_revision_is_not_stored_again(database: Database) -> None:
    first = store(database, ALERT)
    assert [(one.is_new, one.is_newest) for one in first] == [(True, True)]
    assert store(database, ALERT) == []
    late = store(database, make_alert(revision=3), make_alert(revision=2))
    assert [(one.is_new, one.is_newest) for one in late] == [(False, True), (False, False)]


def test_an_alert_keeps_the_time_of_its_first_revision(database: Database) -> None:
    store(database, ALERT, make_alert(revision=2))
    with database.reading() as session:
        row = session.get_one(AlertRow, ALERT.alert_id)
        assert (row.raised_ns, row.changed_ns) == (RAISED_NS, RAISED_NS + SECOND_NS)


def test_offsets_are_stored_with_what_was_read_or_not_at_all(database: Database) -> None:
    def fail() -> None:
        with database.writing() as session:
            alerts.store_revisions(session, [alerts.ReceivedRevision(ALERT, RAISED_NS)], RAISED_NS)
            alerts.save_offsets(session, {(TOPIC, 0): 1})
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    with database.reading() as session:
        assert session.get(AlertRow, ALERT.alert_id) is None
        assert alerts.load_offsets(session, [TOPIC]) == {}
    with database.writing() as session:
        alerts.save_offsets(session, {(TOPIC, 0): 1, (TOPIC, 1): 5})
    with database.writing() as session:
        alerts.save_offsets(session, {(TOPIC, 0): 2})
    with database.reading() as session:
        assert alerts.load_offsets(session, [TOPIC]) == {(TOPIC, 0): 2, (TOPIC, 1): 5}


def test_the_newest_attachment_of_a_kind_wins(database: Database) -> None:
    body = {"alert_id": ALERT.alert_id, "kind": "evidence", "path": "a.mcap", "sha256": "0", "size_bytes": 3}
    with database.writing() as session:
        assert alerts.store_attachment(session, body | {"revision": 2, "path": "b.mcap"}, RAISED_NS + 1)
        assert not alerts.store_attachment(session, body | {"revision": 1}, RAISED_NS + 2)
    with database.reading() as session:
        assert session.get_one(AttachmentRow, (ALERT.alert_id, "evidence")).body["path"] == "b.mcap"


@pytest.mark.parametrize("body", [{}, {"alert_id": "a"}, {"alert_id": 1, "kind": "evidence"}, {"kind": "evidence"}])
def test_an_attachment_without_an_alert_id_or_kind_is_refused(database: Database, body: dict[str, object]) -> None:
    with database.writing() as session, pytest.raises(ValueError, match="attachment: expected"):
        alerts.store_attachment(session, body, RAISED_NS)
