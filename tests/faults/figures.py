"""Figures of long tests, kept in `runs/` so that an interrupted series can go on where it was."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from gradwatch.monitor.evaluate.reports import machine

from ..places import ROOT

QUICK_VARIABLE, AGAIN_VARIABLE = "GRADWATCH_FAULTS_QUICK", "GRADWATCH_FAULTS_AGAIN"


class Figures:
    """What a long test measured, as one file; `about` is what its form was."""

    def __init__(self, path: Path, title: str, **about: object) -> None:
        self._path, self._title, self._about = path, title, about

    def keep(self, figures: dict[str, Any]) -> None:
        """Writes the file: `figures`, and when and on what machine they were measured."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        kept = {
            "title": self._title,
            **self._about,
            "date": f"{datetime.now(UTC):%Y-%m-%d}",
            "machine": machine(),
            "load": round(os.getloadavg()[1], 1),
        }
        self._path.write_text(json.dumps(kept | figures, indent=2) + "\n")


def is_quick() -> bool:
    """Whether the short form of a long test was asked for."""
    return bool(os.environ.get(QUICK_VARIABLE))


def open_figures(path: Path, **about: object) -> Figures:
    """Figures to be kept at `path`; skips the test where they are there already.

    Those of a short form (`about` has `quick`) are replaced by a run of the long one.
    """
    if path.is_file() and not os.environ.get(AGAIN_VARIABLE):
        replaced = not about.get("quick", True) and json.loads(path.read_text())["quick"]
        if not replaced:
            pytest.skip(f"figures are kept in {path.relative_to(ROOT)}; {AGAIN_VARIABLE}=1 runs it again")
    return Figures(path, path.stem.replace("_", " "), **about)
