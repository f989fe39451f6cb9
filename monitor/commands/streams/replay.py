"""`gradwatch replay`: publish a recording as one run of a stream."""

from __future__ import annotations

import signal
import threading
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console

from gradwatch.ranges import ChallengeLevel, FrameCount, FrameNumber, FrameRate, Partition, Seed
from gradwatch.streams.observability.health import Health
from gradwatch.streams.observability.status_server import LOOPBACK, serving
from gradwatch.streams.publish import publish
from gradwatch.streams.recordings.played import ChallengeOnset, Playback, PlayedSource, SourceOptionError
from gradwatch.streams.sources import open_source
from gradwatch.streams.transport.producer import BoundedProducer
from gradwatch.streams.wire.messages import check_stream_id

from ...config import load
from ...worker.build import topics_of
from ..options import (
    BootstrapOption,
    ConfigOption,
    JsonOption,
    MetricsAddressOption,
    MetricsPortOption,
    TopicOption,
    TrackOption,
    numeric,
)
from ..progress import frames_of_sources, progress


def replay(
    recording: Annotated[
        Path,
        typer.Argument(
            help="Video, ROS 2 bag, MCAP file, or folder of pictures or of videos; CURE-TSD, -TSR and -OR too."
        ),
    ],
    stream_id: Annotated[str | None, typer.Option(help="Stream to publish as. Default: the file's name.")] = None,
    config: ConfigOption = None,
    bootstrap_servers: BootstrapOption = None,
    rate: Annotated[
        float | None, numeric(FrameRate, "Frames a second; sets the capture times. Default: the recording's own times.")
    ] = None,
    first: Annotated[int, numeric(FrameNumber, "First frame, from 0.")] = 0,
    last: Annotated[int | None, numeric(FrameNumber, "Last frame, included.")] = None,
    frames: Annotated[int | None, numeric(FrameCount, "Stop after this many frames.")] = None,
    to_and_fro: Annotated[bool, typer.Option(help="Play forwards and backwards without end (needs --rate).")] = False,
    pace: Annotated[
        bool,
        typer.Option(
            help="Publish at the recording's pace (gaps over 10 s are skipped), or as fast as possible; then a worker "
            "whose policy is live drops frames that it can't judge in time."
        ),
    ] = True,
    topic: TopicOption = None,
    track: TrackOption = None,
    only: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FACET=VALUE[,…]",
            help="Pictures of a CURE-TSR or CURE-OR folder to play, by challenge, level, class, …",
        ),
    ] = None,
    partition: Annotated[int | None, numeric(Partition, "Partition to publish to. Default: by key.")] = None,
    challenge: Annotated[str, typer.Option(help="Challenge to put on the pictures.")] = "none",
    level: Annotated[int, numeric(ChallengeLevel, "Level of the challenge.")] = 3,
    onset: Annotated[int, numeric(FrameNumber, "First frame with the challenge.")] = 0,
    seed: Annotated[int, numeric(Seed, "Seed of the challenge.")] = 0,
    metrics_port: MetricsPortOption = None,
    metrics_address: MetricsAddressOption = LOOPBACK,
    json: JsonOption = None,
) -> None:
    """Publish a recording as one run of a stream, with its own timeline as capture time."""
    configuration = load(config)
    try:
        onset_of_challenge = None if challenge == "none" else ChallengeOnset(challenge, level, seed, onset)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--challenge") from error
    try:
        playback = Playback(rate, first, last, to_and_fro, frames, onset_of_challenge)
        options = {"topic": topic, "track": track, "only": parse_facets(only or [])}
        source = open_source(recording, playback, stream_id and check_stream_id(stream_id), **options)
    except SourceOptionError as error:
        raise typer.BadParameter(f"--{error}") from error
    servers = bootstrap_servers or configuration.broker.bootstrap_servers
    console = Console(stderr=True)
    for note in notes(recording, source.name, stream_id, pace, configuration.worker.policy):
        console.print(note, soft_wrap=True, markup=False, highlight=False)
    stop, health = threading.Event(), Health()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with (
        serving(metrics_port, metrics_address, health),
        BoundedProducer(servers, configuration.broker.client) as producer,
        progress(lambda: frames_of_sources([source.name])),
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
    chosen = f"; played {source.chosen}" if isinstance(source, PlayedSource) and source.chosen else ""
    console.print(
        f"{summary.stream_id}: {summary.published} of {summary.frames} frames published as run {summary.run_id}, "
        f"dropped: {dropped}{chosen}",
        soft_wrap=True,
    )
    if summary.failure:
        console.print(f"the recording can't be read on: {summary.failure}", soft_wrap=True, markup=False)
        raise typer.Exit(1)


def notes(recording: Path, name: str, stream_id: str | None, pace: bool, policy: str) -> list[str]:
    """What a user should know before the recording `recording` is published as the stream `name`."""
    said = []
    if stream_id is None and name not in (recording.name, recording.stem):
        said.append(f"{recording.name} is published as stream {name}; --stream-id chooses another name")
    if not pace and policy == "live":
        said.append(
            "a worker whose policy is live judges the newest frames only, and reports those that come faster than it "
            "works as dropped (superseded, stale); worker.policy: every_frame judges all"
        )
    return said


def parse_facets(texts: Sequence[str]) -> dict[str, list[str]]:
    """`["challenge=none,rain"]` as {"challenge": ["none", "rain"]}. Raises BadParameter for another form."""
    facets: dict[str, list[str]] = {}
    for text in texts:
        facet, equals, values = text.partition("=")
        if not (facet and equals and values):
            raise typer.BadParameter(f"--only: expected FACET=VALUE or FACET=VALUE,VALUE, got {text!r}")
        facets.setdefault(facet, []).extend(values.split(","))
    return facets
