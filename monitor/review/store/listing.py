"""Which alerts a person sees: filters, pages by cursor, counts by filter value, neighbors."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, exists, func, not_, or_, select
from sqlalchemy.orm import Session

from .audit import InvalidRequestError
from .schema import AlertRow, ReviewedRow, ReviewRow

AnySelect = Select[*tuple[Any, ...]]

MAX_NS = 2**63 - 1
CURSOR = r"^[0-8]?[0-9]{1,18}-(?:[0-9a-f]{2}){0,256}$"  # whatever it matches is a place: at most 2**63 ns
NAMED_AT_ONCE = 500  # parameters of one statement
FACETS = {
    "camera": AlertRow.stream_id,
    "kind": AlertRow.kind,
    "severity": AlertRow.severity,
    "state": AlertRow.state,
    "challenge": AlertRow.challenge,
}


class ReviewFilter(StrEnum):
    """Where people stand with an alert; one alert may be in several."""

    UNREVIEWED = "unreviewed"  # nobody has acknowledged it, and I have not marked it as reviewed
    ACKNOWLEDGED = "acknowledged"
    SNOOZED = "snoozed"
    MINE = "mine"  # assigned to me


@dataclass(frozen=True, slots=True)
class Selection:
    """A filter; what is empty or None filters nothing. Times are when an alert was raised, wall clock."""

    me: str
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
            found.append(or_(*(_stands(wanted, self.me) for wanted in self.review)))
        if self.from_ns is not None:
            found.append(AlertRow.raised_ns >= self.from_ns)
        if self.to_ns is not None:
            found.append(AlertRow.raised_ns < self.to_ns)
        for word in self.text.lower().replace("_", " ").split():
            found.append(AlertRow.words.contains(word, autoescape=True))
        return found


@dataclass(frozen=True, slots=True)
class Listed:
    """One alert of a list: its newest revision, its review, and whether I have looked at it."""

    alert: AlertRow
    review: ReviewRow
    reviewed: bool


@dataclass(frozen=True, slots=True)
class Page:
    """Alerts, the newest first; `next_cursor` None on the last page."""

    alerts: list[Listed]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class Counts:
    """How many alerts a selection has, and would have with each value of one filter, all other filters as they are."""

    total: int
    by: dict[str, dict[str, int]] = field(default_factory=dict)


def page(session: Session, selection: Selection, cursor: str | None, limit: int) -> Page:
    """One page of a list. Raises InvalidRequestError for a cursor that is none."""
    query = _listed(selection)
    if cursor is not None:
        query = query.where(_older_than(*read_cursor(cursor)))
    query = query.order_by(AlertRow.raised_ns.desc(), AlertRow.alert_id.desc()).limit(limit + 1)
    found = [Listed(*row) for row in session.execute(query)]
    more = len(found) > limit
    last = found[limit - 1].alert if more else None
    return Page(found[:limit], None if last is None else write_cursor(last.raised_ns, last.alert_id))


def one(session: Session, me: str, alert_id: str) -> Listed | None:
    """One alert as in a list."""
    return next(iter(some(session, me, [alert_id])), None)


def some(session: Session, me: str, alert_ids: Sequence[str]) -> list[Listed]:
    """Those of the named alerts that are there, as in a list, in the order of `alert_ids`."""
    found = {}
    for start in range(0, len(alert_ids), NAMED_AT_ONCE):
        named = alert_ids[start : start + NAMED_AT_ONCE]
        rows = session.execute(_listed(Selection(me)).where(AlertRow.alert_id.in_(named)))
        found.update({row[0].alert_id: Listed(*row) for row in rows})
    return [found[alert_id] for alert_id in alert_ids if alert_id in found]


def neighbors(session: Session, selection: Selection, alert: AlertRow) -> tuple[str | None, str | None]:
    """Ids of the alerts beside `alert` in the selection's list: the newer one (previous), the older one (next)."""
    here = (alert.raised_ns, alert.alert_id)
    ids = select(AlertRow.alert_id).join(ReviewRow, ReviewRow.alert_id == AlertRow.alert_id).where(*selection.clauses())
    newer = ids.where(_newer_than(*here)).order_by(AlertRow.raised_ns, AlertRow.alert_id).limit(1)
    older = ids.where(_older_than(*here)).order_by(AlertRow.raised_ns.desc(), AlertRow.alert_id.desc()).limit(1)
    return session.scalars(newer).first(), session.scalars(older).first()


