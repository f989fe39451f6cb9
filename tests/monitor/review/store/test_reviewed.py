"""Alerts that people have dealt with, as the evidence service reads them: their evidence is deleted first."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from gradwatch.monitor.evidence.folder import EvidenceFolder, NoRoomError
from gradwatch.monitor.review.store import actions
from gradwatch.monitor.review.store.database import Database, DatabaseUnavailableError
from gradwatch.monitor.review.store.reviewed import ReviewedAlerts

from ..builders import ADA, make_alert, store


def fill(database: Database, count: int) -> list[str]:
    made = [make_alert(onset_seq=number) for number in range(count)]
    store(database, *made)
    return [alert.alert_id for alert in made]


def test_acknowledged_and_reviewed_ones_are_returned(database: Database) -> None:
    acknowledged, reviewed, commented, untouched = fill(database, 4)
    with database.writing() as session:
        actions.acknowledge(session, ADA, acknowledged)
        actions.mark_reviewed(session, ADA, reviewed)
        actions.comment(session, ADA, commented, "look again")
    reviewed_of = ReviewedAlerts(database.url.render_as_string(hide_password=False))
    assert reviewed_of([acknowledged, reviewed, commented, untouched, "unheard of"]) == {acknowledged, reviewed}
    assert reviewed_of([]) == set()
    with database.writing() as session:
        actions.unacknowledge(session, ADA, acknowledged)
    assert reviewed_of([acknowledged]) == set()


def test_more_ids_than_one_statement_can_hold(database: Database) -> None:
    ids = fill(database, 1100)
    with database.writing() as session:
        for alert_id in ids[::100]:
            actions.acknowledge(session, ADA, alert_id)
    assert ReviewedAlerts(database.url.render_as_string(hide_password=False))(ids) == set(ids[::100])


def test_a_database_that_does_not_exist_is_not_created(tmp_path: Path) -> None:
    assert ReviewedAlerts(f"sqlite:///{tmp_path}/review.db")([str(uuid.uuid4())]) == set()
    assert list(tmp_path.iterdir()) == []


def test_a_database_that_does_not_answer_returns_none(tmp_path: Path) -> None:
    (tmp_path / "empty.db").touch()
    with capture_logs() as said:
        assert ReviewedAlerts(f"sqlite:///{tmp_path}/empty.db")(["x"]) == set()
        away = ReviewedAlerts("postgresql://somebody:hunter2@127.0.0.1:1/review")
        assert [away(["x"]), away(["x"])] == [set(), set()]
    assert len(said) == 2  # each reason once
    assert "no such table" in said[0]["error"]
    assert "hunter2" not in str(said)


def test_an_unknown_kind_of_database_is_refused() -> None:
    with pytest.raises(DatabaseUnavailableError, match="expected sqlite:///FILE or postgresql"):
        ReviewedAlerts("mysql://localhost/review")


def test_evidence_of_a_reviewed_alert_goes_before_older_evidence(database: Database, tmp_path: Path) -> None:
    older, reviewed, newest = fill(database, 3)
    with database.writing() as session:
        actions.acknowledge(session, ADA, reviewed)
    folder = EvidenceFolder(tmp_path, 250, ReviewedAlerts(database.url.render_as_string(hide_password=False)))
    paths = {one: folder.path("north-gate", one) for one in (older, reviewed, newest)}
    for path in paths.values():
        folder.write(path, False, lambda stream: stream.write(b"x" * 100))
    assert [one for one in paths if paths[one].exists()] == [older, newest]
    with pytest.raises(NoRoomError):
        folder.write(paths[reviewed], False, lambda stream: stream.write(b"x" * 251))
