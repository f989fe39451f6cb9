"""`gradwatch work`: consume frames, judge them, publish reports, overlays and alerts."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Annotated, Literal

import structlog
import typer
from msgspec.structs import replace

from gradwatch.streams.observability.health import Health
from gradwatch.streams.observability.metrics import STREAMS
from gradwatch.streams.observability.status_server import serving

from ...config import load
from ...worker.build import build_worker, read_calibrations
from ...worker.startup import check_broker, limit_arenas, require_loading, require_worker
from ..options import BootstrapOption, ConfigOption
from ..streams.topics import mending_command

log = structlog.get_logger()


def work(
    config: ConfigOption = None,
    bootstrap_servers: BootstrapOption = None,
    policy: Annotated[Literal["live", "every_frame"] | None, typer.Option(help="Overrides worker.policy.")] = None,
    device: Annotated[Literal["auto", "cpu", "cuda"] | None, typer.Option(help="Overrides worker.device.")] = None,
    until_idle: Annotated[float | None, typer.Option(help="Leave when nothing has come for so many seconds.")] = None,
    wait: Annotated[
        bool, typer.Option(help="Wait for a broker that does not answer, else leave with an error.")
    ] = False,
    ready_file: Annotated[
        Path | None, typer.Option(help="Created once frames can come: models loaded, group joined.")
    ] = None,
) -> None:
    """Judge the frames of a topic until stopped (SIGTERM or Ctrl-C finishes what was begun)."""
    limit_arenas()
    configuration = load(config)
    if bootstrap_servers:
        configuration = replace(
            configuration, broker=replace(configuration.broker, bootstrap_servers=bootstrap_servers)
        )
    changed = {key: value for key, value in {"policy": policy, "device": device}.items() if value is not None}
    configuration = replace(configuration, worker=replace(configuration.worker, **changed))
    read_calibrations(configuration)  # a file that can't be read is found out without a broker
    settings = configuration.worker
    health = Health(settings.unhealthy_after_s)
    STREAMS.limit = settings.metrics_streams
    STREAMS.reserve(configuration.streams)
    require_loading(health)
    with serving(settings.metrics_port, settings.metrics_address, health):
        check_broker(configuration, mending_command(config, bootstrap_servers), wait)
        worker, producer = build_worker(configuration, health)
        require_worker(health, worker)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: worker.stop())
        log.info("working", frames=configuration.topics.frames, policy=settings.policy)
        try:
            worker.run(until_idle, ready_file.touch if ready_file is not None else lambda: None)
        finally:
            producer.close(settings.drain_s)
    log.info("stopped", reports=worker.reports)
