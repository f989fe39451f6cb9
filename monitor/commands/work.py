"""`gradwatch work`: consume frames, judge them, publish reports, overlays and alerts."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Annotated, Literal

import structlog
import typer
from msgspec.structs import replace

from gradwatch.streams.telemetry import configure_logging, start_metrics

from ..assembly import build_worker
from ..config import load
from .options import BootstrapOption, ConfigOption

log = structlog.get_logger()


def work(
    config: ConfigOption = None,
    bootstrap_servers: BootstrapOption = None,
    policy: Annotated[Literal["live", "every_frame"] | None, typer.Option(help="Overrides worker.policy.")] = None,
    device: Annotated[Literal["auto", "cpu", "cuda"] | None, typer.Option(help="Overrides worker.device.")] = None,
    until_idle: Annotated[float | None, typer.Option(help="Leave when nothing has come for so many seconds.")] = None,
    ready_file: Annotated[
        Path | None, typer.Option(help="Created once frames can come: models loaded, group joined.")
    ] = None,
) -> None:
    """Judge the frames of a topic until stopped (SIGTERM or Ctrl-C finishes what was begun)."""
    configure_logging(json=False)
    configuration = load(config)
    if bootstrap_servers:
        configuration = replace(
            configuration, broker=replace(configuration.broker, bootstrap_servers=bootstrap_servers)
        )
    changed = {key: value for key, value in {"policy": policy, "device": device}.items() if value is not None}
    configuration = replace(configuration, worker=replace(configuration.worker, **changed))
    if configuration.worker.metrics_port is not None:
        start_metrics(configuration.worker.metrics_port)
    worker, producer = build_worker(configuration)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: worker.stop())
    log.info("working", frames=configuration.topics.frames, policy=configuration.worker.policy)
    try:
        worker.run(until_idle, ready_file.touch if ready_file is not None else lambda: None)
    finally:
        producer.close(configuration.worker.drain_s)
    log.info("stopped", reports=worker.reports)
