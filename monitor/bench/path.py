"""What our loop costs beside Kafka's client: `gradwatch bench path`.

Each round reads the same frames three times: by kafka-python alone, by kafka-python alone that also sends the bytes of
a report and an overlay for each of them, and by a worker that encodes and publishes both. Rounds alternate the three,
so that a machine that slows down slows all, and a ratio is formed within its round. Then the other stages are switched
on one after the other.
"""

from __future__ import annotations

from statistics import mean
from typing import Any

import msgspec

from gradwatch.streams.transport.producer import BoundedProducer
from gradwatch.streams.transport.raw import Consumed, consume_raw
from gradwatch.streams.wire.outputs import encode_report
from gradwatch.streams.wire.topics import Topics

from ..config import Configuration
from ..evaluate.metrics import spread
from ..evaluate.reports import heading, table
from ..worker.build import build_judge, build_observer
from .ground import drive_contents, own_topics, publish_at_once, some_broker
from .stages import STAGES, Rehearsal, StagedPipeline, consume_and_publish, rehearse

Figures = dict[str, Any]

SIZE_PX = (1280, 720)
JPEG_QUALITY = 87  # 150 kB a frame
DRIVE_FRAMES = 120
BARS = {"path_ratio": 0.5}  # figure -> the smallest median that the project allows itself


def bench_path(
    configuration: Configuration,
    bootstrap_servers: str | None = None,
    rounds: int = 5,
    frames: int = 600,
    stage_frames: int = 150,
    drive_frames: int = DRIVE_FRAMES,
) -> Figures:
    """Measures; every figure is {min, median, max} over the rounds.

    Args:
        configuration: networks, judge and worker to measure with.
        bootstrap_servers: a broker; None starts one, see `some_broker`.
        rounds: how often both are measured, one after the other.
        frames: read in each of them.
        stage_frames: read while the stages beyond publishing are on.
        drive_frames: length of the drive that is played over and over, at least `MIN_FRAMES`.

    Returns:
        `raw_us`, `relay_us`, `path_us` (wall time a record), `raw_cpu_us`, `relay_cpu_us`, `path_cpu_us` (processor
        time of this process a record), `path_ratio`, `relay_ratio` and `path_cpu_ratio` (raw over the other: 1 = the
        loop costs nothing), and
        `stages`: wall and processor time a frame with all stages up to the named one on.
    """
    if not (rounds >= 1 and frames >= stage_frames >= 1):
        raise ValueError(
            f"bench path: expected rounds >= 1 and frames >= stage_frames >= 1, got {rounds}, {frames}, {stage_frames}"
        )
    observer = build_observer(configuration)
    judge = build_judge(configuration, observer)
    rehearsal = rehearse(drive_contents(drive_frames, SIZE_PX, JPEG_QUALITY), observer, judge)
    with some_broker(configuration, bootstrap_servers) as (at, broker), own_topics(at, 1) as (own, topics):
        publish_at_once(own, topics, rehearsal.contents, frames, partitions=1)
        with BoundedProducer(own.broker.bootstrap_servers, own.broker.client) as producer:
            pipeline = StagedPipeline(observer, judge, producer, topics, rehearsal)
            figures = _path(own, topics, pipeline, producer, rounds, frames)
            stages = _stages(own, pipeline, producer, stage_frames)
    return figures | {"stages": stages, "broker": broker, "rounds": rounds, "frames": frames} | _of(rehearsal)


