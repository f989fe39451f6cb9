"""Reports of the long tests: each test leaves one JSON file of figures in a folder, each folder gives one report."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import msgspec

from gradwatch import MissingFileError

from .reports import Figures, counts, render, table

LABELS = ("title", "quick", "date", "machine", "load")  # of a test; all else are its figures


class LongTests(NamedTuple):
    """The report of one folder of long tests; `command` runs them and prints it."""

    title: str
    command: str
    introduction: tuple[str, ...]


LONG_TESTS = {
    "faults": LongTests(
        "Faults on a real Apache Kafka",
        "make test-faults",
        ("Each test also fails if a frame is neither reported nor counted as lost, or if a repeated report differs.",),
    ),
    "cameras": LongTests(
        "Live cameras",
        "make test-cameras",
        (
            "A GStreamer RTSP server on loopback plays cameras in H.264 (two slices per picture, parameter sets before "
            "each slice of a key frame) and in MJPEG, with digest authentication and a password full of special "
            "characters. `gradwatch attach` and an Apache Kafka run beside it as separate processes. Every picture "
            "carries its number. A test fails unless the numbers of each connection are consecutive, every "
            "disturbance is published on `health` within 5 s, and log, figures, metrics and topics contain no "
            "credentials.",
            "`told after s`: time from the command to the camera, or from the first picture of the new connection "
            "(reconnected), or from the refusal (unauthorized), until the record was published. Frozen is declared "
            "after 3 s, black and overexposed after 2 s, no frames after 3 s.",
            "The memory tests have no broker: each connection is cut after 60 kB and opened again at once.",
        ),
    ),
}


class NoFiguresError(MissingFileError):
    """No test has left figures yet."""


def collect(name: str, folder: Path) -> Figures:
    """The figures in `folder` of the tests `name` of `LONG_TESTS`, by test. Raises NoFiguresError."""
    tests = {path.stem: msgspec.json.decode(path.read_bytes()) for path in sorted(folder.glob("*.json"))}
    if not tests:
        raise NoFiguresError(f"expected figures of tests in {folder}, got none; run {LONG_TESTS[name].command}")
    return {"tests": tests}


def kept_report(name: str, figures: Figures) -> str:
    """The report of the tests `name` of `LONG_TESTS`: a section with a table of figures per test."""
    long_tests = LONG_TESTS[name]
    blocks: list[str | list[str]] = [*long_tests.introduction]
    for test in figures["tests"].values():
        short = ", short form" if test.get("quick") else ""
        rows = [[figure.replace("_", " "), _shown(value)] for figure, value in test.items() if figure not in LABELS]
        blocks += [
            f"## {str(test['title']).capitalize()}",
            f"Measured on {test['date']}{short}; {test['machine']}, load {test['load']}.",
            table(["figure", "value"], rows),
        ]
    return render(long_tests.title, long_tests.command, *blocks)


def _shown(value: object) -> str:
    return (counts(value) or "none") if isinstance(value, dict) else str(value)
