"""The actions on an alert, and their audit trail."""

from __future__ import annotations

import time

import pytest
from sqlalchemy import select

from gradwatch.monitor.review.store import actions, audit, snoozes
from gradwatch.monitor.review.store.audit import Actor, Role
from gradwatch.monitor.review.store.database import Database
from gradwatch.monitor.review.store.errors import InvalidRequestError, NotFoundError
from gradwatch.monitor.review.store.schema import ReviewRow, RevisionRow, SnoozeRow
from gradwatch.streams.wire.messages import Alert, AlertState

from ..builders import ADA, ALERT, make_alert, store

BOB = Actor("bob", Role.REVIEWER, "token")
HOUR_NS = 3600 * 1_000_000_000


def review(database: Database, alert_id: str) -> ReviewRow:
    with database.reading() as session:
        return session.get_one(ReviewRow, alert_id)


def trail(database: Database, alert_id: str) -> list[tuple[str, str]]:
    with database.reading() as session:
        return [(row.actor, row.action) for row in audit.trail(session, "alert", alert_id)]


def snooze(database: Database, alert: Alert, scope: str = "alert", **ends: float) -> None:
    until_ns, factor = ends.get("until_ns"), ends.get("factor")
    with database.writing() as session:
        actions.snooze(session, ADA, alert.alert_id, scope, None if until_ns is None else int(until_ns), factor)


def test_the_first_acknowledgement_stays_and_the_trail_has_both(database: Database) -> None:
    store(database, ALERT)
    with database.writing() as session:
        actions.acknowledge(session, ADA, ALERT.alert_id)
    with database.writing() as session:
        actions.acknowledge(session, BOB, ALERT.alert_id)
    found = review(database, ALERT.alert_id)
    assert (found.acknowledged_by, found.handled) == ("ada", True)
    with database.writing() as session:
        actions.unacknowledge(session, BOB, ALERT.alert_id)
    found = review(database, ALERT.alert_id)
    assert (found.acknowledged_by, found.acknowledged_ns, found.handled) == (None, None, False)
    assert trail(database, ALERT.alert_id) == [("ada", "acknowledge"), ("bob", "unacknowledge")]
    with database.reading() as session:
        row = audit.trail(session, "alert", ALERT.alert_id)[-1]
        assert (row.via, row.before, row.after) == ("token", {"acknowledged_by": "ada"}, {"acknowledged_by": None})


def test_a_new_revision_leaves_the_review_alone(database: Database) -> None:
    store(database, ALERT)
    with database.writing() as session:
        actions.acknowledge(session, ADA, ALERT.alert_id)
        actions.assign(session, ADA, ALERT.alert_id, "ada")
        actions.comment(session, ADA, ALERT.alert_id, "<b>rain</b>")
    store(database, make_alert(revision=2, state=AlertState.CLOSED))
    found = review(database, ALERT.alert_id)
    assert (found.acknowledged_by, found.assignee) == ("ada", "ada")


def test_reviewed_is_each_users_own(database: Database) -> None:
    store(database, ALERT)
    with database.writing() as session:
        actions.mark_reviewed(session, ADA, ALERT.alert_id)
        actions.mark_reviewed(session, ADA, ALERT.alert_id)
        actions.mark_reviewed(session, BOB, ALERT.alert_id)
        actions.mark_reviewed(session, ADA, ALERT.alert_id, reviewed=False)
    assert review(database, ALERT.alert_id).handled
    assert trail(database, ALERT.alert_id) == [("ada", "review"), ("bob", "review"), ("ada", "unreview")]


def test_an_action_on_an_unknown_alert_is_refused(database: Database) -> None:
    for act in (actions.acknowledge, actions.unacknowledge, actions.mark_reviewed, actions.unsnooze):
        with pytest.raises(NotFoundError, match="expected the id of an alert"), database.writing() as session:
            act(session, ADA, "no-such-alert")


def test_an_assignee_must_be_a_user(database: Database) -> None:
    store(database, ALERT)
    with pytest.raises(InvalidRequestError, match="expected the name of a user"), database.writing() as session:
        actions.assign(session, ADA, ALERT.alert_id, "nobody")
    assert trail(database, ALERT.alert_id) == []


