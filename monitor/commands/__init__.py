"""The command line: one verb a file, logic elsewhere."""

from __future__ import annotations

import sys
import traceback

import typer
from rich.console import Console

from gradwatch.models.onnx_runtime import DeviceError
from gradwatch.streams.dead_letters import NoDeadLetter
from gradwatch.streams.logs import configure_logging, scrub
from gradwatch.streams.messages import StreamIdError
from gradwatch.streams.status_server import PortUnavailable
from gradwatch.streams.transport.connection import BrokerRefused, BrokerUnavailable
from gradwatch.streams.transport.embedded import EmbeddedBrokerFull, EmbeddedBrokerMissing
from gradwatch.streams.transport.history import TopicMissing
from gradwatch.streams.video import VideoError

from ..calibration import CalibrationMismatchError, TooFewFramesError
from ..children import ChildError
from ..config import ConfigurationError
from ..state import StateFormatError
from ..topic_checks import TopicsUnfit
from .bench import bench
from .calibrate import calibrate
from .demo import demo
from .dlq import dlq
from .evaluate import evaluate
from .replay import replay
from .topics import topics
from .work import work

# What a user can mend: said in one line. Anything else is our mistake and keeps its traceback.
EXPECTED = (
    BrokerRefused,
    BrokerUnavailable,
    CalibrationMismatchError,
    ChildError,
    ConfigurationError,
    DeviceError,
    EmbeddedBrokerFull,
    EmbeddedBrokerMissing,
    FileNotFoundError,
    ModuleNotFoundError,
    NoDeadLetter,
    PortUnavailable,
    StateFormatError,
    StreamIdError,
    TooFewFramesError,
    TopicMissing,
    TopicsUnfit,
    VideoError,
)

app = typer.Typer(
    name="gradwatch",
    help="Watches road-scene networks on camera streams by their gradients at inference.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,  # settings may hold credentials
)
for verb in (demo, replay, work, calibrate, topics):
    app.command()(verb)
app.add_typer(bench, name="bench")
app.add_typer(evaluate, name="evaluate")
app.add_typer(dlq, name="dlq")


def main() -> None:
    """The command `gradwatch`."""
    configure_logging()
    try:
        app(prog_name="gradwatch")
    except EXPECTED as error:
        say(f"gradwatch: {error}")
        sys.exit(1)
    except Exception:
        say(traceback.format_exc())
        sys.exit(1)


def say(text: str) -> None:
    """Prints on standard error, without credentials: libraries put settings into their errors."""
    Console(stderr=True).print(scrub(text), style="red", soft_wrap=True, markup=False, highlight=False)
