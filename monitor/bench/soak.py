"""Whether a worker stays the same over time: `gradwatch bench soak`.

Two paced streams, a real worker in its own process. Its memory is read every second and fitted with a line after
warm-up, once a stream has calibrated; frame ages come from the reports. Raw samples are kept in the figures.
"""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gradwatch.streams.publish import publish
from gradwatch.streams.recordings.pictures import jpegs
from gradwatch.streams.recordings.played import Playback
from gradwatch.streams.transport.producer import BoundedProducer
from gradwatch.streams.transport.reader import TopicReader
from gradwatch.streams.wire.messages import Outcome
from gradwatch.streams.wire.outputs import decode_report
from gradwatch.streams.wire.topics import Topics

from ..children import Child
from ..config import Configuration
from ..evaluate.reports import heading, table
from .ground import RATE_HZ, drive_contents, own_topics, resident_bytes, some_broker, stream_name
from .scale import start_workers

Figures = dict[str, Any]

STREAMS = 2
SIZE_PX = (640, 360)  # the embedded broker keeps every frame: 30 minutes are 0.9 GB of these
JPEG_QUALITY = 85
SETTLE_S = 10.0
BARS = {"rss_mb_per_hour": 4.0, "age_ratio": 1.2}  # figure -> the largest value that the project allows itself


class Samples(NamedTuple):
    """What was seen, in seconds since the first frame: memory by time, and age by time of the report."""

    rss: list[tuple[float, int]]
    ages: list[tuple[float, float]]
    outcomes: dict[str, int]


def bench_soak(
    configuration: Configuration,
    bootstrap_servers: str | None = None,
    minutes: float = 30.0,
    progress: Callable[[str], None] = lambda line: None,
) -> Figures:
    """Runs for `minutes`; `progress` hears of it every half minute.

    Returns:
        `rss_mb_per_hour` and `rss_mb_per_hour_error` (least squares over the samples after warm-up, a sixth of the
        time, and its standard error), `age_p99_early_s` (minutes 5 to 10 of 30, or that share), `age_p99_late_s`
        (the last 5 of 30), `age_ratio`, `frames_in`, `reports`, `outcomes`, and `rss_mb` by second.
    """
    if not minutes >= 1:
        raise ValueError(f"bench soak: expected minutes >= 1, got {minutes}")
    contents = drive_contents(120, SIZE_PX, JPEG_QUALITY)
    with ExitStack() as stack:
        at, broker = stack.enter_context(some_broker(configuration, bootstrap_servers))
        own, topics = stack.enter_context(own_topics(at, STREAMS))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gradwatch-soak-")))
        (worker,) = start_workers(stack, own, folder, 1, "live")
        producer = stack.enter_context(BoundedProducer(own.broker.bootstrap_servers, own.broker.client))
        reader = stack.enter_context(TopicReader(own.broker.bootstrap_servers, [topics.reports], own.broker.client))
        sources = [_Source(contents, producer, topics, number, minutes) for number in range(STREAMS)]
        for source in sources:
            source.start()
            stack.callback(source.stop.set)
        samples = _look_on(worker, reader, sources, progress)
    frames_in = sum(source.published for source in sources)
    return _figures(samples, 60 * minutes) | {"broker": broker, "minutes": minutes, "frames_in": frames_in}


class _Source(threading.Thread):
    """Publishes one stream at its pace; `published` counts once it has ended."""

    def __init__(
        self, contents: list[bytes], producer: BoundedProducer, topics: Topics, number: int, minutes: float
    ) -> None:
        super().__init__(name=stream_name(number), daemon=True)
        playback = Playback(rate_hz=RATE_HZ, to_and_fro=True, frames=round(60 * minutes * RATE_HZ))
        self.source, self.producer, self.topics, self.number = jpegs(contents, playback), producer, topics, number
        self.stop = threading.Event()
        self.published = 0

    def run(self) -> None:
        done = publish(
            self.source, self.producer, self.topics, self.name, pace=True, partition=self.number, stop=self.stop
        )
        self.published = done.published


