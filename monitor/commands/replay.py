"""`gradwatch replay`: publish a recording as one run of a stream."""

from __future__ import annotations

import signal
import threading
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console

from gradwatch.streams.health import Health
from gradwatch.streams.sources import SOURCES, ChallengeOnset, FrameSource, Playback, publish
from gradwatch.streams.status_server import LOOPBACK, serving
from gradwatch.streams.transport.producer import BoundedProducer

from ..assembly import topics_of
from ..config import load
from .options import BootstrapOption, ConfigOption, JsonOption, MetricsAddressOption, MetricsPortOption


def replay(
    recording: Annotated[Path, typer.Argument(help="Video file (CURE-TSD recordings too) or folder of pictures.")],
    stream_id: Annotated[str | None, typer.Option(help="Stream to publish as; the file's name where absent.")] = None,
    config: ConfigOption = None,
    bootstrap_servers: BootstrapOption = None,
    rate: Annotated[float | None, typer.Option(help="Frames a second; capture time follows. Default: its own.")] = None,
    first: Annotated[int, typer.Option(help="First frame, from 0.")] = 0,
    last: Annotated[int | None, typer.Option(help="Last frame, included.")] = None,
    frames: Annotated[int | None, typer.Option(help="End after so many.")] = None,
    to_and_fro: Annotated[bool, typer.Option(help="Turn round at both ends for ever (needs --rate).")] = False,
    pace: Annotated[bool, typer.Option(help="Publish at true pace; else as fast as the broker takes them.")] = True,
    partition: Annotated[int | None, typer.Option(help="Partition to publish to; by key where absent.")] = None,
    challenge: Annotated[str, typer.Option(help="Put this challenge on the pictures.")] = "none",
    level: Annotated[int, typer.Option(help="Of the challenge, 1 to 5.", min=1, max=5)] = 3,
    onset: Annotated[int, typer.Option(help="Frame from which the challenge is on.")] = 0,
    seed: Annotated[int, typer.Option(help="Of the challenge.")] = 0,
    metrics_port: MetricsPortOption = None,
    metrics_address: MetricsAddressOption = LOOPBACK,
    json: JsonOption = None,
) -> None:
    """Publish a recording as one run of a stream, with its own timeline as capture time."""
    configuration = load(config)
    put_on = None if challenge == "none" else ChallengeOnset(challenge, level, seed, onset)
    playback = Playback(rate, first, last, to_and_fro, frames, put_on)
    source = open_source(recording, playback, stream_id)
    servers = bootstrap_servers or configuration.broker.bootstrap_servers
    stop, health = threading.Event(), Health()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with (
        serving(metrics_port, metrics_address, health),
        BoundedProducer(servers, configuration.broker.client) as producer,
    ):
        summary = publish(
            source,
            producer,
            topics_of(configuration),
            source.name,
            pace=pace,
            partition=partition,
            stop=stop,
            health=health,
        )
    if json is not None:
        json.write_bytes(msgspec.json.format(msgspec.json.encode(asdict(summary)), indent=2))
    dropped = ", ".join(f"{count} {cause}" for cause, count in summary.dropped.items()) or "none"
    Console(stderr=True).print(
        f"{summary.stream_id}: {summary.published} of {summary.frames} frames published as run {summary.run_id}, "
        f"dropped: {dropped}"
    )


def open_source(recording: Path, playback: Playback, name: str | None) -> FrameSource:
    """A folder of pictures or a video. Raises FileNotFoundError where there is neither."""
    if not recording.exists():
        raise FileNotFoundError(f"no recording at {recording}")
    return SOURCES["pictures" if recording.is_dir() else "video"](recording, playback, name)
