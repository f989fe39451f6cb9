"""`gradwatch evidence`: keep the frames around each alert as files, and look into one."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import structlog
import typer
from msgspec.structs import replace
from rich.console import Console
from rich.table import Table

from gradwatch.streams.observability.health import Health
from gradwatch.streams.observability.metrics import STREAMS
from gradwatch.streams.observability.status_server import serving
from gradwatch.streams.transport.consumer import FrameConsumer
from gradwatch.streams.transport.producer import BoundedProducer
from gradwatch.streams.transport.ranges import TopicRanges

from ...config import Configuration, ConfigurationError, load
from ...evidence.format import EvidenceError, require_extra
from ...evidence.settings import EvidenceSettings
from ...letters import escaped
from ...worker.build import topics_of
from ...worker.startup import check_broker
from ..options import BootstrapOption, ConfigOption
from ..streams.topics import mending_command

if TYPE_CHECKING:
    from ...evidence.folder import Reviewed

log = structlog.get_logger()

evidence = typer.Typer(help="Keep the frames around each alert as files.", invoke_without_command=True)


@evidence.callback()
def follow(
    context: typer.Context,
    config: ConfigOption = None,
    bootstrap_servers: BootstrapOption = None,
    folder: Annotated[Path | None, typer.Option(help="Where files are kept; overrides evidence.folder.")] = None,
    max_bytes: Annotated[int | None, typer.Option(help="Of all files; overrides evidence.max_bytes.", min=1)] = None,
    database: Annotated[
        str | None, typer.Option(help="Says which alerts were reviewed; overrides review.database.")
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="Leave once all alerts that there are have their file.")] = False,
    wait: Annotated[
        bool, typer.Option(help="Wait for a broker that does not answer, else leave with an error.")
    ] = False,
) -> None:
    """Keep the frames around each alert as an MCAP file until stopped (SIGTERM or Ctrl-C)."""
    if context.invoked_subcommand is not None:
        return
    require_extra()
    configuration = load(config)
    if bootstrap_servers:
        configuration = replace(
            configuration, broker=replace(configuration.broker, bootstrap_servers=bootstrap_servers)
        )
    given = {"folder": None if folder is None else str(folder), "max_bytes": max_bytes}
    settings = configuration.evidence
    settings = replace(settings, **{name: value for name, value in given.items() if value is not None})
    if database is not None:
        configuration = replace(configuration, review=replace(configuration.review, database=database))
    STREAMS.limit = configuration.worker.metrics_streams
    STREAMS.reserve(configuration.streams)
    health = Health(configuration.worker.unhealthy_after_s)
    with serving(settings.metrics_port, settings.metrics_address, health):
        check_broker(configuration, mending_command(config, bootstrap_servers), wait)
        _serve(configuration, settings, health, once)


@evidence.command()
def show(file: Annotated[Path, typer.Argument(help="An evidence file.")]) -> None:
    """Print what is in an evidence file."""
    require_extra()
    from ...evidence.reading import read_outline, topic_counts

    try:
        found, counts = read_outline(file), topic_counts(file)
    except EvidenceError as error:
        raise typer.BadParameter(str(error)) from error
    console = Console(highlight=False, markup=False, soft_wrap=True)
    for name, value in found.metadata.items():
        console.print(f"{name:<17} {escaped(value.encode())}")
    for alert in found.alerts:
        said = f"{alert.revision}: {alert.state}, {alert.severity}, {escaped(alert.reason.encode())}"
        console.print(f"{'alert revision':<17} {said}")
    table = Table("topic", "messages")
    for topic, count in counts.items():
        table.add_row(escaped(topic.encode()), str(count))
    console.print(table)


def _serve(configuration: Configuration, settings: EvidenceSettings, health: Health, once: bool) -> None:
    from ...evidence.folder import EvidenceFolder
    from ...evidence.service import EvidenceService
    from ...evidence.windows import WindowSource

    broker, topics = configuration.broker, topics_of(configuration)
    try:
        kept = EvidenceFolder(Path(settings.folder), settings.max_bytes, _reviewed(configuration.review.database))
    except OSError as error:
        raise ConfigurationError(f"evidence.folder: expected a folder that can be used, got {error}") from error
    with (
        TopicRanges(broker.bootstrap_servers, broker.client) as ranges,
        BoundedProducer(broker.bootstrap_servers, broker.client) as producer,
    ):
        consumer = FrameConsumer(broker.bootstrap_servers, topics.alerts, settings.group_id, broker.client)
        service = EvidenceService(consumer, WindowSource(ranges, topics), producer, kept, settings.patience_s, health)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: service.stop())
        log.info("keeping evidence", alerts=topics.alerts, folder=str(kept.root), stored_bytes=kept.size_bytes)
        service.run(once)
    log.info("stopped", files=service.written)


def _reviewed(database: str) -> Reviewed:
    """Asks the review database; without the libraries for it no alert counts as reviewed."""
    from ...evidence.folder import nobody

    try:
        from ...review.store.database import DatabaseUnavailableError
        from ...review.store.reviewed import ReviewedAlerts

        return ReviewedAlerts(database)
    except ModuleNotFoundError as error:
        log.info("evidence goes by age, reviewed or not", reason=f"{error}: pip install 'gradwatch[review]'")
        return nobody
    except DatabaseUnavailableError as error:
        raise ConfigurationError(f"review.database: {error}") from error
