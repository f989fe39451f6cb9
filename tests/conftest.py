"""Fixtures that several tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of development data; tests that need it skip where it is absent."""
    folder = Path(os.environ.get("GRADWATCH_SHARED", ROOT.parent / "shared"))
    if not (folder / "data").is_dir():
        pytest.skip(f"development data not found at {folder} (set GRADWATCH_SHARED)")
    return folder
