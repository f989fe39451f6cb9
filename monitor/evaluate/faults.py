"""What `make test-faults` measured -> one report; the tests keep one file each under runs/faults."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from .reports import heading, table

Figures = dict[str, Any]
LABELS = ("title", "quick", "date", "machine", "load")


class NoFiguresError(FileNotFoundError):
    """No test has left figures yet."""


def collect(folder: Path) -> Figures:
    """Figures of every test by its name. Raises NoFiguresError."""
    tests = {path.stem: msgspec.json.decode(path.read_bytes()) for path in sorted(folder.glob("*.json"))}
    if not tests:
        raise NoFiguresError(f"expected figures of tests in {folder}, got none; make test-faults makes them")
    return {"tests": tests}


def faults_report(figures: Figures) -> str:
    """The report of `gradwatch evaluate faults`."""
    lines = heading("Faults on a real Apache Kafka", "make test-faults")
    lines += ["Each test also fails unless nothing was lost and nothing was said twice in other words.", ""]
    for test in figures["tests"].values():
        short = ", short form" if test["quick"] else ""
        lines += [
            f"## {str(test['title']).capitalize()}",
            "",
            f"Measured on {test['date']}{short}; {test['machine']}, load {test['load']}.",
            "",
        ]
        rows = [[name, _words(value)] for name, value in test.items() if name not in LABELS]
        lines += table(["figure", "value"], rows)
    return "\n".join(lines)


def _words(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {count}" for name, count in value.items()) or "none"
    return str(value)
