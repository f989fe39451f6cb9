"""Queries for lists of alerts: filters, pages by cursor, counts by filter value, neighbors."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Select, and_, exists, func, not_, or_, select
from sqlalchemy.orm import Session

from .errors import InvalidRequestError, NotFoundError
from .schema import AlertRow, ReviewedRow, ReviewRow

AnySelect = Select[*tuple[Any, ...]]

MAX_NS = 2**63 - 1
CURSOR = r"^[0-8]?[0-9]{1,18}-(?:[0-9a-f]{2}){0,256}$"  # every match can be read: its time is at most 2**63 ns
MAX_IDS = 500  # parameters of one statement
FACETS = {
    "camera": AlertRow.stream_id,
    "kind": AlertRow.kind,
    "severity": AlertRow.severity,
    "state": AlertRow.state,
    "challenge": AlertRow.challenge,
}


class ReviewFilter(StrEnum):
    """State of the review; one alert may have several."""

    UNREVIEWED = "unreviewed"  # nobody has acknowledged it, and the user has not marked it as reviewed
    ACKNOWLEDGED = "acknowledged"
    SNOOZED = "snoozed"
    MINE = "mine"  # assigned to the user


@dataclass(frozen=True, slots=True)
class Selection:
    """A filter of `username`; empty fields and None match all. Times are when an alert was raised, wall clock."""

    username: str
    camera: Sequence[str] = ()
    kind: Sequence[str] = ()
    severity: Sequence[str] = ()
    state: Sequence[str] = ()
    challenge: Sequence[str] = ()
    review: Sequence[ReviewFilter] = ()
    from_ns: int | None = None  # included
    to_ns: int | None = None  # excluded
    text: str = ""

    def clauses(self) -> list[ColumnElement[bool]]:
        """Conditions on alerts joined with their reviews; several values of one filter are alternatives."""
        found: list[ColumnElement[bool]] = [
            column.in_(getattr(self, name)) for name, column in FACETS.items() if getattr(self, name)
        ]
        if self.review:
            found.append(or_(*(_has_review_state(wanted, self.username) for wanted in self.review)))
        if self.from_ns is not None:
            found.append(AlertRow.raised_ns >= self.from_ns)
        if self.to_ns is not None:
            found.append(AlertRow.raised_ns < self.to_ns)
        for word in self.text.lower().replace("_", " ").split():
            found.append(AlertRow.words.contains(word, autoescape=True))
        return found


class ListedAlert(NamedTuple):
    """The newest revision of an alert, its review, and whether the user has marked it as reviewed."""

    alert: AlertRow
    review: ReviewRow
    reviewed: bool


def page(
    session: Session, selection: Selection, cursor: str | None, limit: int
) -> tuple[list[ListedAlert], str | None]:
    """At most `limit` alerts, newest first, and the next page's cursor. Raises InvalidRequestError for a bad one."""
    query = _select_listed(selection)
    if cursor is not None:
        query = query.where(_older_than(*read_cursor(cursor)))
    query = query.order_by(AlertRow.raised_ns.desc(), AlertRow.alert_id.desc()).limit(limit + 1)
    found = [ListedAlert(*row) for row in session.execute(query)]
    last = found[limit - 1].alert if len(found) > limit else None
    return found[:limit], None if last is None else write_cursor(last.raised_ns, last.alert_id)


def find(session: Session, username: str, alert_ids: Sequence[str]) -> list[ListedAlert]:
    """Those of `alert_ids` that are stored, in that order."""
    found = {}
    for start in range(0, len(alert_ids), MAX_IDS):
        batch = alert_ids[start : start + MAX_IDS]
        rows = session.execute(_select_listed(Selection(username)).where(AlertRow.alert_id.in_(batch)))
        found.update({row[0].alert_id: ListedAlert(*row) for row in rows})
    return [found[alert_id] for alert_id in alert_ids if alert_id in found]


def get(session: Session, username: str, alert_id: str) -> ListedAlert:
    """One alert. Raises NotFoundError."""
    found = find(session, username, [alert_id])
    if not found:
        raise NotFoundError(f"expected the id of an alert, got {alert_id[:64]!r}")
    return found[0]


