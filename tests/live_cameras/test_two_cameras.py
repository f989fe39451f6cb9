"""Two cameras at 30 Hz, judged live on what this machine has, beside two recordings of which no frame may be lost.

Real networks, a real broker, every part its own process. Wants two quiet cores: on a busy machine it says nothing.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gradwatch.streams.recordings.video import read_video
from gradwatch.streams.transport.admin import ensure_topics
from gradwatch.streams.transport.reader import TopicReader
from gradwatch.streams.wire.messages import FrameReport, Outcome
from gradwatch.streams.wire.outputs import decode_report
from gradwatch.streams.wire.pixels import encode_jpeg
from gradwatch.streams.wire.topics import Topics

from ..figures import Figures
from ..places import MOTORWAY
from .loopback import MjpegCamera

pytestmark = pytest.mark.faults

CAMERA_HZ, WATCHED_S = 30.0, 60.0
JUDGED_HZ, FAIRNESS, AGE_P99_S = 3.0, 0.1, 0.6
RECORDING_HZ, RECORDING_S = 1.0, 60.0
BUSY = 1.0  # load per core before anything is started, above which times say nothing


@contextmanager
def gradwatch(folder: Path, verb: str, *options: object) -> Iterator[subprocess.Popen[bytes]]:
    """A verb as a child process that gets SIGTERM at the end."""
    log = folder / f"{verb}-{uuid.uuid4().hex[:6]}.log"
    command = [sys.executable, "-m", "gradwatch.monitor.commands", verb, *map(str, options)]
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out)
    try:
        yield process
        process.send_signal(signal.SIGTERM)
        assert process.wait(90) == 0, log.read_text()[-2000:]
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def configuration(folder: Path, kafka: str, policy: str, cameras: dict[str, dict[str, Any]]) -> tuple[Path, Topics]:
    prefix = f"{policy}{uuid.uuid4().hex[:6]}."
    topics = Topics(prefix, prefix + "frames")
    ensure_topics(kafka, topics, 4)
    tree = {
        "broker": {"bootstrap_servers": kafka},
        "topics": {"frames": topics.frames, "prefix": prefix},
        "worker": {"policy": policy, "group_id": prefix + "group"},
        "cameras": cameras,
    }
    path = folder / f"{policy}.yaml"
    path.write_text(json.dumps(tree))
    return path, topics


def reports_of(kafka: str, topics: Topics) -> dict[str, list[FrameReport]]:
    """All reports by stream, once no more arrive."""
    found: dict[str, list[FrameReport]] = defaultdict(list)
    with TopicReader(kafka, [topics.reports]) as reader:
        quiet_s = time.monotonic() + 5.0
        while time.monotonic() < quiet_s:
            for record in reader.poll(0.2):
                quiet_s = time.monotonic() + 3.0
                report = decode_report(record.value or b"")
                found[report.identity.stream_id].append(report)
    return found


def published(figures: Path) -> dict[str, int]:
    return {entry["stream_id"]: entry["published"] for entry in json.loads(figures.read_text())["sources"]}


def test_two_cameras_live_beside_two_recordings(kafka: str, tmp_path: Path, figures: Figures) -> None:
    load = os.getloadavg()[0] / (os.cpu_count() or 1)
    if load > BUSY:
        pytest.skip(f"this machine is too busy to time anything: load {load:.1f} per core")
    pictures = [encode_jpeg(frame.pixels()) for frame in read_video(MOTORWAY)]
    recordings = {f"drive-{n}": {"url": str(MOTORWAY), "rate_hz": RECORDING_HZ, "partition": n} for n in range(2)}
    files = {name: tmp_path / f"{name}.json" for name in ("cameras", "recordings")}
    with ExitStack() as stack:
        servers = [stack.enter_context(MjpegCamera(pictures, CAMERA_HZ)) for _ in range(2)]
        cameras = {f"cam-{n}": {"url": server.url, "partition": n} for n, server in enumerate(servers)}
        live, live_topics = configuration(tmp_path, kafka, "live", cameras)
        every, every_topics = configuration(tmp_path, kafka, "every_frame", recordings)
        for config in (live, every):
            ready = tmp_path / f"{config.stem}.ready"
            stack.enter_context(gradwatch(tmp_path, "work", "--config", config, "--ready-file", ready))
            while not ready.exists():
                time.sleep(0.1)
        with (
            gradwatch(tmp_path, "attach", "--config", every, "--json", files["recordings"]),
            gradwatch(tmp_path, "attach", "--config", live, "--json", files["cameras"]),
        ):
            time.sleep(WATCHED_S)
        seen = reports_of(kafka, live_topics)
        judged_later = reports_of(kafka, every_topics)
    keep_and_judge(seen, published(files["cameras"]), judged_later, published(files["recordings"]), figures)


def keep_and_judge(
    seen: dict[str, list[FrameReport]],
    came: dict[str, int],
    recorded: dict[str, list[FrameReport]],
    played: dict[str, int],
    figures: Figures,
) -> None:
    judged = {name: [r for r in reports if r.outcome is Outcome.JUDGED] for name, reports in seen.items()}
    rates = {name: len(reports) / WATCHED_S for name, reports in judged.items()}
    ages_s = [report.latency_ms["age"] / 1e3 for reports in judged.values() for report in reports]
    causes = Counter(str(r.cause) for reports in seen.values() for r in reports if r.outcome is not Outcome.JUDGED)
    lost = {name: played[name] - sum(r.outcome is Outcome.JUDGED for r in recorded[name]) for name in played}
    figures.keep(
        {
            "frames_published_hz": {name: round(count / WATCHED_S, 1) for name, count in came.items()},
            "judged_hz": {name: round(rate, 2) for name, rate in rates.items()},
            "age_p99_s": round(float(np.percentile(ages_s, 99)), 3),
            "not_judged_by_cause": dict(causes),
            "frames_of_recordings": played,
            "of_those_not_judged": lost,
        }
    )
    assert {name: len(reports) for name, reports in seen.items()} == came
    assert "None" not in causes
    assert not any(lost.values())
    assert min(rates.values()) >= JUDGED_HZ
    assert max(rates.values()) <= (1 + FAIRNESS) * min(rates.values())
    assert np.percentile(ages_s, 99) <= AGE_P99_S
