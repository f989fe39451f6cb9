"""Load, workers and what comes out, for tests that break things between them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from msgspec.structs import replace

from gradwatch.monitor.config import WorkerSettings, from_tree
from gradwatch.monitor.judging.judge import Judge
from gradwatch.monitor.judging.offline import clean_frames, offline_stamp
from gradwatch.monitor.worker.stored_state import dump
from gradwatch.streams.publish import SourceSummary, publish
from gradwatch.streams.recordings.pictures import jpegs
from gradwatch.streams.recordings.played import Playback
from gradwatch.streams.transport.producer import BoundedProducer
from gradwatch.streams.transport.reader import TopicReader
from gradwatch.streams.wire.frames import decode_frame
from gradwatch.streams.wire.messages import Alert, FrameReport
from gradwatch.streams.wire.outputs import decode_alert, decode_report
from gradwatch.streams.wire.topics import Topics

from .stub_worker import SIZE, StubObserver, observation, picture

SCRIPT = Path(__file__).parent / "stub_worker.py"
JUDGE: dict[str, Any] = {"calibration_frames": 100, "alarms": {"bootstrap_hours": 2}}
CALIBRATES_FROM, CALIBRATES = 2048, 150  # frames that no test plays

Place = tuple[str, str, int]  # stream, run, seq


def wait(condition: Callable[[], bool], timeout_s: float, what: str, worker: WorkerProcess | None = None) -> None:
    """Returns once `condition` holds; fails after `timeout_s`, or when `worker` ends by itself."""
    started_s = time.monotonic()
    while not condition():
        gone = worker is not None and not worker.running
        if gone or time.monotonic() - started_s > timeout_s:
            end = "" if worker is None else f"; the log of the worker{' that ended' if gone else ''}:\n{worker.said()}"
            pytest.fail(f"not within {timeout_s} s: {what}{end}")
        time.sleep(0.02)


def make_calibration(folder: Path, number: int, rate_hz: float) -> Path:
    """The calibration of stream `number`, from clean frames of its own."""
    settings = from_tree({"judge": JUDGE}).judge
    judge = Judge({}, StubObserver.models_id, settings)
    seen = [
        (
            offline_stamp("calibration", i, round(i * 1e9 / rate_hz)),
            observation(number, CALIBRATES_FROM + i, always_clean=True),
        )
        for i in range(CALIBRATES)
    ]
    made = judge.calibrate(clean_frames(seen, judge), f"cam{number}", seen[0][1].size)
    path = folder / f"cam{number}.calibration"
    path.write_bytes(dump(made))
    return path


def write_configuration(
    folder: Path, servers: str, topics: Topics, calibrations: dict[int, Path], **worker: Any
) -> Path:
    """The configuration of a worker with outputs under `topics.prefix`."""
    settings = {"policy": "every_frame", "group_id": topics.prefix + "group", "session_timeout_s": 3.0} | worker
    tree = {
        "broker": {"bootstrap_servers": servers},
        "topics": {"frames": topics.frames, "prefix": topics.prefix},
        "worker": settings,
        "judge": JUDGE,
        "streams": {f"cam{n}": {"calibration": str(path)} for n, path in calibrations.items()},
    }
    path = folder / f"{topics.prefix}{settings.get('instance_id', '')}.yaml"
    path.write_text(yaml.safe_dump(tree))
    return path


def static_member(name: str) -> dict[str, str]:
    """Settings that make a worker a static member of its group: it takes its partitions up again at once."""
    return {"instance_id": name} if "instance_id" in WorkerSettings.__struct_fields__ else {}


class Load:
    """Cameras of this process, one thread each, at a true pace until stopped."""

    def __init__(
        self, servers: str, topics: Topics, streams: int, rate_hz: float, size: tuple[int, int] = SIZE
    ) -> None:
        self.summaries: list[SourceSummary] = []
        self._producer = BoundedProducer(servers)
        self._stop = threading.Event()
        play = Playback(rate_hz, to_and_fro=True)

        def camera(number: int) -> None:
            source = jpegs([picture(number, size)], play)
            self.summaries.append(
                publish(
                    source, self._producer, topics, f"cam{number}", pace=True, partition=number % 4, stop=self._stop
                )
            )

        self._threads = [threading.Thread(target=camera, args=(n,), daemon=True) for n in range(streams)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> list[SourceSummary]:
        """Ends all cameras; what became of their frames."""
        self._stop.set()
        self.join()
        return self.summaries

    def join(self) -> None:
        for thread in self._threads:
            thread.join()
        self._producer.close()


class Outputs:
    """Everything under one prefix, as it comes; reads on its own thread."""

    def __init__(self, servers: str, topics: Topics) -> None:
        self.reports: dict[Place, list[FrameReport]] = defaultdict(list)
        self.alerts: dict[tuple[str, int], list[Alert]] = defaultdict(list)
        self.came_s: list[float] = []  # when the first report of each frame came
        self._stopping = threading.Event()
        self._reader = TopicReader(servers, [topics.reports, topics.alerts])
        self._topics = topics
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        while not self._stopping.is_set():
            for record in self._reader.poll(0.05):
                if record.topic == self._topics.alerts:
                    alert = decode_alert(record.value)
                    self.alerts[alert.alert_id, alert.revision].append(alert)
                    continue
                report = decode_report(record.value)
                identity = report.identity
                known = self.reports[identity.stream_id, identity.run_id, identity.seq]
                if not known:
                    self.came_s.append(time.monotonic())
                known.append(report)

    def __enter__(self) -> Outputs:
        return self

    def __exit__(self, *exc: object) -> None:
        self._stopping.set()
        self._thread.join()
        self._reader.__exit__(None, None, None)

    def new_since(self, since_s: float) -> float | None:
        """When the first report of a frame that had none came after `since_s`."""
        return next((came_s for came_s in self.came_s if came_s > since_s), None)

    def repeated(self) -> int:
        return sum(len(known) - 1 for known in self.reports.values())


class WorkerProcess:
    """`gradwatch work` on a stub observer, or on the real networks."""

    def __init__(self, config: Path, *options: object, real: bool = False, sleep_s: float = 0.0) -> None:
        self.log = config.with_suffix(".log")
        program = ["-m", "gradwatch.monitor.commands"] if real else [str(SCRIPT)]
        command = [sys.executable, *program, "work", "--config", str(config), *map(str, options)]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command, stdout=log, stderr=log, env={**os.environ, "GRADWATCH_STUB_SLEEP_S": str(sleep_s)}
            )

    def said(self) -> str:
        """The end of its log."""
        return self.log.read_text(errors="replace")[-3000:]

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def stop(self, timeout_s: float = 30.0) -> int:
        """SIGTERM, and the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout_s)

    @property
    def running(self) -> bool:
        return self.process.poll() is None

    def __enter__(self) -> WorkerProcess:
        return self

    def __exit__(self, *exc: object) -> None:
        if self.process.poll() is None:
            self.kill()


