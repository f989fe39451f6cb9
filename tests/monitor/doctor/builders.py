"""Shared by the tests of the doctor: builds a check's context, and looks up its rows."""

from __future__ import annotations

from gradwatch.monitor.config import from_tree
from gradwatch.monitor.doctor.results import Context, Result


def context(**tree: object) -> Context:
    """The context of a configuration with these sections."""
    return Context(from_tree(tree))


def by_subject(rows: list[Result]) -> dict[str, Result]:
    return {row.subject: row for row in rows}
