"""Memory and frame age of a worker over time: `gradwatch bench soak`.

Two paced streams, a real worker in its own process. Its memory is read every second and fitted with a line after
warm-up; frame ages come from the reports. The memory samples are kept in the figures.
"""

from __future__ import annotations

import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gradwatch.streams.publish import publish
from gradwatch.streams.recordings.pictures import jpegs
from gradwatch.streams.recordings.played import Playback
from gradwatch.streams.transport.producer import BoundedProducer
from gradwatch.streams.transport.reader import TopicReader
from gradwatch.streams.wire.messages import Outcome
from gradwatch.streams.wire.outputs import decode_report

from ..children import Child
from ..config import Configuration
from ..evaluate.reports import Figures, counts, render, table
from .broker_setup import RATE_HZ, drive_contents, open_broker, resident_bytes, stream_name, temporary_topics
from .scale import start_workers

STREAMS = 2
SIZE_PX = (640, 360)  # the embedded broker keeps every frame: 30 minutes are 0.9 GB of these
JPEG_QUALITY = 85
SETTLE_S = 10.0
DRIVE_FRAMES = 120  # played to and fro
PROGRESS_S = 30.0
BARS = {"rss_mb_per_hour": "<= 4", "age_ratio": "<= 1.2"}
HEADER = ["figure", "value", "bar"]


class Samples(NamedTuple):
    """Samples over time, s since the first frame."""

    rss: list[tuple[float, int]]  # time, bytes
    ages: list[tuple[float, float]]  # time of the report, age s of its frame
    outcomes: Counter[str]


def bench_soak(
    configuration: Configuration,
    bootstrap_servers: str | None = None,
    minutes: float = 30.0,
    progress: Callable[[str], None] = lambda line: None,
) -> Figures:
    """Runs for `minutes`; `progress` gets a line every half minute.

    Returns the slope of memory after warm-up, a sixth of the time, and its standard error; frame ages in the second
    sixth (early) and in the last (late); counts; and memory by second.
    """
    if not minutes >= 1:
        raise ValueError(f"bench soak: expected minutes >= 1, got {minutes}")
    contents = drive_contents(DRIVE_FRAMES, SIZE_PX, JPEG_QUALITY)
    playback = Playback(rate_hz=RATE_HZ, to_and_fro=True, frames=round(60 * minutes * RATE_HZ))
    stop = threading.Event()
    with ExitStack() as stack:
        at, broker = stack.enter_context(open_broker(configuration, bootstrap_servers))
        own, topics = stack.enter_context(temporary_topics(at, STREAMS))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gradwatch-soak-")))
        (worker,) = start_workers(stack, own, folder, 1, "live")
        producer = stack.enter_context(BoundedProducer(own.broker.bootstrap_servers, own.broker.client))
        reader = stack.enter_context(TopicReader(own.broker.bootstrap_servers, [topics.reports], own.broker.client))
        executor = stack.enter_context(ThreadPoolExecutor(STREAMS, "source"))
        stack.callback(stop.set)

        def play(number: int) -> int:
            source = jpegs(contents, playback)
            return publish(
                source, producer, topics, stream_name(number), pace=True, partition=number, stop=stop
            ).published

        sources = [executor.submit(play, number) for number in range(STREAMS)]
        samples = _sample(worker, reader, sources, progress)
        frames_in = sum(source.result() for source in sources)
    return _figures(samples, 60 * minutes) | {"broker": broker, "minutes": minutes, "frames_in": frames_in}


def _sample(
    worker: Child, reader: TopicReader, sources: Sequence[Future[int]], progress: Callable[[str], None]
) -> Samples:
    """Samples until `SETTLE_S` after the sources have ended, so that their last reports arrive."""
    samples = Samples([], [], Counter())
    started_s = time.monotonic()
    ended_s, progress_s = float("inf"), PROGRESS_S
    while (now_s := time.monotonic() - started_s) < ended_s + SETTLE_S:
        if not worker.running:
            worker.wait()
        if ended_s == float("inf") and all(source.done() for source in sources):
            ended_s = now_s
        if not samples.rss or now_s - samples.rss[-1][0] >= 1.0:
            samples.rss.append((now_s, resident_bytes(worker.process.pid)))
        for record in reader.poll(0.2):
            report = decode_report(record.value or b"")
            samples.outcomes[str(report.outcome)] += 1
            if report.outcome is Outcome.JUDGED:
                samples.ages.append((now_s, report.latency_ms["age"] / 1e3))
        if now_s >= progress_s:
            progress_s += PROGRESS_S
            reports = samples.outcomes.total()
            progress(f"{now_s / 60:.1f} min: {samples.rss[-1][1] / 1e6:.0f} MB, {reports} reports")
    return samples


def _figures(samples: Samples, length_s: float) -> Figures:
    rss = np.array([(at_s, rss) for at_s, rss in samples.rss if length_s / 6 <= at_s <= length_s], float)
    slope, error = line_slope(rss[:, 0] / 3600, rss[:, 1] / 1e6)
    early_s = _p99(samples, length_s / 6, length_s / 3)
    late_s = _p99(samples, length_s * 5 / 6, length_s)
    return {
        "rss_mb_per_hour": slope,
        "rss_mb_per_hour_error": error,
        "age_p99_early_s": early_s,
        "age_p99_late_s": late_s,
        "age_ratio": late_s / early_s,
        "reports": samples.outcomes.total(),
        "outcomes": dict(samples.outcomes),
        "rss_mb": [[round(at_s, 1), round(rss / 1e6, 2)] for at_s, rss in samples.rss],
    }


def _p99(samples: Samples, first_s: float, last_s: float) -> float:
    ages = [age_s for at_s, age_s in samples.ages if first_s <= at_s < last_s]
    return float(np.percentile(ages, 99)) if ages else float("nan")


def line_slope(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[float, float]:
    """Slope of the least-squares line and its standard error for independent residuals; NaN below 3 points."""
    if len(x) < 3:
        return float("nan"), float("nan")
    centered = x - x.mean()
    slope = float(centered @ y / (centered @ centered))
    residuals = y - y.mean() - slope * centered
    return slope, float(np.sqrt(residuals @ residuals / (len(x) - 2) / (centered @ centered)))


def soak_rows(figures: Figures) -> list[list[str]]:
    """Rows under `HEADER`."""
    names = ("rss_mb_per_hour", "rss_mb_per_hour_error", "age_p99_early_s", "age_p99_late_s", "age_ratio")
    return [
        *([name, f"{figures[name]:.3g}", BARS.get(name, "")] for name in names),
        *([name, str(figures[name]), ""] for name in ("frames_in", "reports")),
        ["outcomes", counts(figures["outcomes"]), ""],
    ]


def soak_report(figures: Figures, command: str) -> str:
    """The figures as Markdown, with the command that prints them again."""
    return render(
        "A worker over time",
        command,
        f"Broker: {figures['broker']}. {figures['minutes']:g} minutes, {STREAMS} streams at {RATE_HZ:g} Hz, "
        f"{SIZE_PX[0]} x {SIZE_PX[1]} px.",
        table(HEADER, soak_rows(figures)),
        "- `rss_mb_per_hour`: least squares over a sample a second after the first sixth of the time. "
        "`rss_mb_per_hour_error` assumes independent residuals and so is a lower bound.\n"
        "- `age_ratio`: 99th percentile of the frame age in the last sixth over that in the second sixth.",
    )
