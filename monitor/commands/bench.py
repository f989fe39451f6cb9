"""`gradwatch bench`: what watching costs beside the networks that are watched."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from gradwatch.models.zoo import WEIGHTS

from ..benchmark import bench as measure
from ..benchmark import bench_report, figure_rows, surroundings
from ..config import load
from .options import ConfigOption, JsonOption


def bench(
    config: ConfigOption = None,
    rounds: Annotated[int, typer.Option(help="How often everything is measured.", min=1)] = 5,
    json: JsonOption = None,
    markdown: Annotated[Path | None, typer.Option(help="Also write a report to this file.")] = None,
) -> None:
    """Measure the monitor's own cost on one thread of this machine's CPU; takes about a minute."""
    weights = load(config).models.weights
    figures = measure(Path(weights) if weights else WEIGHTS, rounds) | surroundings()
    table = Table("figure", "min", "median", "max", "bar", title=f"{figures['machine']}, {figures['date']}")
    for row in figure_rows(figures):
        table.add_row(*row)
    console = Console()
    console.print(table)
    for name, note in figures["notes"].items():
        console.print(f"{name}: {note}")
    if json is not None:
        json.write_bytes(msgspec.json.format(msgspec.json.encode(figures), indent=2) + b"\n")
    if markdown is not None:
        markdown.parent.mkdir(parents=True, exist_ok=True)
        markdown.write_text(bench_report(figures, f"gradwatch bench --rounds {rounds} --markdown {markdown}"))
