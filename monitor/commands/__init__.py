"""The command line: one verb a file, logic elsewhere."""

from __future__ import annotations

import sys
import traceback

import typer
from rich.console import Console

from gradwatch.models.manifest import InstrumentationError, NotInstrumentedError
from gradwatch.models.onnx_runtime import DeviceError
from gradwatch.streams.camera_address import CameraAddressError
from gradwatch.streams.camera_reading import CameraFailure
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
from .attach import attach
from .bench import bench
from .calibrate import calibrate
from .demo import demo
from .dlq import dlq
from .doctor import doctor
from .evaluate import evaluate
from .evidence import evidence
from .instrument import instrument
from .replay import replay
from .review import review
from .topics import topics
from .work import work

# What a user can mend: said in one line. Anything else is our mistake and keeps its traceback.
EXPECTED = (
    BrokerRefused,
    BrokerUnavailable,
    CalibrationMismatchError,
    CameraAddressError,
    CameraFailure,
    ChildError,
    ConfigurationError,
    DeviceError,
    EmbeddedBrokerFull,
    EmbeddedBrokerMissing,
    FileNotFoundError,
    InstrumentationError,
    ModuleNotFoundError,
    NoDeadLetter,
    NotInstrumentedError,
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
    except EXPECTED as error:
        say(f"gradwatch: {error}")
        sys.exit(1)
    except Exception:
        say(traceback.format_exc())
        sys.exit(1)


def say(text: str) -> None:
    """Prints on standard error, without credentials: libraries put settings into their errors."""
    Console(stderr=True).print(scrub(text), style="red", soft_wrap=True, markup=False, highlight=False)
