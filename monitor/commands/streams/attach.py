"""`gradwatch attach`: publish live cameras, each as one run of its stream."""

from __future__ import annotations

import signal
import threading
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import cv2
import msgspec
import typer
from rich.console import Console

from gradwatch.ranges import FrameRate, Partition
from gradwatch.streams.cameras.address import Transport, camera_address, hide_credentials_of, is_live, stream_name
from gradwatch.streams.cameras.attach import CameraPlan, CameraSummary, attach_all
from gradwatch.streams.cameras.attach import attach as attach_one
from gradwatch.streams.observability.health import Health
from gradwatch.streams.observability.metrics import STREAMS
from gradwatch.streams.observability.status_server import LOOPBACK, serving
from gradwatch.streams.recordings.played import legal_stream_id
from gradwatch.streams.transport.admin import check_topics
from gradwatch.streams.transport.producer import BoundedProducer
from gradwatch.streams.wire.messages import check_stream_id

from ...config import Configuration, ConfigurationError, load
from ...worker.build import topics_of
from ...worker.startup import UnfitTopicsError
from ..options import (
    BootstrapOption,
    ConfigOption,
    JsonOption,
    MetricsAddressOption,
    MetricsPortOption,
    mend_topics_command,
    numeric,
)
from ..progress import frames_of_sources, progress


def attach(
    source: Annotated[
        str | None,
        typer.Argument(
            help="rtsp://…, http://…, the number of a USB camera, a video, a folder of pictures or a bag. Default: the "
            "cameras of --config.",
            show_default=False,
        ),
    ] = None,
    stream_id: Annotated[str | None, typer.Option(help="Stream to publish as. Default: from the address.")] = None,
    config: ConfigOption = None,
    bootstrap_servers: BootstrapOption = None,
    transport: Annotated[Transport, typer.Option(help="Transport of RTSP.")] = "tcp",
    rate: Annotated[float | None, numeric(FrameRate, "Most frames a second. Default: all.")] = None,
    partition: Annotated[int | None, numeric(Partition, "Partition to publish to. Default: by key.")] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(help="Host to which redirects and playlists may lead, beside the camera's own; repeatable."),
    ] = None,
    wait: Annotated[bool, typer.Option(help="Wait for a camera that can't be reached at the start.")] = False,
    metrics_port: MetricsPortOption = None,
    metrics_address: MetricsAddressOption = LOOPBACK,
    json: JsonOption = None,
) -> None:
    """Publish cameras until stopped (SIGTERM or Ctrl-C); a lost camera is reconnected, within its run."""
    if source is not None:
        hide_credentials_of(source)
    configuration = load(config)
    plans = [_plan(source, stream_id, transport, rate, partition, allow_host)] if source else _plans(configuration)
    servers = bootstrap_servers or configuration.broker.bootstrap_servers
    _check_topics(configuration, servers, mend_topics_command(config, bootstrap_servers))
    if source is not None and stream_id is None:
        Console(stderr=True).print(f"published as stream {plans[0].stream_id}; --stream-id chooses another name")
    cv2.setNumThreads(1)  # each camera has its own threads
    STREAMS.reserve(plan.stream_id for plan in plans)
    stop, health, names = threading.Event(), Health(), topics_of(configuration)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with (
        serving(metrics_port, metrics_address, health),
        BoundedProducer(servers, configuration.broker.client) as producer,
        progress(lambda: frames_of_sources([plan.stream_id for plan in plans])),
    ):
        if source is not None:
            summaries = [attach_one(plans[0], producer, names, stop=stop, health=health, wait=wait)]
        else:
            summaries = attach_all(plans, producer, names, stop=stop, health=health)
    if json is not None:
        json.write_bytes(msgspec.json.format(msgspec.json.encode({"sources": [*map(asdict, summaries)]}), indent=2))
    for summary in summaries:
        Console(stderr=True).print(_describe(summary), soft_wrap=True, markup=False, highlight=False)
    if any(summary.failure for summary in summaries):
        raise typer.Exit(1)


def _plan(
    source: str,
    stream_id: str | None,
    transport: Transport,
    rate_hz: float | None,
    partition: int | None,
    allow_hosts: list[str] | None,
) -> CameraPlan:
    name = stream_name(camera_address(source)) if is_live(source) else Path(source).stem
    hosts = tuple(allow_hosts or ())
    return CameraPlan(check_stream_id(stream_id or legal_stream_id(name)), source, transport, rate_hz, partition, hosts)


def _plans(configuration: Configuration) -> list[CameraPlan]:
    if not configuration.cameras:
        raise ConfigurationError("expected a SOURCE, or `cameras:` in the file of --config, got neither")
    return [
        CameraPlan(stream_id, str(camera.url), camera.transport, camera.rate_hz, camera.partition, camera.allow_hosts)
        for stream_id, camera in configuration.cameras.items()
    ]


def _check_topics(configuration: Configuration, servers: str, remedy: str) -> None:
    """Raises UnfitTopicsError if a topic that sources write to is missing: every send would wait for it."""
    names = topics_of(configuration)
    problems = check_topics(servers, names, client_settings=configuration.broker.client)
    missing = [p for p in problems if p.is_fatal and p.setting == "topic" and p.topic in (names.frames, names.health)]
    if missing:
        raise UnfitTopicsError("\n".join([*map(str, missing), f"or let gradwatch do it: {remedy}"]))


def _describe(summary: CameraSummary) -> str:
    if summary.failure and not summary.frames:
        return f"{summary.stream_id}: {summary.failure}"
    dropped = ", ".join(f"{count} {cause}" for cause, count in summary.dropped.items()) or "none"
    disturbed = ", ".join(f"{count} {kind}" for kind, count in summary.disturbances.items()) or "none"
    return (
        f"{summary.stream_id}: {summary.published} of {summary.frames} frames published as run {summary.run_id}, "
        f"dropped: {dropped}; disturbances: {disturbed}" + f"; {summary.failure}" * bool(summary.failure)
    )
