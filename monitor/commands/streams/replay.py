"""`gradwatch replay`: publish a recording as one run of a stream."""

from __future__ import annotations

import signal
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console

from gradwatch import MissingFileError
from gradwatch.streams.observability.health import Health
from gradwatch.streams.observability.status_server import LOOPBACK, serving
from gradwatch.streams.publish import publish
from gradwatch.streams.recordings import cureor, curetsr
from gradwatch.streams.recordings.bag_storage import is_bag
from gradwatch.streams.recordings.labeled import picture_paths
from gradwatch.streams.sources import SOURCES, ChallengeOnset, FrameSource, Playback
from gradwatch.streams.transport.producer import BoundedProducer

from ...config import load
from ...worker.build import topics_of
from ..options import BootstrapOption, ConfigOption, JsonOption, MetricsAddressOption, MetricsPortOption

TAKES = {"bag": {"topic"}, "curetsr": {"only"}, "cureor": {"only"}}  # options beyond those of every source


def replay(
    recording: Annotated[
        Path, typer.Argument(help="Video, ROS 2 bag, MCAP file, or folder of pictures; CURE-TSD, -TSR and -OR too.")
    ],
    stream_id: Annotated[str | None, typer.Option(help="Stream to publish as; the file's name where absent.")] = None,
    config: ConfigOption = None,
    bootstrap_servers: BootstrapOption = None,
    rate: Annotated[float | None, typer.Option(help="Frames a second; capture time follows. Default: its own.")] = None,
    first: Annotated[int, typer.Option(help="First frame, from 0.")] = 0,
    last: Annotated[int | None, typer.Option(help="Last frame, included.")] = None,
    frames: Annotated[int | None, typer.Option(help="End after so many.")] = None,
    to_and_fro: Annotated[bool, typer.Option(help="Turn round at both ends for ever (needs --rate).")] = False,
    pace: Annotated[bool, typer.Option(help="Publish at true pace; else as fast as the broker takes them.")] = True,
    topic: Annotated[str | None, typer.Option(help="Of a bag; needed where several have pictures.")] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(metavar="FACET=VALUE[,…]", help="Of a CURE-TSR or -OR folder: challenge, level, class, …"),
    ] = None,
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
    try:
        put_on = None if challenge == "none" else ChallengeOnset(challenge, level, seed, onset)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--challenge") from error
    playback = Playback(rate, first, last, to_and_fro, frames, put_on)
    source = open_source(recording, playback, stream_id, topic, chosen_facets(only or []))
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


def open_source(
    recording: Path,
    playback: Playback,
    name: str | None,
    topic: str | None = None,
    only: Mapping[str, Sequence[str]] = {},
) -> FrameSource:
    """What is at `recording`, whatever it is. Raises MissingFileError where there is nothing.

    `topic` is that of a bag, `only` chooses from a CURE-TSR or CURE-OR folder; elsewhere they are refused.
    """
    if not recording.exists():
        raise MissingFileError(f"no recording at {recording}")
    kind = kind_of(recording)
    options: dict[str, Any] = {"topic": topic} if topic is not None else {}
    options |= {"only": only} if only else {}
    for option in options.keys() - TAKES.get(kind, set()):
        raise typer.BadParameter(f"--{option} does not go with {recording}, which is played as: {kind}")
    return SOURCES[kind](recording, playback=playback, name=name, **options)


def kind_of(recording: Path) -> str:
    """The key of `SOURCES` for a path, by its name and by the names of what is in it."""
    if is_bag(recording):
        return "bag"
    if not recording.is_dir():
        return "video"  # CURE-TSD's recordings too
    if (crop := next(picture_paths(recording, curetsr.SUFFIXES), None)) and curetsr.NAME.fullmatch(crop.name):
        return "curetsr"
    if (view := next(picture_paths(recording, cureor.SUFFIXES), None)) and cureor.NAME.fullmatch(view.name):
        return "cureor"
    return "pictures"


def chosen_facets(texts: Sequence[str]) -> dict[str, list[str]]:
    """`["challenge=none,rain"]` as {"challenge": ["none", "rain"]}; raises BadParameter for another form."""
    chosen: dict[str, list[str]] = {}
    for text in texts:
        facet, equals, values = text.partition("=")
        if not (facet and equals and values):
            raise typer.BadParameter(f"--only: expected FACET=VALUE or FACET=VALUE,VALUE, got {text!r}")
        chosen.setdefault(facet, []).extend(values.split(","))
    return chosen
