"""The cost of our loop beside that of Kafka's client: `gradwatch bench path`.

Each round reads the same frames three times: by kafka-python alone, by kafka-python that also sends the bytes of a
report and an overlay per frame, and by a worker that encodes and publishes both. Rounds alternate the three, so that a
machine that slows down slows all, and a ratio is formed within its round. Then the other stages are switched on one
after the other.
"""

from __future__ import annotations

from statistics import mean

import msgspec

from gradwatch.streams.transport.producer import BoundedProducer
from gradwatch.streams.transport.raw import Consumed, consume_raw
from gradwatch.streams.wire.outputs import encode_report
from gradwatch.streams.wire.topics import Topics

from ..config import Configuration
from ..evaluate.metrics import spreads
from ..evaluate.reports import SPREAD_HEADER, Figures, render, spread_rows, table
from ..worker.build import build_judge, build_observer
from .broker_setup import drive_contents, open_broker, publish_at_once, temporary_topics
from .stages import STAGES, StagedPipeline, consume_and_publish, precompute

SIZE_PX = (1280, 720)
JPEG_QUALITY = 87  # 150 kB a frame
DRIVE_FRAMES = 120  # of the drive that is played over and over, at least `MIN_FRAMES`
STAGE_FRAMES = 150  # read while the stages beyond publishing are on
LOOPS = ("raw", "relay", "path")
FIGURES = (*(f"{loop}_{unit}" for unit in ("us", "cpu_us") for loop in LOOPS),
           "path_ratio", "relay_ratio", "path_cpu_ratio")  # fmt: skip
BARS = {"path_ratio": ">= 0.5"}  # figure -> bar on the median


def bench_path(
    configuration: Configuration, bootstrap_servers: str | None = None, rounds: int = 5, frames: int = 600
) -> Figures:
    """Measures `rounds` times over `frames` frames, on the broker that `open_broker` opens.

    Returns {min, median, max} over the rounds of `FIGURES`: wall time and processor time of this process per record,
    and ratios (raw over the other: 1 = the loop costs nothing); and `stages`: wall and processor time per frame with
    all stages up to the named one on.
    """
    if not (rounds >= 1 and frames >= STAGE_FRAMES):
        raise ValueError(f"bench path: expected rounds >= 1 and frames >= {STAGE_FRAMES}, got {rounds} and {frames}")
    observer = build_observer(configuration)
    judge = build_judge(configuration, observer)
    drive = precompute(drive_contents(DRIVE_FRAMES, SIZE_PX, JPEG_QUALITY), observer, judge)
    with open_broker(configuration, bootstrap_servers) as (at, broker), temporary_topics(at, 1) as (own, topics):
        publish_at_once(own, topics, drive.contents, frames, partitions=1)
        with BoundedProducer(own.broker.bootstrap_servers, own.broker.client) as producer:
            pipeline = StagedPipeline(observer, judge, producer, topics, drive)
            measured = [_round(own, topics, pipeline, producer, frames, number) for number in range(rounds)]
            stages = _stages(own, pipeline, producer)
    return spreads(measured) | {
        "stages": stages,
        "broker": broker,
        "rounds": rounds,
        "frames": frames,
        "frame_bytes": round(mean(map(len, drive.contents))),
    }


def _round(
    own: Configuration, topics: Topics, pipeline: StagedPipeline, producer: BoundedProducer, frames: int, number: int
) -> dict[str, float]:
    servers, client = own.broker.bootstrap_servers, own.broker.client
    outputs = [(topics.reports, encode_report(pipeline.drive.judgements[-1].report))]
    outputs.append((topics.overlays, msgspec.json.encode(pipeline.drive.overlays[-1])))
    pipeline.on = frozenset({"publish"})
    took = {
        "raw": consume_raw(servers, topics.frames, frames, client),
        "relay": consume_raw(servers, topics.frames, frames, client, outputs),
        "path": consume_and_publish(own, pipeline, producer, frames, f"{own.worker.group_id}-path-{number}"),
    }
    one = {f"{loop}_{unit}": us for loop in LOOPS for unit, us in _per_record_us(took[loop]).items()}
    one["relay_ratio"] = one["raw_us"] / one["relay_us"]
    one["path_ratio"] = one["raw_us"] / one["path_us"]
    one["path_cpu_ratio"] = one["raw_cpu_us"] / one["path_cpu_us"]
    return one


def _per_record_us(took: Consumed) -> dict[str, float]:
    return {"us": 1e6 * took.wall_s / took.records, "cpu_us": 1e6 * took.cpu_s / took.records}


def _stages(own: Configuration, pipeline: StagedPipeline, producer: BoundedProducer) -> dict[str, dict[str, float]]:
    stages = {}
    for count, name in enumerate(("consume", *STAGES)):
        pipeline.on = frozenset(STAGES[:count])
        pipeline.states.clear()
        took = consume_and_publish(own, pipeline, producer, STAGE_FRAMES, f"{own.worker.group_id}-{name}")
        one = _per_record_us(took)
        stages[name] = {"wall_us": one["us"], "cpu_us": one["cpu_us"]}
    return stages


def path_rows(figures: Figures) -> list[list[str]]:
    """Rows under `SPREAD_HEADER`."""
    return spread_rows({name: figures[name] for name in FIGURES}, BARS)


def path_report(figures: Figures, command: str) -> str:
    """The figures as Markdown, with the command that prints them again."""
    stages = [
        [name if name == "consume" else f"+ {name}", f"{one['wall_us']:.0f}", f"{one['cpu_us']:.0f}"]
        for name, one in figures["stages"].items()
    ]
    return render(
        "What the path costs beside Kafka's client",
        command,
        f"Broker: {figures['broker']}. {figures['rounds']} rounds of {figures['frames']} frames of "
        f"{figures['frame_bytes'] / 1e3:.0f} kB; min, median and max of the rounds.",
        table(SPREAD_HEADER, path_rows(figures)),
        "- `raw_us`: kafka-python reads a frame and forgets it. `relay_us`: it also sends the bytes of a report and of "
        "an overlay, encoded before: no loop with these outputs can be faster with this client, so `relay_ratio` is "
        "the most that `path_ratio` can be. `path_us`: a worker reads the frame and publishes one report and one "
        "overlay, encoded each time, until the broker has acknowledged them; decoding, networks, judging and drawing "
        "are off. `…_cpu_us`: processor time of the process instead of wall time.\n"
        "- `path_ratio`: frames a second of our loop over those of kafka-python alone (aim 0.8).",
        "The whole loop, stage after stage switched on:",
        table(["up to stage", "wall, µs a frame", "processor, µs a frame"], stages),
    )