def counts(session: Session, selection: Selection) -> Counts:
    """Counts by filter value; values that no alert has are absent, those of `review` are all there."""
    by = {}
    for name, column in FACETS.items():
        unfiltered: dict[str, Any] = {name: ()}
        others = replace(selection, **unfiltered)
        query = _from_reviewed(select(column, func.count()), others).group_by(column)
        by[name] = {value: number for value, number in session.execute(query) if value is not None}
    others = replace(selection, review=())
    sums = [func.count().filter(_stands(wanted, selection.me)) for wanted in ReviewFilter]
    row = session.execute(_from_reviewed(select(*sums), others)).one()
    by["review"] = dict(zip((wanted.value for wanted in ReviewFilter), row, strict=True))
    total = session.execute(_from_reviewed(select(func.count()), selection)).scalar_one()
    return Counts(total, by)


def write_cursor(raised_ns: int, alert_id: str) -> str:
    """The place of the last alert of a page; an id may hold any letters, so it is written in hexadecimal."""
    return f"{raised_ns}-{alert_id.encode().hex()}"


def read_cursor(cursor: str) -> tuple[int, str]:
    """The place that a cursor names; no alert need be there. Raises InvalidRequestError for what `CURSOR` does not match."""
    if re.fullmatch(CURSOR, cursor) is None:
        raise InvalidRequestError(f"cursor: expected one that an earlier page gave, got {cursor[:80]!r}")
    raised_ns, _, alert_id = cursor.partition("-")
    return int(raised_ns), bytes.fromhex(alert_id).decode(errors="replace").replace("\0", "")


def _listed(selection: Selection) -> AnySelect:
    return _from_reviewed(select(AlertRow, ReviewRow, _reviewed_by(selection.me)), selection)


def _from_reviewed(query: AnySelect, selection: Selection) -> AnySelect:
    joined = query.select_from(AlertRow).join(ReviewRow, ReviewRow.alert_id == AlertRow.alert_id)
    return joined.where(*selection.clauses())


def _reviewed_by(me: str) -> ColumnElement[bool]:
    return exists().where(ReviewedRow.alert_id == AlertRow.alert_id, ReviewedRow.username == me)


def _stands(wanted: ReviewFilter, me: str) -> ColumnElement[bool]:
    if wanted is ReviewFilter.ACKNOWLEDGED:
        return ReviewRow.acknowledged_by.is_not(None)
    if wanted is ReviewFilter.SNOOZED:
        return ReviewRow.snooze_id.is_not(None)
    if wanted is ReviewFilter.MINE:
        return ReviewRow.assignee == me
    return and_(ReviewRow.acknowledged_by.is_(None), not_(_reviewed_by(me)))


def _older_than(raised_ns: int, alert_id: str) -> ColumnElement[bool]:
    same = and_(AlertRow.raised_ns == raised_ns, AlertRow.alert_id < alert_id)
    return and_(AlertRow.raised_ns <= raised_ns, or_(AlertRow.raised_ns < raised_ns, same))


def _newer_than(raised_ns: int, alert_id: str) -> ColumnElement[bool]:
    same = and_(AlertRow.raised_ns == raised_ns, AlertRow.alert_id > alert_id)
    return and_(AlertRow.raised_ns >= raised_ns, or_(AlertRow.raised_ns > raised_ns, same))
