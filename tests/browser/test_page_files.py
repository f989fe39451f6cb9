"""The page's files: nothing is loaded from other sites, no markup is made from data, every score has a name."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import gradwatch.monitor
from gradwatch.monitor.scorers import PEDESTRIAN_PREFIX, SCORERS

PAGE = Path(gradwatch.monitor.__file__).parent / "review" / "page"
TEXTS = sorted(path for path in PAGE.rglob("*") if path.suffix in {".html", ".js", ".css"})
# what turns a string into markup or code
SINKS = re.compile(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|srcdoc|javascript:")
ELSEWHERE = re.compile(r"(?:https?:)?//(?!www\.w3\.org/)[a-z0-9-]+\.[a-z]", re.IGNORECASE)
INLINE = re.compile(r"<style|\sstyle=|\son[a-z]+=|<script(?![^>]*\ssrc=)", re.IGNORECASE)


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.name)
def test_a_file_loads_nothing_from_other_sites_and_makes_no_markup(path: Path):
    text = path.read_text()
    assert SINKS.findall(text) == []
    assert ELSEWHERE.findall(text) == []
    assert path.suffix != ".html" or INLINE.findall(text) == []  # the Content-Security-Policy forbids it
    assert len(text.splitlines()) <= 400


def test_every_import_leads_to_a_file():
    for path in TEXTS:
        for name in re.findall(r'from "(\.[^"]+)"', path.read_text()):
            assert (path.parent / name).resolve().is_file(), f"{path.name}: {name}"


def test_every_score_has_a_name_and_a_description():
    names = json.loads((PAGE / "assets" / "score_names.json").read_text())
    wanted = {name.removeprefix(PEDESTRIAN_PREFIX) for name in SCORERS}
    assert wanted <= names.keys()
    assert all(entry["label"] and entry["what"] for entry in names.values())
