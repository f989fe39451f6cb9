"""Load, workers and what comes out, for tests that break things between them."""

from __future__ import annotations

import os
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from gradwatch.monitor.config import from_tree
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

from ..stub_worker import JUDGE, SIZE, SeqObserver, WorkerProcess, observation, picture
from ..waiting import wait_until

CALIBRATES_FROM, CALIBRATES = 2048, 150  # frames that no test plays

Place = tuple[str, str, int]  # stream, run, seq


def wait(condition: Callable[[], bool], limit_s: float, what: str, worker: WorkerProcess | None = None) -> None:
    """Returns once `condition` holds; fails after `limit_s`, or when `worker` ends by itself."""

    def holds() -> bool:
        if worker is not None and not worker.running:
            pytest.fail(f"waited for {what}; the log of the worker that ended:\n{worker.said()}")
        return condition()

    wait_until(holds, limit_s, lambda: what if worker is None else f"{what}; the log of the worker:\n{worker.said()}")


def make_calibration(folder: Path, number: int, rate_hz: float) -> Path:
    """The calibration of stream `number`, from clean frames of its own."""
    settings = from_tree({"judge": JUDGE}).judge
    judge = Judge({}, SeqObserver.models_id, settings)
    seen = [
        (offline_stamp("calibration", i, round(i * 1e9 / rate_hz)), observation(number, CALIBRATES_FROM + i))
        for i in range(CALIBRATES)
    ]
    made = judge.calibrate(clean_frames(seen, judge), f"cam{number}", seen[0][1].size)
    path = folder / f"cam{number}.calibration"
    path.write_bytes(dump(made))
    return path


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