def _look_on(worker: Child, reader: TopicReader, sources: list[_Source], progress: Callable[[str], None]) -> Samples:
    """Samples until the sources have ended and their last reports had time to come."""
    samples = Samples([], [], {})
    started_s = time.monotonic()
    ended_s, said_s = float("inf"), 30.0
    while (now_s := time.monotonic() - started_s) < ended_s + SETTLE_S:
        if not worker.running:
            worker.wait()
        if ended_s == float("inf") and not any(source.is_alive() for source in sources):
            ended_s = now_s
        if not samples.rss or now_s - samples.rss[-1][0] >= 1.0:
            samples.rss.append((now_s, resident_bytes(worker.process.pid)))
        for record in reader.poll(0.2):
            report = decode_report(record.value or b"")
            name = str(report.outcome)
            samples.outcomes[name] = samples.outcomes.get(name, 0) + 1
            if report.outcome is Outcome.JUDGED:
                samples.ages.append((now_s, report.latency_ms["age"] / 1e3))
        if now_s >= said_s:
            said_s += 30.0
            progress(
                f"{now_s / 60:.1f} min: {samples.rss[-1][1] / 1e6:.0f} MB, {sum(samples.outcomes.values())} reports"
            )
    return samples


def _figures(samples: Samples, length_s: float) -> Figures:
    rss = np.array([(at_s, held) for at_s, held in samples.rss if length_s / 6 <= at_s <= length_s], float)
    slope, error = line_slope(rss[:, 0] / 3600, rss[:, 1] / 1e6)
    early_s = _p99(samples, length_s / 6, length_s / 3)
    late_s = _p99(samples, length_s * 5 / 6, length_s)
    return {
        "rss_mb_per_hour": slope,
        "rss_mb_per_hour_error": error,
        "age_p99_early_s": early_s,
        "age_p99_late_s": late_s,
        "age_ratio": late_s / early_s,
        "reports": sum(samples.outcomes.values()),
        "outcomes": samples.outcomes,
        "rss_mb": [[round(at_s, 1), round(held / 1e6, 2)] for at_s, held in samples.rss],
    }


def _p99(samples: Samples, first_s: float, last_s: float) -> float:
    ages = [age_s for at_s, age_s in samples.ages if first_s <= at_s < last_s]
    return float(np.percentile(ages, 99)) if ages else float("nan")


def line_slope(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[float, float]:
    """Slope of the least-squares line and its standard error, as if the residuals were independent; NaN below 3."""
    if len(x) < 3:
        return float("nan"), float("nan")
    centered = x - x.mean()
    slope = float(centered @ y / (centered @ centered))
    residuals = y - y.mean() - slope * centered
    return slope, float(np.sqrt(residuals @ residuals / (len(x) - 2) / (centered @ centered)))


def soak_rows(figures: Figures) -> list[list[str]]:
    """Rows of figure, value, bar."""
    names = ("rss_mb_per_hour", "rss_mb_per_hour_error", "age_p99_early_s", "age_p99_late_s", "age_ratio")
    rows = [[name, f"{figures[name]:.3g}", f"<= {BARS[name]:g}" if name in BARS else ""] for name in names]
    outcomes = ", ".join(f"{name} {count}" for name, count in figures["outcomes"].items())
    return [*rows, *([name, str(figures[name]), ""] for name in ("frames_in", "reports")), ["outcomes", outcomes, ""]]


def soak_report(figures: Figures, command: str) -> str:
    """The figures as Markdown, with the command that reprints them."""
    lines = heading("A worker over time", command)
    lines += [
        f"Broker: {figures['broker']}. {figures['minutes']:g} minutes, {STREAMS} streams at {RATE_HZ:g} Hz, "
        f"{SIZE_PX[0]} x {SIZE_PX[1]} px.",
        "",
        *table(["figure", "value", "bar"], soak_rows(figures)),
        "- `rss_mb_per_hour`: least squares over a sample a second after the first sixth of the time. "
        "`rss_mb_per_hour_error` takes the residuals for independent and so is a lower bound.",
        "- `age_ratio`: 99th percentile of the frame age in the last sixth over that in the second sixth.",
        "",
    ]
    return "\n".join(lines)
