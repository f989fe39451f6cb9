"""What the long tests of live cameras measured -> one report; the tests keep one file each under runs/cameras."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from .faults import LABELS, NoFiguresError
from .reports import heading, table

Figures = dict[str, Any]
COMMAND = "pytest -m faults tests/cameras"
INTRODUCTION = (
    "A GStreamer RTSP server on loopback plays cameras in H.264 (two slices a picture, parameter sets before each "
    "slice of a key frame) and in MJPEG, with digest authentication and a password full of special letters. `gradwatch "
    "attach` and an Apache Kafka are processes of their own beside it. Every picture carries its number. A test fails "
    "unless the numbers of each connection follow one another without a hole or a repeat, every disturbance is told on "
    "`health` within 5 s, and log, figures, metrics and topics hold no credential.",
    "",
    "`told after s`: from the command to the camera, or from the first picture of the new connection (reconnected), or "
    "from the refusal (unauthorized), until the record was published. Frozen counts after 3 s, black and overexposed "
    "after 2 s, no frames after 3 s.",
    "",
    "The tests of memory have no broker: each connection is cut after 60 kB and made again at once.",
)


def collect(folder: Path) -> Figures:
    """Figures of every test by its name. Raises NoFiguresError."""
    tests = {path.stem: msgspec.json.decode(path.read_bytes()) for path in sorted(folder.glob("*.json"))}
    if not tests:
        raise NoFiguresError(f"expected figures of tests in {folder}, got none; {COMMAND} makes them")
    return {"tests": tests}


def cameras_report(figures: Figures) -> str:
    """The report of `gradwatch evaluate cameras`."""
    lines = heading("Live cameras", f"{COMMAND}` and `gradwatch evaluate cameras")
    lines += [*INTRODUCTION, ""]
    for test in figures["tests"].values():
        lines += [
            f"## {str(test['title']).capitalize()}",
            "",
            f"Measured on {test['date']}; {test['machine']}, load {test['load']}.",
            "",
        ]
        rows = [[name.replace("_", " "), _words(value)] for name, value in test.items() if name not in LABELS]
        lines += table(["figure", "value"], rows)
    return "\n".join(lines)


def _words(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {count}" for name, count in value.items()) or "none"
    return str(value)
