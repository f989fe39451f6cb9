"""The command line: one verb a file, logic elsewhere."""

from __future__ import annotations

import sys

import typer
from rich.console import Console

from gradwatch.models.onnx_runtime import DeviceError
from gradwatch.streams.messages import StreamIdError
from gradwatch.streams.transport.embedded import EmbeddedBrokerFull, EmbeddedBrokerMissing
from gradwatch.streams.transport.producer import BrokerUnavailable
from gradwatch.streams.video import VideoError

from ..calibration import CalibrationMismatchError, TooFewFramesError
from ..children import ChildError
from ..config import ConfigurationError
from ..state import StateFormatError
from .bench import bench
from .calibrate import calibrate
from .demo import demo
from .evaluate import evaluate
from .replay import replay
from .topics import topics
from .work import work

# What a user can mend: said in one line. Anything else is our mistake and keeps its traceback.
EXPECTED = (
    BrokerUnavailable,
    CalibrationMismatchError,
    ChildError,
    ConfigurationError,
    DeviceError,
    EmbeddedBrokerFull,
    EmbeddedBrokerMissing,
    FileNotFoundError,
    ModuleNotFoundError,
    StateFormatError,
    StreamIdError,
    TooFewFramesError,
    VideoError,
)

app = typer.Typer(
    name="gradwatch",
    help="Watches road-scene networks on camera streams by their gradients at inference.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,  # settings may hold credentials
)
for verb in (demo, replay, work, calibrate, topics, bench):
    app.command()(verb)
app.add_typer(evaluate, name="evaluate")


def main() -> None:
    """The command `gradwatch`."""
    try:
        app(prog_name="gradwatch")
    except EXPECTED as error:
        Console(stderr=True).print(f"gradwatch: {error}", style="red", soft_wrap=True, markup=False, highlight=False)
        sys.exit(1)