def _path(
    own: Configuration, topics: Topics, pipeline: StagedPipeline, producer: BoundedProducer, rounds: int, frames: int
) -> Figures:
    measured: dict[str, list[float]] = {}
    servers, client = own.broker.bootstrap_servers, own.broker.client
    rehearsal = pipeline.rehearsal
    outputs = [(topics.reports, encode_report(rehearsal.judgements[-1].report))]
    outputs.append((topics.overlays, msgspec.json.encode(rehearsal.overlays[-1])))
    for number in range(rounds):
        raw = consume_raw(servers, topics.frames, frames, client)
        relay = consume_raw(servers, topics.frames, frames, client, outputs)
        pipeline.on = frozenset({"publish"})
        path = consume_and_publish(own, pipeline, producer, frames, f"{own.worker.group_id}-path-{number}")
        one = {"raw_us": _us(raw.wall_s, raw), "path_us": _us(path.wall_s, path)}
        one |= {"raw_cpu_us": _us(raw.cpu_s, raw), "path_cpu_us": _us(path.cpu_s, path)}
        one |= {"relay_us": _us(relay.wall_s, relay), "relay_cpu_us": _us(relay.cpu_s, relay)}
        one["relay_ratio"] = one["raw_us"] / one["relay_us"]
        one["path_ratio"] = one["raw_us"] / one["path_us"]
        one["path_cpu_ratio"] = one["raw_cpu_us"] / one["path_cpu_us"]
        for name, value in one.items():
            measured.setdefault(name, []).append(value)
    return {name: spread(values) for name, values in measured.items()}


def _stages(
    own: Configuration, pipeline: StagedPipeline, producer: BoundedProducer, frames: int
) -> dict[str, dict[str, float]]:
    stages = {}
    for count, name in enumerate(("consume", *STAGES)):
        pipeline.on = frozenset(STAGES[:count])
        pipeline.states.clear()
        took = consume_and_publish(own, pipeline, producer, frames, f"{own.worker.group_id}-{name}")
        stages[name] = {"wall_us": _us(took.wall_s, took), "cpu_us": _us(took.cpu_s, took)}
    return stages


def _us(seconds: float, of: Consumed) -> float:
    return 1e6 * seconds / of.records


def _of(rehearsal: Rehearsal) -> Figures:
    return {"frame_bytes": round(mean(map(len, rehearsal.contents)))}


def path_rows(figures: Figures) -> list[list[str]]:
    """Rows of figure, min, median, max, bar."""
    times = [f"{loop}_{unit}" for unit in ("us", "cpu_us") for loop in ("raw", "relay", "path")]
    names = (*times, "path_ratio", "relay_ratio", "path_cpu_ratio")
    bars = {name: f">= {bar:g}" for name, bar in BARS.items()}
    return [
        [name, *(f"{figures[name][key]:.4g}" for key in ("min", "median", "max")), bars.get(name, "")] for name in names
    ]


def path_report(figures: Figures, command: str) -> str:
    """The figures as Markdown, with the command that reprints them."""
    stages = [
        [name if name == "consume" else f"+ {name}", f"{one['wall_us']:.0f}", f"{one['cpu_us']:.0f}"]
        for name, one in figures["stages"].items()
    ]
    lines = heading("What the path costs beside Kafka's client", command)
    lines += [
        f"Broker: {figures['broker']}. {figures['rounds']} rounds of {figures['frames']} frames of "
        f"{figures['frame_bytes'] / 1e3:.0f} kB; min, median and max of the rounds.",
        "",
        *table(["figure", "min", "median", "max", "bar"], path_rows(figures)),
        "- `raw_us`: kafka-python reads a frame and forgets it. `relay_us`: it also sends the bytes of a report and of "
        "an overlay, which lie ready: a loop with these outputs can't be faster with this client, so `relay_ratio` is "
        "the most that `path_ratio` can be. `path_us`: a worker reads the frame and publishes one report and one "
        "overlay, encoded each time, until the broker has acknowledged them; decoding, networks, judging and drawing "
        "are off. `…_cpu_us`: processor time of the process instead of wall time.",
        "- `path_ratio`: frames a second of our loop over those of kafka-python alone (aim 0.8).",
        "",
        "The whole loop, stage after stage switched on:",
        "",
        *table(["up to stage", "wall, µs a frame", "processor, µs a frame"], stages),
    ]
    return "\n".join(lines)
