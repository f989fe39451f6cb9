"""The command line: one verb a file, logic elsewhere."""

from __future__ import annotations

import sys
import traceback

import typer
from rich.console import Console

from gradwatch import GradwatchError
from gradwatch.streams.observability.logs import configure_logging, scrub

from .judging.calibrate import calibrate
from .judging.instrument import instrument
from .judging.work import work
from .review.evidence import evidence
from .review.review import review
from .streams.attach import attach
from .streams.dlq import dlq
from .streams.replay import replay
from .streams.topics import topics
from .trials.bench import bench
from .trials.demo import demo
from .trials.doctor import doctor
from .trials.evaluate import evaluate

app = typer.Typer(
    name="gradwatch",
    help="Watches road-scene networks on camera streams by their gradients at inference.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,  # settings may hold credentials
)
for verb in (demo, attach, replay, work, calibrate, topics, doctor, instrument):
    app.command()(verb)
app.add_typer(bench, name="bench")
app.add_typer(evaluate, name="evaluate")
app.add_typer(evidence, name="evidence")
app.add_typer(dlq, name="dlq")
app.add_typer(review, name="review")


def main() -> None:
    """The command `gradwatch`."""
    configure_logging()
    try:
        app(prog_name="gradwatch")
    except GradwatchError as error:
        say(f"gradwatch: {error}")
        sys.exit(1)
    except Exception:
        say(traceback.format_exc())
        sys.exit(1)


def say(text: str) -> None:
    """Prints on standard error, without credentials: libraries put settings into their errors."""
    Console(stderr=True).print(scrub(text), style="red", soft_wrap=True, markup=False, highlight=False)
