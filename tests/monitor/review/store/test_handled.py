"""Evidence of alerts that people have dealt with goes first; the evidence service asks the review database."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from gradwatch.monitor.evidence.folder import EvidenceFolder, NoRoomError
from gradwatch.monitor.review.store import actions, alerts
from gradwatch.monitor.review.store.audit import Actor, Role
from gradwatch.monitor.review.store.database import Database, DatabaseUnavailableError
from gradwatch.monitor.review.store.handled import Handled
from gradwatch.streams.wire.messages import Alert

Make = Callable[..., Alert]
ADA = Actor("ada", Role.REVIEWER, "session")


def store(database: Database, make: Make, count: int) -> list[str]:
    made = [make(onset_seq=number) for number in range(count)]
    with database.writing() as session:
        alerts.take(session, [alerts.Arrival(alert, 1) for alert in made], 1)
    return [alert.alert_id for alert in made]


def test_acknowledged_and_reviewed_ones_are_handled(database: Database, make: Make) -> None:
    acknowledged, reviewed, commented, untouched = store(database, make, 4)
    with database.writing() as session:
        actions.acknowledge(session, ADA, acknowledged)
        actions.mark_reviewed(session, ADA, reviewed)
        actions.comment(session, ADA, commented, "look again")
    handled = Handled(database.url.render_as_string(hide_password=False))
    assert handled([acknowledged, reviewed, commented, untouched, "unheard of"]) == {acknowledged, reviewed}
    assert handled([]) == set()
    with database.writing() as session:
        actions.unacknowledge(session, ADA, acknowledged)
    assert handled([acknowledged]) == set()


def test_more_than_one_statement_can_name(database: Database, make: Make) -> None:
    ids = store(database, make, 1100)
    with database.writing() as session:
        for alert_id in ids[::100]:
            actions.acknowledge(session, ADA, alert_id)
    assert Handled(database.url.render_as_string(hide_password=False))(ids) == set(ids[::100])


def test_a_database_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    assert Handled(f"sqlite:///{tmp_path}/review.db")([str(uuid.uuid4())]) == set()
    assert list(tmp_path.iterdir()) == []


def test_a_database_that_does_not_answer_knows_of_no_review(tmp_path: Path) -> None:
    (tmp_path / "empty.db").touch()
    with capture_logs() as said:
        assert Handled(f"sqlite:///{tmp_path}/empty.db")(["x"]) == set()
        away = Handled("postgresql://somebody:hunter2@127.0.0.1:1/review")
        assert [away(["x"]), away(["x"])] == [set(), set()]
    assert len(said) == 2  # each reason once
    assert "no such table" in said[0]["error"]
    assert "hunter2" not in str(said)


def test_a_url_that_is_none_is_refused() -> None:
    with pytest.raises(DatabaseUnavailableError, match="expected sqlite:///FILE or postgresql"):
        Handled("mysql://localhost/review")


def test_evidence_of_a_reviewed_alert_goes_before_older_evidence(
    database: Database, make: Make, tmp_path: Path
) -> None:
    older, reviewed, newest = store(database, make, 3)
    with database.writing() as session:
        actions.acknowledge(session, ADA, reviewed)
    folder = EvidenceFolder(tmp_path, 250, Handled(database.url.render_as_string(hide_password=False)))
    paths = {one: folder.path("north-gate", one) for one in (older, reviewed, newest)}
    for path in paths.values():
        folder.write(path, False, lambda stream: stream.write(b"x" * 100))
    assert [one for one in paths if paths[one].exists()] == [older, newest]
    with pytest.raises(NoRoomError):
        folder.write(paths[reviewed], False, lambda stream: stream.write(b"x" * 251))
