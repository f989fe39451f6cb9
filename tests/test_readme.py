"""The README names what is there, and every module says what it is."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from gradwatch.monitor.scorers import SCORERS

from .places import DOCS, ROOT

README = (ROOT / "README.md").read_text()
PACKAGES = ("streams", "models", "monitor")


def modules() -> list[Path]:
    """Every module of the three packages, relative to the repository."""
    return [path.relative_to(ROOT) for package in PACKAGES for path in (ROOT / package).rglob("*.py")]


def first_line(path: Path) -> str:
    """What a module's docstring begins with."""
    return (ast.get_docstring(ast.parse((ROOT / path).read_text())) or "").split("\n\n")[0].replace("\n", " ")


@pytest.mark.parametrize("path", modules(), ids=str)
def test_every_module_says_what_it_is(path: Path) -> None:
    assert first_line(path)


@pytest.mark.parametrize("package", PACKAGES)
def test_the_tree_names_every_folder(package: str) -> None:
    part = README.split("## The tree")[1].split(f"\n{package}/ ")[1]
    listed = set(re.findall(r"^  (\S+)/ ", re.split(r"\n\S", part)[0], re.MULTILINE))
    folders = {path.parts[1] for path in modules() if path.parts[0] == package and len(path.parts) > 2}
    assert folders <= listed


def test_its_links_lead_somewhere() -> None:
    for link in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / link).exists(), link


def test_methods_describes_every_score() -> None:
    methods = (DOCS / "methods.md").read_text()
    for name in SCORERS:
        assert f"`{name}`" in methods, name
