"""Paths that tests share."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
RUNS = ROOT / "runs"  # figures of long tests; git ignores it
MOTORWAY = ROOT / "tests" / "recordings" / "motorway.mp4"
GOLDEN = ROOT / "tests" / "golden"