class Memory:
    """The largest resident memory of processes, looked at every half second."""

    def __init__(self, **pids: int) -> None:
        self.first_bytes: dict[str, int] = {}
        self.largest_bytes: dict[str, int] = {}
        self._pids = pids
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._stopping.wait(0.5):
            for name, pid in self._pids.items():
                statm = Path(f"/proc/{pid}/statm")
                if statm.is_file() and (fields := statm.read_text().split()):
                    now_bytes = int(fields[1]) * os.sysconf("SC_PAGE_SIZE")
                    self.first_bytes.setdefault(name, now_bytes)
                    self.largest_bytes[name] = max(now_bytes, self.largest_bytes.get(name, 0))

    def __enter__(self) -> Memory:
        return self

    def __exit__(self, *exc: object) -> None:
        self._stopping.set()
        self._thread.join()

    def grown_mib(self) -> dict[str, int]:
        return {f"{n}_grown_mib": (most - self.first_bytes[n]) >> 20 for n, most in self.largest_bytes.items()}

    def largest_mib(self) -> dict[str, int]:
        return {f"{n}_largest_mib": most >> 20 for n, most in self.largest_bytes.items()}


def frames_in(servers: str, topics: Topics) -> set[Place]:
    """Every frame that the broker keeps."""
    found: set[Place] = set()
    with TopicReader(servers, [topics.frames]) as reader:
        quiet_s = time.monotonic() + 3.0
        while time.monotonic() < quiet_s:
            for record in reader.poll(0.2):
                quiet_s = time.monotonic() + 1.5
                identity = decode_frame(record).stamp.identity
                found.add((identity.stream_id, identity.run_id, identity.seq))
    return found


def places(summaries: Collection[SourceSummary]) -> set[Place]:
    """Every frame of sources that lost none."""
    assert all(summary.frames == summary.published for summary in summaries), summaries
    return {(s.stream_id, s.run_id, seq) for s in summaries for seq in range(s.published)}


def said(report: FrameReport) -> bytes:
    """A report but for how long things took."""
    return msgspec.msgpack.encode(replace(report, latency_ms={}), enc_hook=_plain)


def _plain(array: Any) -> Any:
    return [str(array.dtype), list(array.shape), array.tobytes()]


def assert_repeats_are_equal(outputs: Outputs) -> None:
    for place, known in outputs.reports.items():
        assert len({said(report) for report in known}) == 1, f"the reports of {place} differ"
    for name, revisions in outputs.alerts.items():
        assert all(alert == revisions[0] for alert in revisions), f"the bodies of alert {name} differ: {revisions}"


def assert_same(outputs: Outputs, reference: Outputs) -> None:
    """The undisturbed run over the same frames said the same."""
    assert set(outputs.reports) == set(reference.reports)
    assert set(outputs.alerts) == set(reference.alerts)
    for name, revisions in reference.alerts.items():
        assert outputs.alerts[name][0] == revisions[0], f"alert {name} is not that of the undisturbed run"
    different = [p for p, known in reference.reports.items() if said(known[0]) != said(outputs.reports[p][0])]
    assert not different, f"{len(different)} of {len(reference.reports)} reports differ, first {sorted(different)[:3]}"
