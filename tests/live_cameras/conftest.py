"""Topics on a broker, and figures that are kept between runs."""

from __future__ import annotations

import json
import os
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from gradwatch.monitor.evaluate.reports import machine
from gradwatch.streams.transport.admin import ensure_topics
from gradwatch.streams.wire.topics import Topics

AGAIN_VARIABLE = "GRADWATCH_FAULTS_AGAIN"
KEPT = Path(__file__).resolve().parents[2] / "runs" / "cameras"


@pytest.fixture
def topics(kafka: str) -> Topics:
    """Fresh topics, frames with four partitions."""
    prefix = f"t{uuid.uuid4().hex[:8]}."
    names = Topics(prefix, prefix + "frames")
    ensure_topics(kafka, names, 4)
    return names


class Figures:
    """The measurements of a long test, kept in one file so that it need not run again."""

    def __init__(self, path: Path, title: str) -> None:
        self._path, self._title = path, title

    def keep(self, figures: dict[str, Any]) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        kept = {
            "title": self._title,
            "date": f"{datetime.now(UTC):%Y-%m-%d}",
            "machine": machine(),
            "load": round(os.getloadavg()[1], 1),
        }
        self._path.write_text(json.dumps(kept | figures, indent=2) + "\n")


@pytest.fixture
def figures(request: pytest.FixtureRequest) -> Figures:
    """Skips the test where its figures are kept already."""
    name = request.node.name.removeprefix("test_").replace("[", "_").rstrip("]")
    path = KEPT / f"{name}.json"
    if path.is_file() and not os.environ.get(AGAIN_VARIABLE):
        pytest.skip(f"figures are kept in {path.relative_to(KEPT.parents[1])}; {AGAIN_VARIABLE}=1 runs it again")
    return Figures(path, name.replace("_", " "))
