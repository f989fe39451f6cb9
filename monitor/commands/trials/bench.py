"""`gradwatch bench …`: the cost of monitoring and of the path through Kafka, throughput, and memory over time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from msgspec import Meta
from rich.console import Console
from rich.table import Table

from gradwatch.models.zoo import WEIGHTS
from gradwatch.ranges import Rounds

from ...bench.monitor_cost import bench as measure
from ...bench.monitor_cost import bench_report, figure_rows
from ...bench.path import bench_path, path_report, path_rows
from ...bench.scale import PROCESSES, SCALE_HEADER, bench_scale, scale_report, scale_rows
from ...bench.soak import HEADER, bench_soak, soak_report, soak_rows
from ...children import end_by_exception
from ...config import load
from ...evaluate.reports import SPREAD_HEADER, Figures, surroundings, write
from ..options import BootstrapOption, ConfigOption, JsonOption, numeric

bench = typer.Typer(help="Measure: models (the default), path, scale, soak.")

FramesRead = Annotated[int, Meta(ge=150, le=1_000_000)]
FramesMeasured = Annotated[int, Meta(ge=4, le=1_000_000)]
Workers = Annotated[int, Meta(ge=1, le=64)]
Minutes = Annotated[float, Meta(ge=1, le=10_080)]  # up to a week
RoundsOption = Annotated[int, numeric(Rounds, "How often to measure everything.")]
MarkdownOption = Annotated[Path | None, typer.Option(help="Also write a report to this file.")]


@bench.callback(invoke_without_command=True)
def bench_default(
    context: typer.Context,
    config: ConfigOption = None,
    rounds: RoundsOption = 5,
    json: JsonOption = None,
    markdown: MarkdownOption = None,
) -> None:
    """Measure; without a subcommand as `bench models` does."""
    end_by_exception()
    if context.invoked_subcommand is None:
        models(config, rounds, json, markdown)


@bench.command()
def models(
    config: ConfigOption = None, rounds: RoundsOption = 5, json: JsonOption = None, markdown: MarkdownOption = None
) -> None:
    """The monitor's own cost on one thread of this machine's CPU, beside the networks; takes about a minute."""
    weights = load(config).models.weights
    figures = measure(Path(weights) if weights else WEIGHTS, rounds)
    _show(figures, SPREAD_HEADER, figure_rows, bench_report, f"--rounds {rounds}", json, markdown)
    for name, note in figures["notes"].items():
        Console().print(f"{name}: {note}")


@bench.command()
def path(
    config: ConfigOption = None,
    bootstrap_servers: BootstrapOption = None,
    rounds: RoundsOption = 5,
    frames: Annotated[int, numeric(FramesRead, "Frames read by each side in a round.")] = 600,
    json: JsonOption = None,
    markdown: MarkdownOption = None,
) -> None:
    """Our consume-publish loop against kafka-python alone, then stage after stage; a few minutes.

    Without --bootstrap-servers it starts an Apache Kafka from KAFKA_HOME, or else the embedded broker.
    """
    figures = bench_path(load(config), bootstrap_servers, rounds, frames)
    words = f"path --rounds {rounds} --frames {frames}"
    _show(figures, SPREAD_HEADER, path_rows, path_report, words, json, markdown)
    for stage, one in figures["stages"].items():
        Console().print(f"up to {stage}: {one['wall_us']:.0f} µs a frame, {one['cpu_us']:.0f} µs of processor time")


@bench.command()
def scale(
    config: ConfigOption = None,
    bootstrap_servers: BootstrapOption = None,
    rounds: RoundsOption = 3,
    frames: Annotated[int, numeric(FramesMeasured, "Frames in each measurement.")] = 200,
    processes: Annotated[
        list[int] | None, numeric(Workers, "Number of workers, may be repeated; default: 1, 2, 4.")
    ] = None,
    json: JsonOption = None,
    markdown: MarkdownOption = None,
) -> None:
    """Throughput of 1, 2, 4 worker processes by partitions; a few minutes. Brokers as for `path`."""
    counts = tuple(processes or PROCESSES)
    figures = bench_scale(load(config), bootstrap_servers, counts, rounds, frames)
    words = f"scale --rounds {rounds} --frames {frames}"
    _show(figures, SCALE_HEADER, scale_rows, scale_report, words, json, markdown)


@bench.command()
def soak(
    config: ConfigOption = None,
    bootstrap_servers: BootstrapOption = None,
    minutes: Annotated[float, numeric(Minutes, "Duration.")] = 30.0,
    json: JsonOption = None,
    markdown: MarkdownOption = None,
) -> None:
    """Memory and frame age of a worker on two streams at 5 Hz over half an hour. Brokers as for `path`."""
    figures = bench_soak(load(config), bootstrap_servers, minutes, Console(stderr=True).print)
    _show(figures, HEADER, soak_rows, soak_report, f"soak --minutes {minutes:g}", json, markdown)


def _show(
    figures: Figures,
    header: list[str],
    rows: Callable[[Figures], list[list[str]]],
    report: Callable[[Figures, str], str],
    words: str,
    json: Path | None,
    markdown: Path | None,
) -> None:
    """Prints the figures as a table, and writes them and their report; `words` of the command make them again."""
    where = surroundings()
    table = Table(*header, title=f"{where['machine']}, {where['date']}")
    for row in rows(figures):
        table.add_row(*row)
    Console().print(table)
    write(figures | where, report(figures, f"gradwatch bench {words} --markdown {markdown}"), json, markdown)
