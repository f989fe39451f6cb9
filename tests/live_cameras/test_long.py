"""Cameras killed, frozen, resized and locked, attached to an Apache Kafka: no frame is lost, everything is recorded.

`pytest -m faults tests/live_cameras` runs it in about fifteen minutes; `gradwatch evaluate cameras` writes the report.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import pairwise
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest

from gradwatch.streams.cameras.backoff import STEADY_S
from gradwatch.streams.transport.apache import free_ports
from gradwatch.streams.wire.topics import Topics

from ..faults.figures import Figures
from .attached import Attached
from .loopback import PASSWORD, USER, RtspCamera, number_of, require_rtsp_server, runs_of

pytestmark = pytest.mark.faults

RESTARTS = 20
TOLD_WITHIN_S = 5.0
CONNECTIONS, SETTLED_AFTER = 1000, 200
SLOPE_MAX_MB = 1.0
CODECS = ("h264", "mjpeg")


class Trials:
    """Disturbs the cameras, and measures how soon each disturbance is recorded."""

    def __init__(self, attached: Attached, cameras: dict[str, RtspCamera]) -> None:
        self.attached, self.cameras = attached, cameras
        self.told_s: dict[str, list[float]] = {}
        self.back_s: list[float] = []

    def both(self, disturbance: str, state: str, command: str) -> None:
        """Sends a command to both cameras and waits for its disturbance."""
        since_s = time.time()
        for camera in self.cameras.values():
            camera.tell(command)
        for name in self.cameras:
            told_s = self.attached.wait_for(name, disturbance, state, since_s)
            self.told_s.setdefault(f"{disturbance} {state}", []).append(told_s)

    def kill_and_restart(self) -> None:
        since_s = time.time()
        for camera in self.cameras.values():
            camera.kill()
        for name in self.cameras:
            self.told_s.setdefault("disconnected begin", []).append(
                self.attached.wait_for(name, "disconnected", "begin", since_s)
            )
        self.start()

    def start(self, *options: str) -> None:
        since_s = time.time()
        for camera in self.cameras.values():
            camera.start(*options)
        if options:
            return
        for name in self.cameras:
            self.back_s.append(self.attached.wait_for(name, "reconnected", "moment", since_s, 90.0))
            first = len(self.attached.frames[name])
            self.attached.wait_for_frames(name, 1)
            published_s = self.attached.frames[name][first].published_ns / 1e9
            found = self.attached.find(name, "reconnected", "moment", since_s)
            assert found is not None
            self.told_s.setdefault("reconnected moment", []).append(max(0.0, found[0] - published_s))

    def change_password(self) -> None:
        since_s = time.time()
        for camera in self.cameras.values():
            camera.kill()
        started_s = time.time()
        self.start("--password=another")
        for name in self.cameras:
            # refused at the first attempt after the server is back, whose time depends on the back-off
            self.attached.wait_for(name, "unauthorized", "begin", since_s, 90.0)
        for name in self.cameras:
            (at_s, record) = self.attached.find(name, "unauthorized", "begin", since_s) or (0.0, None)
            assert record is not None
            assert at_s > started_s - 1.0
            self.told_s.setdefault("unauthorized begin", []).append(at_s - record.at_ns / 1e9)
        for camera in self.cameras.values():
            camera.kill()
        self.start()


@pytest.fixture
def trials(tmp_path: Path, kafka: str, topics: Topics) -> Iterator[Trials]:
    require_rtsp_server()
    ports = free_ports(2)
    cameras = {
        codec: RtspCamera(port, codec, user=USER, password=PASSWORD, digest=True)
        for codec, port in zip(CODECS, ports, strict=True)
    }
    plans = {
        codec: {"url": camera.url.replace("://", f"://{USER}:{quote(PASSWORD, safe='')}@"), "partition": i}
        for i, (codec, camera) in enumerate(cameras.items())
    }
    try:
        for camera in cameras.values():
            camera.start()
        with Attached(tmp_path, kafka, topics, plans) as attached:
            yield Trials(attached, cameras)
    finally:
        for camera in cameras.values():
            camera.kill()


def assert_published_once(trials: Trials, summaries: dict) -> dict[str, int]:
    """The numbers in the pictures increase within each start of the server, and missing ones were counted as dropped.

    On a slow machine, late pictures are `superseded`.
    """
    counts = {"frames_published": 0, "starts_seen": 0, "dropped_superseded": 0}
    for name in CODECS:
        frames, summary = trials.attached.frames[name], summaries[name]
        assert [frame.stamp.identity.seq for frame in frames] == list(range(summary["published"]))
        assert len({frame.stamp.identity.run_id for frame in frames}) == 1
        assert summary["frames"] == summary["published"] + sum(summary["dropped"].values())
        assert set(summary["dropped"]) <= {"undecodable", "stopped", "superseded"}, summary["dropped"]
        runs = runs_of([number_of(frame.content) for frame in frames])
        steps = [b - a for run in runs for a, b in pairwise(run)]
        assert min(steps) == 1
        assert sum(steps) - len(steps) == summary["dropped"].get("superseded", 0)
        counts["frames_published"] += len(frames)
        counts["starts_seen"] += len(runs)
        for cause, count in summary["dropped"].items():
            counts[f"dropped_{cause}"] = counts.get(f"dropped_{cause}", 0) + count
    return counts


def test_cameras_are_killed_twenty_times(trials: Trials, figures: Figures) -> None:
    for name in CODECS:
        trials.attached.wait_for_frames(name, 1)
    for _ in range(RESTARTS):
        time.sleep(STEADY_S + 0.5)  # so that each loss begins with a short back-off
        trials.kill_and_restart()
    metrics = trials.attached.metrics()
    summaries = trials.attached.stop()
    counts = assert_published_once(trials, summaries)
    assert counts["starts_seen"] == 2 * (RESTARTS + 1)
    assert_no_credential(trials.attached.all_output() + metrics)
    figures.keep(counts | told(trials) | {"server_back_until_reconnected_s": spread(trials.back_s)})
    assert_in_time(trials)


def test_cameras_are_frozen_resized_darkened_and_locked(trials: Trials, figures: Figures) -> None:
    for name in CODECS:
        trials.attached.wait_for_frames(name, 60)
    for _ in range(3):
        trials.both("frozen", "begin", "freeze")
        time.sleep(2.0)
        trials.both("frozen", "end", "thaw")
        trials.both("size_changed", "moment", "size 480 272")
        trials.both("size_changed", "moment", "size 320 240")
        trials.both("no_frames", "begin", "pause")
        trials.both("no_frames", "end", "resume")
        trials.both("black", "begin", "level 2")
        trials.both("black", "end", "level")
        trials.both("overexposed", "begin", "level 254")
        trials.both("overexposed", "end", "level")
    trials.change_password()
    metrics = trials.attached.metrics()
    trials.attached.stop()
    assert_no_credential(trials.attached.all_output() + metrics)
    figures.keep(told(trials))
    assert_in_time(trials)


def assert_in_time(trials: Trials) -> None:
    late = {what: max(seconds) for what, seconds in trials.told_s.items() if max(seconds) > TOLD_WITHIN_S}
    assert not late


def assert_no_credential(text: str) -> None:
    for secret in (PASSWORD, quote(PASSWORD), quote(PASSWORD, safe=""), USER, quote(USER)):
        assert secret not in text, text[max(0, text.find(secret) - 200) :][:400]


def told(trials: Trials) -> dict[str, str]:
    return {f"{what}, told after s": spread(seconds) for what, seconds in sorted(trials.told_s.items())}


def spread(seconds: list[float]) -> str:
    return f"median {np.median(seconds):.1f}, worst {max(seconds):.1f} of {len(seconds)}"


@contextmanager
def cutting_proxy(port: int, after_bytes: int) -> Iterator[int]:
    """A port that forwards connections to `port` and cuts each after so many bytes from there."""
    server = socket.create_server(("127.0.0.1", 0))

    def pump(source: socket.socket, sink: socket.socket, limit: float) -> None:
        passed = 0
        try:
            while passed < limit and (content := source.recv(65536)):
                sink.sendall(content)
                passed += len(content)
        except OSError:
            pass
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)  # a close alone would wait for the other thread's recv
            end.close()

    def serve() -> None:
        while True:
            try:
                client, _ = server.accept()
            except OSError:
                return
            camera = socket.create_connection(("127.0.0.1", port))
            threading.Thread(target=pump, args=(client, camera, float("inf")), daemon=True).start()
            threading.Thread(target=pump, args=(camera, client, after_bytes), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield server.getsockname()[1]
    finally:
        server.close()


@pytest.mark.parametrize("codec", CODECS)
def test_memory_over_a_thousand_connections(codec: str, figures: Figures) -> None:
    require_rtsp_server()
    script = Path(__file__).parent / "connect_often.py"
    with RtspCamera(free_ports(1)[0], codec, rate=60) as camera, cutting_proxy(camera.port, 60_000) as port:
        command = [sys.executable, str(script), f"rtsp://127.0.0.1:{port}/cam", str(CONNECTIONS)]
        started_s = time.monotonic()
        done = subprocess.run(command, capture_output=True, text=True, timeout=3600, check=True)
        took_s = time.monotonic() - started_s
    lines = np.array([[int(word) for word in line.split()] for line in done.stdout.splitlines()])
    settled = lines[lines[:, 0] >= SETTLED_AFTER]
    slope_mb = float(np.polyfit(settled[:, 0], settled[:, 1], 1)[0]) * CONNECTIONS / 1e6
    figures.keep(
        {
            "connections": int(lines[-1, 0]),
            "frames": int(lines[-1, 2]),
            "seconds": round(took_s),
            "resident_mb_at_the_first_10_200_and_the_end": ", ".join(
                f"{value / 1e6:.1f}" for value in (lines[0, 1], settled[0, 1], lines[-1, 1])
            ),
            "slope_mb_per_1000_connections_after_200": round(slope_mb, 2),
        }
    )
    assert lines[-1, 0] == CONNECTIONS
    assert slope_mb <= SLOPE_MAX_MB
