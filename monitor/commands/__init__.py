"""The command line `gradwatch`: a file for each verb, which parses options and calls what does the work.

May import all of `monitor`; nothing but tests imports it. A verb's module is imported when the verb is called, so
`gradwatch --help` is fast, and an optional package that is missing stops only the verbs that need it.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from importlib import import_module
from typing import Annotated, Any, NamedTuple

import typer
from rich.console import Console
from typer.core import TyperGroup

from gradwatch import GradwatchError, MissingPackageError, __version__
from gradwatch.streams.observability.logs import configure_logging, scrub


class Verb(NamedTuple):
    """A verb: the folder of its module, its line in `gradwatch --help`, and the extra that its imports need."""

    folder: str
    help: str
    extra: str = ""


# The module `<folder>.<verb>` holds a function or a typer.Typer of the verb's name.
VERBS = {
    "demo": Verb("trials", "Watch two streams live, in both of which a challenge sets in; about two minutes."),
    "attach": Verb("streams", "Publish cameras live."),
    "replay": Verb("streams", "Publish a recording as one run of a stream."),
    "work": Verb("judging", "Judge the frames of a topic until stopped."),
    "calibrate": Verb("judging", "Calibrate a stream on clean recordings of its own camera."),
    "topics": Verb("streams", "Check the topics, create or mend them."),
    "config": Verb("trials", "Check a configuration file."),
    "doctor": Verb("trials", "Check this machine, and print what mends it."),
    "instrument": Verb("judging", "Make an ONNX detector or classifier return what gradient scores need."),
    "bench": Verb("trials", "Measure what watching costs: models (the default), path, scale, soak."),
    "evaluate": Verb("trials", "Evaluate alerts, scores, challenges, recordings; slow and resumable."),
    "evidence": Verb("review", "Keep the frames around each alert as files.", "evidence"),
    "dlq": Verb("streams", "List the records that could not be read, and send them back."),
    "review": Verb("review", "Serve the review page, or manage who may use it.", "review"),
}


def load_verb(name: str) -> Any:
    """Imports the command of a verb. Raises MissingPackageError where its extra is not installed."""
    verb = VERBS[name]
    try:
        found: typer.Typer | Callable[..., None] = getattr(import_module(f".{verb.folder}.{name}", __name__), name)
    except ModuleNotFoundError as error:
        if not verb.extra or (error.name or "").startswith("gradwatch"):
            raise
        raise MissingPackageError(
            f"gradwatch {name} needs the extra '{verb.extra}', no module {error.name} is installed: "
            f"pip install 'gradwatch[{verb.extra}]'"
        ) from error
    parent = typer.Typer()
    if isinstance(found, typer.Typer):
        parent.add_typer(found, name=name)
    else:
        parent.command(name)(found)
    return typer.main.get_group(parent).commands[name]


class _Verbs(TyperGroup):
    """Puts the real command in place of the line in the help once it is called."""

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        name, command, rest = super().resolve_command(ctx, args)
        return name, command if name is None else load_verb(name), rest


app = typer.Typer(
    name="gradwatch",
    cls=_Verbs,
    help="Watches road-scene networks on camera streams by their gradients at inference.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,  # settings may hold credentials
)


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"gradwatch {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


for _name, _verb in VERBS.items():
    app.command(_name, help=_verb.help)(lambda: None)


def main() -> None:
    """The command `gradwatch`."""
    configure_logging()
    try:
        app(prog_name="gradwatch")
    except GradwatchError as error:
        print_error(f"gradwatch: {error}")
        sys.exit(1)
    except Exception:
        print_error(traceback.format_exc())
        sys.exit(1)


def print_error(text: str) -> None:
    """Prints on standard error without credentials, since libraries quote settings in their errors."""
    Console(stderr=True).print(scrub(text), style="red", soft_wrap=True, markup=False, highlight=False)
