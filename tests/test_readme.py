"""What the README and the list of modules say is there. `python -m tests.test_readme` writes `docs/modules.md` anew."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from pathlib import Path

import pytest

from gradwatch.monitor.scorers import SCORERS
from tests.places import DOCS, ROOT

README = (ROOT / "README.md").read_text()
MODULES = DOCS / "modules.md"
PACKAGES = ("streams", "models", "monitor")


def modules() -> list[Path]:
    """Every module of the three packages, relative to the repository."""
    return [path.relative_to(ROOT) for package in PACKAGES for path in (ROOT / package).rglob("*.py")]


def listing(paths: Iterable[Path]) -> str:
    """`docs/modules.md`: the first line of every module's docstring, folder by folder."""
    folders: dict[Path, list[Path]] = {}
    for path in sorted(paths):
        folders.setdefault(path.parent, []).append(path)
    lines = ["# Modules", "", "Written by `python -m tests.test_readme` from the modules' own first lines."]
    for folder in sorted(folders, key=lambda folder: (PACKAGES.index(folder.parts[0]), folder)):
        rows = [f"- `{path.name}`: {first_line(path)}" for path in folders[folder] if path.name[0] != "_"]
        own = folder / "__init__.py"
        lines += ["", f"## {folder}", "", *([first_line(own), ""] if own in folders[folder] else []), *rows]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).rstrip() + "\n"


def first_line(path: Path) -> str:
    """What a module's docstring begins with."""
    return (ast.get_docstring(ast.parse((ROOT / path).read_text())) or "").split("\n\n")[0].replace("\n", " ")


@pytest.mark.parametrize("path", modules(), ids=str)
def test_every_module_says_what_it_is(path: Path) -> None:
    assert first_line(path)


def test_the_list_of_modules_is_up_to_date() -> None:
    assert MODULES.read_text() == listing(modules())


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


if __name__ == "__main__":
    MODULES.write_text(listing(modules()))
