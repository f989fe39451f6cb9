"""`gradwatch evidence`: keep the frames around each alert as files, and print what is in one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import structlog
import typer
from msgspec.structs import replace
from rich.console import Console
from rich.table import Table

from gradwatch.ranges import Bytes
from gradwatch.streams.observability.health import Health
from gradwatch.streams.observability.status_server import serving
from gradwatch.streams.transport.consumer import FrameConsumer
from gradwatch.streams.transport.producer import BoundedProducer
from gradwatch.streams.transport.ranges import TopicRanges

from ...config import Configuration, ConfigurationError
from ...evidence.folder import EvidenceFolder, ReviewedAlerts
from ...evidence.mcap_reader import read_outline, topic_counts
from ...evidence.scan import WindowSource
from ...evidence.service import EvidenceService
from ...evidence.settings import EvidenceSettings
from ...letters import escaped
from ...worker.build import topics_of
from ...worker.startup import check_broker
from .. import options
from ..options import BootstrapOption, ConfigOption, WaitOption, numeric

log = structlog.get_logger()

evidence = typer.Typer(help="Keep the frames around each alert as files.", invoke_without_command=True)


@evidence.callback()
def follow(
    context: typer.Context,
    config: ConfigOption = None,
    bootstrap_servers: BootstrapOption = None,
    folder: Annotated[Path | None, typer.Option(help="Folder of the files; overrides evidence.folder.")] = None,
    max_bytes: Annotated[int | None, numeric(Bytes, "Of all files; overrides evidence.max_bytes.")] = None,
    database: Annotated[
        str | None, typer.Option(help="Knows which alerts were reviewed; overrides review.database.")
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="Stop once every alert on the topic has its file.")] = False,
    wait: WaitOption = False,
) -> None:
    """Keep the frames around each alert as an MCAP file until stopped (SIGTERM or Ctrl-C)."""
    if context.invoked_subcommand is not None:
        return
    configuration = options.load_configuration(config, bootstrap_servers)
    path = None if folder is None else str(folder)
    settings = replace(configuration.evidence, **options.given(folder=path, max_bytes=max_bytes))
    health = options.service_health(configuration)
    with serving(settings.metrics_port, settings.metrics_address, health):
        check_broker(configuration, options.mend_topics_command(config, bootstrap_servers), wait)
        files = _open_folder(settings, configuration.review.database if database is None else database)
        _serve(configuration, settings, files, health, once)


@evidence.command()
def show(file: Annotated[Path, typer.Argument(help="An evidence file.")]) -> None:
    """Print the metadata, alert revisions and message counts of an evidence file."""
    found, counts = read_outline(file), topic_counts(file)
    console = Console(highlight=False, markup=False, soft_wrap=True)
    for name, value in found.metadata.items():
        console.print(f"{name:<17} {escaped(value.encode())}")
    for alert in found.alerts:
        reason = escaped(alert.reason.encode())
        console.print(f"{'alert revision':<17} {alert.revision}: {alert.state}, {alert.severity}, {reason}")
    table = Table("topic", "messages")
    for topic, count in counts.items():
        table.add_row(escaped(topic.encode()), str(count))
    console.print(table)


def _serve(
    configuration: Configuration, settings: EvidenceSettings, files: EvidenceFolder, health: Health, once: bool
) -> None:
    servers, client = configuration.broker.bootstrap_servers, configuration.broker.client
    topics = topics_of(configuration)
    with TopicRanges(servers, client) as ranges, BoundedProducer(servers, client) as producer:
        consumer = FrameConsumer(servers, topics.alerts, settings.group_id, client)
        service = EvidenceService(consumer, WindowSource(ranges, topics), producer, files, settings.patience_s, health)
        options.stop_on_signal(service.stop)
        log.info("keeping evidence", alerts=topics.alerts, folder=str(files.root), stored_bytes=files.size_bytes)
        service.run(once)
    log.info("stopped", files=service.written)


def _open_folder(settings: EvidenceSettings, database: str) -> EvidenceFolder:
    try:
        return EvidenceFolder(Path(settings.folder), settings.max_bytes, _reviewed_alerts(database))
    except OSError as error:
        raise ConfigurationError(f"evidence.folder: expected a folder that can be written, got {error}") from error


def _reviewed_alerts(database: str) -> ReviewedAlerts:
    """Asks the review database; without the optional extra `review` no alert counts as reviewed."""
    try:
        from ...review.store.database import DatabaseUnavailableError
        from ...review.store.reviewed import ReviewedAlerts

        return ReviewedAlerts(database)
    except ModuleNotFoundError as error:
        log.info("evidence is removed by age, reviewed or not", reason=f"{error}: pip install 'gradwatch[review]'")
        return lambda _: set()
    except DatabaseUnavailableError as error:
        raise ConfigurationError(f"review.database: {error}") from error