def test_revisions_while_snoozed_are_stored_and_counted_as_muted(database: Database) -> None:
    store(database, ALERT)
    snooze(database, ALERT, until_ns=time.time_ns() + HOUR_NS)
    assert [one.muted for one in store(database, *(make_alert(revision=n) for n in range(2, 14)))] == [True] * 12
    with database.reading() as session:
        row = session.get_one(SnoozeRow, review(database, ALERT.alert_id).snooze_id)
        assert (row.muted_revisions, row.muted_alerts) == (12, 0)
        assert sorted(session.scalars(select(RevisionRow.revision))) == list(range(1, 14))


def test_a_snooze_ends_with_its_time(database: Database) -> None:
    store(database, ALERT)
    now = time.time_ns()
    snooze(database, ALERT, until_ns=now + HOUR_NS)
    assert [one.muted for one in store(database, make_alert(revision=2), now_ns=now + HOUR_NS)] == [False]
    assert review(database, ALERT.alert_id).snooze_id is None


def test_a_snooze_ends_without_a_new_revision(database: Database) -> None:
    store(database, ALERT)
    now = time.time_ns()
    snooze(database, ALERT, until_ns=now + HOUR_NS)
    with database.writing() as session:
        assert not snoozes.any_expired(session, now)
        assert snoozes.any_expired(session, now + HOUR_NS)
        assert snoozes.end_expired(session, now + HOUR_NS) == [ALERT.alert_id]
        assert session.scalars(select(SnoozeRow.ended_why)).one() == "time"


def test_a_snooze_ends_once_the_score_exceeds_its_factor(database: Database) -> None:
    store(database, make_alert(score=1.2))
    snooze(database, ALERT, factor=1.5)
    at_the_limit = store(database, make_alert(revision=2, score=1.2 * 1.5))
    above = store(database, make_alert(revision=3, score=1.81))
    assert [one.muted for one in (*at_the_limit, *above)] == [True, False]
    with database.reading() as session:
        row = session.scalars(select(SnoozeRow)).one()
        assert (row.ended_why, row.muted_revisions) == ("score", 1)


def test_a_cameras_snooze_mutes_its_new_alerts_of_that_kind_alone(database: Database) -> None:
    store(database, ALERT, make_alert(onset_seq=50), make_alert("south-gate"))
    snooze(database, ALERT, "camera", until_ns=time.time_ns() + HOUR_NS)
    assert review(database, make_alert(onset_seq=50).alert_id).snooze_id is not None
    stored = store(
        database,
        make_alert(onset_seq=90),
        make_alert("south-gate", onset_seq=90),
        make_alert(onset_seq=91, kind="expectancy_mismatch"),
    )
    assert [one.muted for one in stored] == [True, False, False]
    with database.writing() as session:
        freed = actions.unsnooze(session, BOB, make_alert(onset_seq=90).alert_id)
    assert set(freed) == {make_alert(onset_seq=n).alert_id for n in (38, 50, 90)}
    assert [one.muted for one in store(database, make_alert(onset_seq=99))] == [False]


def test_a_second_snooze_replaces_the_first(database: Database) -> None:
    store(database, ALERT)
    snooze(database, ALERT, until_ns=time.time_ns() + HOUR_NS)
    snooze(database, ALERT, factor=2.0)
    with database.reading() as session:
        rows = session.scalars(select(SnoozeRow).order_by(SnoozeRow.snooze_id)).all()
        assert [(row.ended_why, row.factor) for row in rows] == [("replaced", None), (None, 2.0)]


@pytest.mark.parametrize(("ends", "expected"), [({}, "expected a time"), ({"until_ns": 1}, "in the future")])
def test_a_snooze_without_an_end_or_with_a_past_one_is_refused(
    database: Database, ends: dict[str, float], expected: str
) -> None:
    store(database, ALERT)
    with pytest.raises(InvalidRequestError, match=expected):
        snooze(database, ALERT, **ends)


def test_a_closed_alert_cannot_be_snoozed_but_its_camera_can(database: Database) -> None:
    store(database, make_alert(state=AlertState.CLOSED))
    with pytest.raises(InvalidRequestError, match="closed alert notifies nobody"):
        snooze(database, ALERT, factor=2.0)
    snooze(database, ALERT, "camera", factor=2.0)
    assert [one.muted for one in store(database, make_alert(onset_seq=90))] == [True]
