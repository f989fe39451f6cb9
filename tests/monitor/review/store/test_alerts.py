"""Revisions as they come: every one once, the newest on top, whatever the order and however often."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from sqlalchemy import func, select

from gradwatch.monitor.review.store import alerts as intake
from gradwatch.monitor.review.store.database import Database
from gradwatch.monitor.review.store.schema import AlertRow, AttachmentRow, ReviewRow, RevisionRow
from gradwatch.streams.wire.messages import Alert, AlertState, Severity

Make = Callable[..., Alert]
NOW = 1_790_000_000_000_000_000


def take(database: Database, *alerts: Alert) -> list[intake.Taken]:
    with database.writing() as session:
        return intake.take(session, [intake.Arrival(alert, NOW + alert.revision) for alert in alerts], NOW)


def history(make: Make) -> list[Alert]:
    return [
        make(),
        make(revision=2, severity=Severity.CRITICAL, score=2.5),
        make(revision=3, severity=Severity.CRITICAL, state=AlertState.CLOSED, score=2.5),
    ]


@pytest.mark.parametrize("seed", range(4))
def test_any_order_and_any_repetition_end_in_the_same(database: Database, make: Make, seed: int) -> None:
    records = history(make) * 2
    random.Random(seed).shuffle(records)
    for start in range(0, len(records), 2):
        take(database, *records[start : start + 2])
    with database.reading() as session:
        row = session.get_one(AlertRow, records[0].alert_id)
        assert (row.revision, row.state, row.score) == (3, "closed", 2.5)
        revisions = list(session.scalars(select(RevisionRow.revision).order_by(RevisionRow.revision)))
        assert revisions == [1, 2, 3]
        assert session.scalar(select(func.count()).select_from(ReviewRow)) == 1


def test_a_known_revision_is_no_news(database: Database, make: Make) -> None:
    first = take(database, make())
    assert [(one.is_new, one.is_newest) for one in first] == [(True, True)]
    assert take(database, make()) == []
    late = take(database, make(revision=3), make(revision=2))
    assert [(one.is_new, one.is_newest) for one in late] == [(False, True), (False, False)]


def test_the_first_time_that_it_came_stays(database: Database, make: Make) -> None:
    take(database, make())
    take(database, make(revision=2))
    with database.reading() as session:
        row = session.get_one(AlertRow, make().alert_id)
        assert (row.raised_ns, row.changed_ns) == (NOW + 1, NOW + 2)


def test_offsets_are_stored_with_what_was_read_or_not_at_all(database: Database, make: Make) -> None:
    def fail() -> None:
        with database.writing() as session:
            intake.take(session, [intake.Arrival(make(), NOW)], NOW)
            intake.save_offsets(session, {("gradwatch.alerts", 0): 1})
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    with database.reading() as session:
        assert session.get(AlertRow, make().alert_id) is None
        assert intake.offsets(session, ["gradwatch.alerts"]) == {}
    with database.writing() as session:
        intake.save_offsets(session, {("gradwatch.alerts", 0): 1, ("gradwatch.alerts", 1): 5})
    with database.writing() as session:
        intake.save_offsets(session, {("gradwatch.alerts", 0): 2})
    with database.reading() as session:
        assert intake.offsets(session, ["gradwatch.alerts"]) == {("gradwatch.alerts", 0): 2, ("gradwatch.alerts", 1): 5}


def test_the_newest_attachment_of_a_kind_wins(database: Database, make: Make) -> None:
    body = {"alert_id": make().alert_id, "kind": "evidence", "path": "a.mcap", "sha256": "0", "size_bytes": 3}
    with database.writing() as session:
        assert intake.take_attachment(session, body | {"revision": 2, "path": "b.mcap"}, NOW + 1)
        assert not intake.take_attachment(session, body | {"revision": 1}, NOW + 2)
    with database.reading() as session:
        assert session.get_one(AttachmentRow, (make().alert_id, "evidence")).body["path"] == "b.mcap"


@pytest.mark.parametrize("body", [{}, {"alert_id": "a"}, {"alert_id": 1, "kind": "evidence"}, {"kind": "evidence"}])
def test_an_attachment_to_nothing_is_refused(database: Database, body: dict[str, object]) -> None:
    with database.writing() as session, pytest.raises(ValueError, match="attachment: expected"):
        intake.take_attachment(session, body, NOW)
