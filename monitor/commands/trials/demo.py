"""`gradwatch demo`: two streams, a challenge, alerts; about two minutes on one machine."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer
from msgspec import Meta
from rich.console import Console

from gradwatch.ranges import ChallengeLevel, Seed
from gradwatch.streams.challenges.table import CHALLENGES

from ...children import end_by_exception
from ...demo.pictures import DemoSettings
from ...demo.run import run_demo
from ..options import JsonOption, OutputError, numeric, write_json

DemoSeconds = Annotated[float, Meta(ge=10, le=86_400)]
DemoRate = Annotated[float, Meta(ge=1, le=100)]


def demo(
    seconds: Annotated[float, numeric(DemoSeconds, "Length of the live part.")] = 60.0,
    rate: Annotated[float, numeric(DemoRate, "Frames a second and stream.")] = 5.0,
    challenge: Annotated[str, typer.Option(help=f"One of {', '.join(CHALLENGES)}.")] = "rain",
    level: Annotated[int, numeric(ChallengeLevel, "Level of the challenge.")] = 5,
    seed: Annotated[int, numeric(Seed, "Random seed of drive and challenge.")] = 1,
    headless: Annotated[bool, typer.Option(help="Print lines, even on a terminal.")] = False,
    review: Annotated[
        bool | None, typer.Option(help="Serve the review page until Ctrl-C. Default: on a terminal.")
    ] = None,
    folder: Annotated[Path, typer.Option(help="Folder for pictures, videos and logs.")] = Path("runs/demo"),
    json: JsonOption = None,
) -> None:
    """Watch two streams live: a synthetic town and a real motorway, in both of which a challenge sets in."""
    if challenge not in CHALLENGES:
        raise typer.BadParameter(
            f"expected one of {', '.join(CHALLENGES)}, got {challenge!r}", param_hint="--challenge"
        )
    end_by_exception()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"--folder: expected a folder that can be written, got {error}") from error
    console = Console(force_terminal=False) if headless else Console()
    settings = DemoSettings(folder.absolute(), seconds, rate, challenge, level, seed)
    figures = run_demo(settings, console, _serves_page(console) if review is None else review)
    write_json(json, figures)
    console.print(f"videos, stills and logs are in {folder}")


def _serves_page(console: Console) -> bool:
    """Whether the console is a terminal and the extras of the review page are installed."""
    missing = [name for name in ("fastapi", "sqlalchemy", "mcap") if find_spec(name) is None]
    if console.is_terminal and missing:
        console.print("no review page: it needs pip install 'gradwatch[review,evidence]'", markup=False)
    return console.is_terminal and not missing
