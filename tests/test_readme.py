"""What the README says is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gradwatch.monitor.scorers import SCORERS

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()


@pytest.mark.parametrize("package", ["streams", "models", "monitor"])
def test_the_tree_names_every_file(package):
    tree = README.split("## The tree")[1]
    part = tree.split(f"\n{package}/ ")[1]
    listed = set(re.findall(r"^  (\S+\.py)", re.split(r"\n\S", part)[0], re.MULTILINE))
    files = {
        str(path.relative_to(ROOT / package))
        for path in (ROOT / package).rglob("*.py")
        if path.name not in ("__init__.py", "__main__.py")
    }
    assert listed == files


def test_its_links_lead_somewhere():
    for link in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / link).exists(), link


def test_methods_describes_every_score():
    methods = (ROOT / "docs" / "methods.md").read_text()
    for name in SCORERS:
        assert f"`{name}`" in methods, name
