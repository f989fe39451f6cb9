"""Filters, pages and counts, compared with a filter written in Python; and retention."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from gradwatch.monitor.review.settings import Retention
from gradwatch.monitor.review.store import actions, listing, retention
from gradwatch.monitor.review.store.alerts import ReceivedRevision, store_revisions
from gradwatch.monitor.review.store.database import Database
from gradwatch.monitor.review.store.errors import InvalidRequestError
from gradwatch.monitor.review.store.listing import ReviewFilter, Selection
from gradwatch.monitor.review.store.schema import AlertRow
from gradwatch.streams.wire.messages import Alert, AlertKind, AlertState, Severity

from ..builders import ADA, RAISED_NS, SECOND_NS, make_alert

DAY_NS = 86_400 * SECOND_NS
CAMERAS = ("north-gate", "south_gate", "east.gate")


@pytest.fixture
def filled(database: Database) -> tuple[Database, list[Alert]]:
    """Thirty alerts, three of each second at the same time; every third acknowledged, some reviewed, some assigned."""
    made = [
        make_alert(
            CAMERAS[n % 3],
            onset_seq=n,
            kind=list(AlertKind)[n % 2],
            severity=list(Severity)[n % 3],
            state=list(AlertState)[n % 2],
            reason=f"100% rain_{n} on {'Lens' if n % 4 else 'road'}",
        )
        for n in range(30)
    ]
    with database.writing() as session:
        arrivals = [
            ReceivedRevision(a, RAISED_NS + n // 3 * SECOND_NS, None, "haze" if n % 5 == 0 else None)
            for n, a in enumerate(made)
        ]
        store_revisions(session, arrivals, RAISED_NS)
        for n, alert in enumerate(made):
            if n % 3 == 0:
                actions.acknowledge(session, ADA, alert.alert_id)
            if n % 4 == 0:
                actions.mark_reviewed(session, ADA, alert.alert_id)
            if n % 7 == 0:
                actions.assign(session, ADA, alert.alert_id, "ada")
    return database, made


def listed(database: Database, **wanted: Any) -> list[str]:
    """Ids of all pages, of four alerts each."""
    found: list[str] = []
    cursor = None
    with database.reading() as session:
        while True:
            page, cursor = listing.page(session, Selection("ada", **wanted), cursor, 4)
            found += [one.alert.alert_id for one in page]
            if cursor is None:
                return found


CASES: list[tuple[dict[str, Any], Callable[[int, Alert], bool]]] = [
    ({}, lambda n, a: True),
    ({"camera": ["south_gate"]}, lambda n, a: n % 3 == 1),
    ({"camera": ["south_gate", "east.gate"], "severity": ["warning"]}, lambda n, a: n % 3 == 1),
    ({"kind": ["expectancy_mismatch"], "state": ["open"]}, lambda n, a: n % 2 == 0),
    ({"challenge": ["haze"]}, lambda n, a: n % 5 == 0),
    ({"review": [ReviewFilter.ACKNOWLEDGED]}, lambda n, a: n % 3 == 0),
    ({"review": [ReviewFilter.UNREVIEWED]}, lambda n, a: n % 3 != 0 and n % 4 != 0),
    ({"review": [ReviewFilter.MINE, ReviewFilter.ACKNOWLEDGED]}, lambda n, a: n % 7 == 0 or n % 3 == 0),
    ({"review": [ReviewFilter.SNOOZED]}, lambda n, a: False),
    ({"from_ns": RAISED_NS + 2 * SECOND_NS, "to_ns": RAISED_NS + 4 * SECOND_NS}, lambda n, a: 6 <= n < 12),
    ({"text": "LENS rain"}, lambda n, a: n % 4 != 0),
    ({"text": "100%"}, lambda n, a: True),
    ({"text": "10%"}, lambda n, a: False),  # no wildcard
    ({"text": "ra%n"}, lambda n, a: False),
]


def test_a_filter_gives_what_it_says_newest_first(filled: tuple[Database, list[Alert]]) -> None:
    database, made = filled
    for wanted, holds in CASES:
        expected = [(RAISED_NS + n // 3 * SECOND_NS, a.alert_id) for n, a in enumerate(made) if holds(n, a)]
        assert listed(database, **wanted) == [alert_id for _, alert_id in sorted(expected, reverse=True)], wanted


def test_counts_are_those_of_the_lists(filled: tuple[Database, list[Alert]]) -> None:
    database, _ = filled
    wanted = {"camera": ["south_gate"], "review": [ReviewFilter.UNREVIEWED]}
    with database.reading() as session:
        total, by = listing.counts(session, Selection("ada", **wanted))
    assert total == len(listed(database, **wanted))
    unreviewed = {c: len(listed(database, camera=[c], review=[ReviewFilter.UNREVIEWED])) for c in CAMERAS}
    assert by["camera"] == {camera: count for camera, count in unreviewed.items() if count}
    assert by["review"] == {
        name.value: len(listed(database, camera=["south_gate"], review=[name])) for name in ReviewFilter
    }
    assert sum(by["severity"].values()) == total


def test_neighbors_are_those_of_the_list(filled: tuple[Database, list[Alert]]) -> None:
    database, _ = filled
    wanted = {"severity": ["warning"]}
    ids = listed(database, **wanted)
    with database.reading() as session:
        for newer, here, older in zip([None, *ids[:-1]], ids, [*ids[1:], None], strict=True):
            row = session.get_one(AlertRow, here)
            assert listing.neighbors(session, Selection("ada", **wanted), row) == (newer, older)


@pytest.mark.parametrize(
    "cursor", ["", "x", "1", "-1-61", "ä-61", "٣-61", "1-6", "1-61\n", listing.write_cursor(2**63, "a")]
)
def test_a_cursor_that_no_page_gave_is_refused(database: Database, cursor: str) -> None:
    with database.reading() as session, pytest.raises(InvalidRequestError, match="cursor: expected"):
        listing.page(session, Selection("ada"), cursor, 4)


@pytest.mark.parametrize("alert_id", ["0f-a", "", "ä" * 64, "\U0001f6a6" * 64])
def test_a_cursor_is_read_as_it_was_written(alert_id: str) -> None:
    assert listing.read_cursor(listing.write_cursor(listing.MAX_NS // 2, alert_id)) == (listing.MAX_NS // 2, alert_id)


def kept(database: Database) -> set[str]:
    return set(listed(database))


def test_retention_takes_old_reviewed_alerts_and_leaves_the_rest(filled: tuple[Database, list[Alert]]) -> None:
    database, made = filled
    with database.writing() as session:
        deleted = retention.enforce(session, Retention(days=1.0), RAISED_NS + 2 * DAY_NS)
    gone = {a.alert_id for n, a in enumerate(made) if n % 2 == 1 and (n % 3 == 0 or n % 4 == 0)}
    assert kept(database) == {a.alert_id for a in made} - gone
    assert deleted == retention.Deleted(by_age=len(gone))


def test_of_too_many_the_reviewed_go_first_and_open_ones_never(filled: tuple[Database, list[Alert]]) -> None:
    database, made = filled
    closed = [(n, a) for n, a in enumerate(made) if n % 2 == 1]
    reviewed = [a.alert_id for n, a in closed if n % 3 == 0]
    unreviewed = [a.alert_id for n, a in closed if n % 3 != 0]
    with database.writing() as session:
        retention.enforce(session, Retention(max_alerts=27), RAISED_NS)
    assert kept(database) == {a.alert_id for a in made} - set(reviewed[:3])
    with database.writing() as session:
        deleted = retention.enforce(session, Retention(max_alerts=23), RAISED_NS)
    assert deleted == retention.Deleted(by_number=4, unreviewed=2)
    assert {a.alert_id for a in made} - kept(database) == {*reviewed, *unreviewed[:2]}
    with database.writing() as session:
        retention.enforce(session, Retention(max_alerts=1), RAISED_NS)
    assert kept(database) == {a.alert_id for n, a in enumerate(made) if n % 2 == 0}
