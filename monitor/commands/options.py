"""Options and set-up that several verbs share."""

from __future__ import annotations

import shlex
import signal
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from msgspec.structs import replace

from gradwatch import GradwatchError
from gradwatch.ranges import Port, checked, span
from gradwatch.streams.observability.health import Health
from gradwatch.streams.observability.metrics import STREAMS

from ..config import Configuration, load


def numeric(kind: Any, help: str, *names: str) -> Any:
    """An option that is a number of `kind`, one of `gradwatch.ranges`; its help shows the range."""

    def parse(given: Any) -> Any:
        try:
            return checked(given, kind)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from None

    return typer.Option(*names, help=help, parser=parse, metavar=span(kind))


ConfigOption = Annotated[
    Path | None, typer.Option("--config", "-c", help="YAML file, see deploy/gradwatch.yaml; default: all defaults.")
]
BootstrapOption = Annotated[
    str | None, typer.Option("--bootstrap-servers", "-b", help="Kafka, HOST:PORT[,…]; overrides the configuration.")
]
WaitOption = Annotated[bool, typer.Option(help="Wait for a broker that does not answer, instead of failing.")]
MetricsPortOption = Annotated[int | None, numeric(Port, "Serve /metrics, /healthz and /readyz on this port.")]
MetricsAddressOption = Annotated[str, typer.Option(help="Address of that port; 0.0.0.0 opens it to the network.")]
JsonOption = Annotated[Path | None, typer.Option("--json", help="Also write the figures to this file.")]

TopicOption = Annotated[str | None, typer.Option(help="Topic of a bag to play; needed where several have pictures.")]
TrackOption = Annotated[
    str | None, typer.Option(metavar="NUMBER", help="Track of a video to play, from 0. Default: the first film.")
]


class OutputError(GradwatchError):
    """A file or folder that the user named can't be written."""


def load_configuration(config: Path | None, bootstrap_servers: str | None = None) -> Configuration:
    """The configuration of --config, with the broker of --bootstrap-servers. Raises ConfigurationError."""
    configuration = load(config)
    if bootstrap_servers:
        broker = replace(configuration.broker, bootstrap_servers=bootstrap_servers)
        configuration = replace(configuration, broker=broker)
    return configuration


def given(**options: Any) -> dict[str, Any]:
    """The options that were given, to replace settings of the same names."""
    return {name: value for name, value in options.items() if value is not None}


def mend_topics_command(config: Path | None, bootstrap_servers: str | None) -> str:
    """The command that sets the topics right, with the options that were given."""
    options = [] if config is None else ["--config", str(config)]
    options += [] if bootstrap_servers is None else ["--bootstrap-servers", bootstrap_servers]
    return shlex.join(["gradwatch", "topics", "--mend", *options])


def service_health(configuration: Configuration) -> Health:
    """The health of a service; reserves metric labels for the configured streams."""
    STREAMS.limit = configuration.worker.metrics_streams
    STREAMS.reserve(configuration.streams)
    return Health(configuration.worker.unhealthy_after_s)


def stop_on_signal(stop: Callable[[], None]) -> None:
    """From here on SIGTERM and Ctrl-C call `stop`."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop())


def refuse_overwriting(out: Path, inputs: Iterable[Path]) -> None:
    """Raises OutputError where the file to write is one of those to read, by whatever name."""
    for path in inputs:
        if out.exists() and path.exists() and out.samefile(path):
            raise OutputError(f"--out: expected another file than {path}, which is read, got {out}")


def write_output(path: Path, content: bytes | str) -> None:
    """Writes a file that the user named, and makes its folder. Raises OutputError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    except OSError as error:
        raise OutputError(f"expected to write {path}, got {error}") from error


def write_json(path: Path | None, figures: Any) -> None:
    """Writes the figures of --json, if it was given. Raises OutputError."""
    if path is not None:
        write_output(path, msgspec.json.format(msgspec.json.encode(figures), indent=2) + b"\n")
