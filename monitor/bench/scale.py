"""Throughput by the number of worker processes that share the partitions: `gradwatch bench scale`.

Real workers with all networks on, `every_frame`: they wait with their models loaded, then all frames are published
at once, the same number to each partition, and the time is taken until the last report arrives.
"""

from __future__ import annotations

import os
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import msgspec
import yaml
from msgspec.structs import replace

from gradwatch.streams.transport.connection import BrokerUnavailableError
from gradwatch.streams.transport.reader import TopicReader
from gradwatch.streams.wire.topics import Topics

from ..children import Child
from ..config import Configuration
from ..evaluate.metrics import spreads
from ..evaluate.reports import Figures, render, table
from .broker_setup import cpu_s, drive_contents, open_broker, publish_at_once, temporary_topics

PROCESSES = (1, 2, 4)
PARTITIONS = 4
SIZE_PX = (960, 540)
JPEG_QUALITY = 90
READY_TIMEOUT_S = 120.0
JOIN_S = 5.0  # from the first worker's readiness until partitions are spread over all
TIMEOUT_S = 600.0


def bench_scale(
    configuration: Configuration,
    bootstrap_servers: str | None = None,
    processes: tuple[int, ...] = PROCESSES,
    rounds: int = 3,
    frames: int = 200,
) -> Figures:
    """Measures; `processes` -> {frames_per_s, frames_per_s_per_core, cpu_ms}, each {min, median, max} of the rounds.

    A worker counts as one core while the machine has one for it; `cpu_ms` is the workers' processor time per frame.
    Raises ChildError if a worker ends early, BrokerUnavailableError if reports are missing after `TIMEOUT_S`.
    """
    if rounds < 1 or frames < PARTITIONS or not processes:
        raise ValueError(
            f"bench scale: expected rounds >= 1, frames >= {PARTITIONS} and some processes, "
            f"got {rounds}, {frames} and {processes}"
        )
    contents = drive_contents(min(frames // PARTITIONS, 60), SIZE_PX, JPEG_QUALITY)
    measured: dict[int, list[dict[str, float]]] = {count: [] for count in processes}
    with open_broker(configuration, bootstrap_servers) as (at, broker):
        for _ in range(rounds):
            for count in processes:
                with temporary_topics(at, PARTITIONS) as (own, topics):
                    measured[count].append(_round(own, topics, contents, count, frames))
    by_processes = {str(count): spreads(ones) for count, ones in measured.items()}
    return {"processes": by_processes, "broker": broker, "rounds": rounds, "frames": frames, "cores": os.cpu_count()}


def _round(own: Configuration, topics: Topics, contents: list[bytes], count: int, frames: int) -> dict[str, float]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gradwatch-scale-")))
        workers = start_workers(stack, own, folder, count, "every_frame")
        time.sleep(JOIN_S if count > 1 else 0.0)
        reader = stack.enter_context(TopicReader(own.broker.bootstrap_servers, [topics.reports], own.broker.client))
        before_s = sum(cpu_s(worker.process.pid) for worker in workers)
        started_s = time.perf_counter()
        publish_at_once(own, topics, contents, frames, PARTITIONS)
        _await_reports(reader, workers, frames)
        took_s = time.perf_counter() - started_s
        used_s = sum(cpu_s(worker.process.pid) for worker in workers) - before_s
    cores = min(count, os.cpu_count() or count)
    return {
        "frames_per_s": frames / took_s,
        "frames_per_s_per_core": frames / took_s / cores,
        "cpu_ms": 1e3 * used_s / frames,
    }


def start_workers(stack: ExitStack, own: Configuration, folder: Path, count: int, policy: str) -> list[Child]:
    """Starts `count` workers and waits until they are ready; they end with `stack`, their logs are in `folder`."""
    config = folder / "gradwatch.yaml"
    ports_free = replace(own, worker=replace(own.worker, metrics_port=None))  # several can't share one port
    config.touch(mode=0o600)  # the broker's settings may hold credentials
    config.write_text(yaml.safe_dump(msgspec.to_builtins(ports_free)))
    workers, ready = [], [folder / f"ready-{number}" for number in range(count)]
    for number, ready_file in enumerate(ready):
        options = [f"--config={config}", f"--policy={policy}", f"--ready-file={ready_file}"]
        workers.append(Child("work", *options, log=folder / f"worker-{number}.log"))
        stack.callback(workers[-1].stop)
    for worker, made in zip(workers, ready, strict=True):
        worker.wait_until(made.exists, READY_TIMEOUT_S)
    return workers


def _await_reports(reader: TopicReader, workers: list[Child], frames: int) -> None:
    reports: set[tuple[bytes | None, bytes | None]] = set()  # by identity: a rebalance may repeat a report
    deadline_s = time.monotonic() + TIMEOUT_S
    while len(reports) < frames:
        if time.monotonic() > deadline_s:
            raise BrokerUnavailableError(f"expected {frames} reports within {TIMEOUT_S:.0f} s, got {len(reports)}")
        for worker in workers:
            if not worker.running:
                worker.wait()
        reports |= {(record.key, dict(record.headers).get("ce_id")) for record in reader.poll(0.1)}


def scale_rows(figures: Figures) -> list[list[str]]:
    """Rows under `SCALE_HEADER`: median (min to max) of each figure by number of workers."""
    return [
        [count, *(f"{one['median']:.3g} ({one['min']:.3g} to {one['max']:.3g})" for one in spread.values())]
        for count, spread in figures["processes"].items()
    ]


SCALE_HEADER = ["workers", "frames a second", "a second and core", "processor ms a frame"]


def scale_report(figures: Figures, command: str) -> str:
    """The figures as Markdown, with the command that prints them again."""
    return render(
        "Throughput by worker processes",
        command,
        f"Broker: {figures['broker']}, on the same machine of {figures['cores']} cores, which it shares with the "
        f"workers and the publisher. {figures['frames']} frames of {SIZE_PX[0]} x {SIZE_PX[1]} px in {PARTITIONS} "
        f"partitions, all networks on, `every_frame`; median (min to max) of {figures['rounds']} rounds.",
        table(SCALE_HEADER, scale_rows(figures)),
    )
