"""Figures that long tests leave, one file a test in a folder of theirs, and their part of a report."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from gradwatch import MissingFileError

from .reports import table

Figures = dict[str, Any]
LABELS = ("title", "quick", "date", "machine", "load")  # of a test; all else are its figures


class NoFiguresError(MissingFileError):
    """No test has left figures yet."""


def collect(folder: Path, command: str) -> Figures:
    """Figures of every test by its name; `command` makes them. Raises NoFiguresError."""
    tests = {path.stem: msgspec.json.decode(path.read_bytes()) for path in sorted(folder.glob("*.json"))}
    if not tests:
        raise NoFiguresError(f"expected figures of tests in {folder}, got none; {command} makes them")
    return {"tests": tests}


def sections(figures: Figures, shown: Callable[[str], str] = str) -> list[str]:
    """A section for every test, with a table of its figures; `shown` makes words of a figure's name."""
    lines: list[str] = []
    for test in figures["tests"].values():
        short = ", short form" if test.get("quick") else ""
        lines += [
            f"## {str(test['title']).capitalize()}",
            "",
            f"Measured on {test['date']}{short}; {test['machine']}, load {test['load']}.",
            "",
        ]
        rows = [[shown(name), _words(value)] for name, value in test.items() if name not in LABELS]
        lines += table(["figure", "value"], rows)
    return lines


def _words(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {count}" for name, count in value.items()) or "none"
    return str(value)