def neighbors(session: Session, selection: Selection, alert: AlertRow) -> tuple[str | None, str | None]:
    """Ids of the alerts beside `alert` in the selection's list: the newer one (previous), the older one (next)."""
    here = (alert.raised_ns, alert.alert_id)
    ids = _join_reviews(select(AlertRow.alert_id), selection)
    newer = ids.where(_newer_than(*here)).order_by(AlertRow.raised_ns, AlertRow.alert_id).limit(1)
    older = ids.where(_older_than(*here)).order_by(AlertRow.raised_ns.desc(), AlertRow.alert_id.desc()).limit(1)
    return session.scalars(newer).first(), session.scalars(older).first()


def counts(session: Session, selection: Selection) -> tuple[int, dict[str, dict[str, int]]]:
    """The total, and counts by filter and value; values without an alert are absent, except those of `review`."""
    by: dict[str, dict[str, int]] = {}
    for name, column in FACETS.items():
        unfiltered: dict[str, Any] = {name: ()}
        query = _join_reviews(select(column, func.count()), replace(selection, **unfiltered)).group_by(column)
        by[name] = {value: number for value, number in session.execute(query) if value is not None}
    sums = [func.count().filter(_has_review_state(wanted, selection.username)) for wanted in ReviewFilter]
    row = session.execute(_join_reviews(select(*sums), replace(selection, review=()))).one()
    by["review"] = dict(zip((wanted.value for wanted in ReviewFilter), row, strict=True))
    total = session.execute(_join_reviews(select(func.count()), selection)).scalar_one()
    return total, by


def write_cursor(raised_ns: int, alert_id: str) -> str:
    """The position after an alert, in letters that a URL holds unescaped: an id may contain any."""
    return f"{raised_ns}-{alert_id.encode().hex()}"


def read_cursor(cursor: str) -> tuple[int, str]:
    """The position of a cursor; no such alert need be stored. Raises InvalidRequestError unless `CURSOR` matches."""
    if re.fullmatch(CURSOR, cursor) is None:
        raise InvalidRequestError(f"cursor: expected the `next_cursor` of an earlier page, got {cursor[:80]!r}")
    raised_ns, _, alert_id = cursor.partition("-")
    return int(raised_ns), bytes.fromhex(alert_id).decode(errors="replace").replace("\0", "")


def _select_listed(selection: Selection) -> AnySelect:
    return _join_reviews(select(AlertRow, ReviewRow, _is_reviewed_by(selection.username)), selection)


def _join_reviews(query: AnySelect, selection: Selection) -> AnySelect:
    joined = query.select_from(AlertRow).join(ReviewRow, ReviewRow.alert_id == AlertRow.alert_id)
    return joined.where(*selection.clauses())


def _is_reviewed_by(username: str) -> ColumnElement[bool]:
    return exists().where(ReviewedRow.alert_id == AlertRow.alert_id, ReviewedRow.username == username)


def _has_review_state(wanted: ReviewFilter, username: str) -> ColumnElement[bool]:
    if wanted is ReviewFilter.ACKNOWLEDGED:
        return ReviewRow.acknowledged_by.is_not(None)
    if wanted is ReviewFilter.SNOOZED:
        return ReviewRow.snooze_id.is_not(None)
    if wanted is ReviewFilter.MINE:
        return ReviewRow.assignee == username
    return and_(ReviewRow.acknowledged_by.is_(None), not_(_is_reviewed_by(username)))


def _older_than(raised_ns: int, alert_id: str) -> ColumnElement[bool]:
    same = and_(AlertRow.raised_ns == raised_ns, AlertRow.alert_id < alert_id)
    return and_(AlertRow.raised_ns <= raised_ns, or_(AlertRow.raised_ns < raised_ns, same))


def _newer_than(raised_ns: int, alert_id: str) -> ColumnElement[bool]:
    same = and_(AlertRow.raised_ns == raised_ns, AlertRow.alert_id > alert_id)
    return and_(AlertRow.raised_ns >= raised_ns, or_(AlertRow.raised_ns > raised_ns, same))
