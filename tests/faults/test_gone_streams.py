"""Two thousand stream ids that come and go: a worker's memory, its metrics and the state topic return."""

from __future__ import annotations

import os
import time
import urllib.request
from pathlib import Path

import pytest
from ulid import ULID

from gradwatch.streams.transport.apache import free_ports
from gradwatch.streams.transport.producer import BoundedProducer
from gradwatch.streams.transport.state import StateReader
from gradwatch.streams.wire.frames import encode_frame
from gradwatch.streams.wire.topics import Topics

from ..builders import encoded_frame
from ..stub_worker import WorkerProcess, picture, write_configuration
from .cluster import Cluster
from .figures import Figures, is_quick
from .traffic import wait

pytestmark = pytest.mark.faults

STREAMS, FRAMES = 200 if is_quick() else 2000, 5
WARM_STREAMS, WARM_FRAMES = 60, 90  # a load that fills the buffers of the Kafka clients; too short to calibrate
FORGET_S = 5.0
LIMIT_S = 600.0
RETURNS_WITHIN_MIB = 15


def test_streams_that_are_gone_leave_nothing(
    cluster: Cluster, topics: Topics, tmp_path: Path, figures: Figures
) -> None:
    servers, (port,) = cluster.bootstrap_servers, free_ports(1)
    config = write_configuration(
        tmp_path,
        servers,
        topics,
        metrics_port=port,
        session_timeout_s=10.0,
        metrics_streams=10_000,
        close_after_s=2.0,
        forget_after_s=FORGET_S,
    )
    with BoundedProducer(servers) as producer, WorkerProcess(config) as worker:
        publish(producer, topics, "warm", WARM_STREAMS, WARM_FRAMES)
        wait(lambda: judged(port) >= WARM_STREAMS * WARM_FRAMES, LIMIT_S, "the first frames", worker)
        wait(lambda: labels(port) == 0, LIMIT_S, "their end", worker)
        before_mib = resident_mib(worker)
        publish(producer, topics, "cam", STREAMS, FRAMES)
        wait(lambda: judged(port) >= WARM_STREAMS * WARM_FRAMES + STREAMS * FRAMES, LIMIT_S, "all frames", worker)
        most_mib = resident_mib(worker)
        wait(lambda: labels(port) == 0, LIMIT_S, "the end of all streams", worker)
        time.sleep(2.0)  # the tombstones are sent
        after_mib = resident_mib(worker)
        assert stored(servers, topics) == set()
    grown_mib = after_mib - before_mib
    figures.keep({"streams": STREAMS, "before_mib": before_mib, "most_mib": most_mib, "after_mib": after_mib})
    assert grown_mib <= RETURNS_WITHIN_MIB


def publish(producer: BoundedProducer, topics: Topics, prefix: str, streams: int, frames: int) -> None:
    """So many frames of each of so many streams."""
    for number in range(streams):
        run_id = str(ULID())
        for seq in range(frames):
            now_ns = time.time_ns()
            frame = encoded_frame(
                f"{prefix}-{number}", seq, run_id, content=picture(1), capture_ns=seq * 200_000_000, published_ns=now_ns
            )
            producer.send(topics.frames, *encode_frame(frame))


def labels(port: int) -> float:
    """How many streams have metrics."""
    return sample(port, "gradwatch_stream_labels")


def judged(port: int) -> float:
    """How many frames were judged."""
    return sample(port, 'gradwatch_stage_duration_seconds_count{stage="judge"}')


def sample(port: int, series: str) -> float:
    """A figure of the worker; -1 where it does not answer."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            lines = answer.read().decode().splitlines()
    except OSError:
        return -1
    return next((float(line.split()[-1]) for line in lines if line.startswith(f"{series} ")), -1)


def resident_mib(worker: WorkerProcess) -> int:
    pages = int(Path(f"/proc/{worker.process.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") >> 20


def stored(servers: str, topics: Topics) -> set[str]:
    """The keys of the state topic that have a value."""
    reader = StateReader(servers, topics.state)
    reader.start(range(4))
    while (values := reader.step(0.1)) is None:
        pass
    return {key for keys in values.values() for key in keys}
