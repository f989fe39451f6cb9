"""Parts of a report: Markdown headings, tables and cells; the machine that figures depend on; the files."""

from __future__ import annotations

import math
import os
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

Figures = dict[str, Any]

SPREAD_HEADER = ["figure", "min", "median", "max", "bar"]


def render(title: str, command: str, *blocks: str | list[str]) -> str:
    """A report: its heading, then paragraphs (str) and tables (list of lines), with blank lines between."""
    lines = heading(title, command)
    for block in blocks:
        lines += block if isinstance(block, list) else [block, ""]
    return "\n".join(lines)


def heading(title: str, command: str) -> list[str]:
    """The first lines of a report: title, the command that makes it again, date and machine."""
    made = " on {date}, {machine}.".format_map(surroundings())
    return [f"# {title}", "", f"Reprinted by `{command}`{made}", ""]


def surroundings() -> dict[str, str]:
    """What figures depend on: `machine` and `date` (UTC)."""
    return {"machine": machine(), "date": f"{datetime.now(UTC):%Y-%m-%d}"}


def machine() -> str:
    """Processor, number of cores, Python version and operating system."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        names = [line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        model = names[0] if names else model
    return f"{model}, {os.cpu_count()} cores, Python {platform.python_version()}, {platform.system()}"


def table(header: list[str], rows: list[list[str]]) -> list[str]:
    """The lines of a Markdown table, with a blank one at the end."""
    return [
        "| " + " | ".join(header) + " |",
        "|" + "---|" * len(header),
        *("| " + " | ".join(row) + " |" for row in rows),
        "",
    ]


def spread_rows(spreads: Mapping[str, Mapping[str, float] | None], bars: Mapping[str, str]) -> list[list[str]]:
    """Rows under `SPREAD_HEADER`; a figure that could not be measured is None."""
    return [
        [name, *("-" if one is None else f"{one[part]:.4g}" for part in ("min", "median", "max")), bars.get(name, "")]
        for name, one in spreads.items()
    ]


def cell(value: float | None, form: str) -> str:
    """`value` formatted as `form`, or - for None and NaN."""
    return "-" if value is None or math.isnan(value) else format(value, form)


def counts(by_name: Mapping[str, int]) -> str:
    """`name count`, separated by commas."""
    return ", ".join(f"{name} {count}" for name, count in by_name.items())


def write(figures: Any, text: str, json: Path | None, markdown: Path | None) -> None:
    """Writes figures as JSON and their report as Markdown, each where a path is given; makes missing folders."""
    for path, content in (
        (json, msgspec.json.format(msgspec.json.encode(figures), indent=1) + b"\n"),
        (markdown, text.encode()),
    ):
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
