"""`gradwatch work`: consume frames, judge them, publish reports, overlays and alerts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import structlog
import typer
from msgspec.structs import replace

from gradwatch.ranges import PositiveSeconds
from gradwatch.streams.observability.status_server import serving

from ...worker.build import build_worker
from ...worker.startup import check_broker, limit_arenas, require_loading, require_worker
from .. import options
from ..options import BootstrapOption, ConfigOption, WaitOption, numeric

log = structlog.get_logger()


def work(
    config: ConfigOption = None,
    bootstrap_servers: BootstrapOption = None,
    policy: Annotated[Literal["live", "every_frame"] | None, typer.Option(help="Overrides worker.policy.")] = None,
    device: Annotated[Literal["auto", "cpu", "cuda"] | None, typer.Option(help="Overrides worker.device.")] = None,
    until_idle: Annotated[
        float | None, numeric(PositiveSeconds, "Stop after this many seconds without a frame.")
    ] = None,
    wait: WaitOption = False,
    ready_file: Annotated[
        Path | None, typer.Option(help="Created once the models are loaded and the consumer group is joined.")
    ] = None,
) -> None:
    """Judge the frames of a topic until stopped (SIGTERM or Ctrl-C finishes frames in progress)."""
    limit_arenas()
    configuration = options.load_configuration(config, bootstrap_servers)
    settings = replace(configuration.worker, **options.given(policy=policy, device=device))
    configuration = replace(configuration, worker=settings)
    health = options.service_health(configuration)
    require_loading(health)
    with serving(settings.metrics_port, settings.metrics_address, health):
        check_broker(configuration, options.mend_topics_command(config, bootstrap_servers), wait)
        worker, close = build_worker(configuration, health)
        require_worker(health, worker)
        options.stop_on_signal(worker.stop)
        log.info("working", frames=configuration.topics.frames, policy=settings.policy)
        try:
            worker.run(until_idle, ready_file.touch if ready_file is not None else lambda: None)
        finally:
            close(settings.drain_s)
    log.info("stopped", reports=worker.reports)
