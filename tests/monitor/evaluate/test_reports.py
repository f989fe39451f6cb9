"""The parts of reports, and the reports of long tests."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gradwatch.monitor.evaluate.kept_figures import LONG_TESTS, NoFiguresError, collect, kept_report
from gradwatch.monitor.evaluate.reports import cell, render, spread_rows, table, write


def test_paragraphs_and_tables_are_separated_by_blank_lines() -> None:
    title, *lines = render("Title", "make it", "text", table(["a", "b"], [["1", "2"]]), "end").split("\n")
    assert title == "# Title"
    assert lines[1].startswith("Reprinted by `make it` on ")
    assert lines[2:] == ["", "text", "", "| a | b |", "|---|---|", "| 1 | 2 |", "", "end", ""]


def test_values_that_are_not_there_are_dashes() -> None:
    assert [cell(value, ".2f") for value in (None, float("nan"), 1.0)] == ["-", "-", "1.00"]
    assert spread_rows({"x_ms": None}, {"x_ms": "<= 1"}) == [["x_ms", "-", "-", "-", "<= 1"]]


def test_figures_and_report_are_written_where_asked(tmp_path: Path) -> None:
    write({"a": 1}, "text", tmp_path / "new" / "a.json", None)
    assert json.loads((tmp_path / "new" / "a.json").read_bytes()) == {"a": 1}
    write({"a": 1}, "text", None, tmp_path / "a.md")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.md", "new"]


@pytest.mark.parametrize("name", LONG_TESTS)
def test_a_long_test_has_its_section(name: str, tmp_path: Path) -> None:
    labels = {"title": "a test", "date": "2026-01-02", "machine": "here", "load": 0.5}
    (tmp_path / "a_test.json").write_text(json.dumps(labels | {"gap_s": 1.5, "dropped": {}, "seen": {"judged": 3}}))
    text = kept_report(name, collect(name, tmp_path))
    assert "## A test\n\nMeasured on 2026-01-02; here, load 0.5.\n" in text
    assert "| gap s | 1.5 |\n| dropped | none |\n| seen | judged 3 |" in text


def test_missing_figures_name_the_command(tmp_path: Path) -> None:
    with pytest.raises(NoFiguresError, match="make test-faults"):
        collect("faults", tmp_path)
