"""A worker is killed in the midst of its work; the next one goes on as if nothing had happened."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import threading
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import ModuleType

import msgspec
import numpy as np
import pytest

from gradwatch.monitor.worker.threads import Worker
from gradwatch.streams.publish import publish
from gradwatch.streams.recordings.pictures import jpegs
from gradwatch.streams.recordings.played import Playback
from gradwatch.streams.transport.admin import delete_topics, ensure_topics
from gradwatch.streams.transport.producer import BoundedProducer
from gradwatch.streams.transport.reader import TopicReader
from gradwatch.streams.transport.state import StateReader
from gradwatch.streams.wire.messages import Alert, AlertState, FrameReport, Outcome
from gradwatch.streams.wire.outputs import decode_alert, decode_report, encode_report
from gradwatch.streams.wire.pixels import encode_jpeg
from gradwatch.streams.wire.topics import Topics

SCRIPT = Path(__file__).with_name("stub_worker.py")
PICTURES = [encode_jpeg(np.full((24, 32, 3), i, np.uint8)) for i in range(200)]


class Outputs:
    """Everything that came out under one prefix, read as it comes."""

    def __init__(self, broker: str, topics: Topics) -> None:
        self.reports: dict[str, list[FrameReport]] = defaultdict(list)
        self.alerts: list[Alert] = []
        self._topics = topics
        self._reader = TopicReader(broker, [topics.reports, topics.alerts])

    def read_until(self, done: Callable[[Outputs], bool], timeout_s: float = 120.0) -> None:
        deadline_s = time.monotonic() + timeout_s
        while not done(self):
            assert time.monotonic() < deadline_s, f"only {len(self.reports)} frames reported after {timeout_s} s"
            self._poll(0.05)

    def read_rest(self) -> None:
        """What still comes; nothing more is read then."""
        with self._reader:
            while self._poll(0.5):
                pass

    def _poll(self, timeout_s: float) -> int:
        records = self._reader.poll(timeout_s)
        for record in records:
            if record.topic == self._topics.alerts:
                self.alerts.append(decode_alert(record.value))
            else:
                report = decode_report(record.value)
                self.reports[str(report.identity)].append(report)
        return len(records)

    @property
    def repeated(self) -> int:
        """Reports of frames that had one already."""
        return sum(map(len, self.reports.values())) - len(self.reports)

    def bodies(self) -> dict[str, set[bytes]]:
        """The bodies of each frame's reports but for what the clock said."""
        return {
            name: {encode_report(msgspec.structs.replace(report, latency_ms={})) for report in reports}
            for name, reports in self.reports.items()
        }

    def revisions(self) -> dict[tuple[str, int], set[bytes]]:
        found: dict[tuple[str, int], set[bytes]] = defaultdict(set)
        for alert in self.alerts:
            found[alert.alert_id, alert.revision].add(msgspec.json.encode(alert))
        return dict(found)


@contextmanager
def worker_process(broker: str, topics: Topics, *instance_id: str) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, str(SCRIPT), broker, topics.frames, topics.prefix, "0.005", *instance_id]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def play(broker: str, topics: Topics, streams: tuple[str, ...], frames: int) -> int:
    """Publishes `frames` of each stream, each to a partition of its own; returns how many in all."""
    with BoundedProducer(broker) as producer:
        for partition, stream in enumerate(streams):
            source = jpegs(PICTURES[:frames], Playback(rate_hz=5))
            publish(source, producer, topics, stream, pace=False, partition=partition)
    return frames * len(streams)


def stub_worker() -> ModuleType:
    spec = importlib.util.spec_from_file_location("stub_worker", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@contextmanager
def worker_thread(broker: str, topics: Topics, observe_s: float) -> Iterator[Worker]:
    worker, producer = stub_worker().build(broker, topics, observe_s)
    thread = threading.Thread(target=worker.run, daemon=True)
    thread.start()
    try:
        yield worker
    finally:
        worker.stop()
        thread.join(60)
        producer.close()
    assert not thread.is_alive()
    assert worker.failure is None


def undisturbed(broker: str, topics: Topics, frames: int) -> Outputs:
    outputs = Outputs(broker, topics)
    with worker_thread(broker, topics, 0.0):
        outputs.read_until(lambda seen: len(seen.reports) == frames)
    outputs.read_rest()
    return outputs


def assert_nothing_tells(outputs: Outputs, expected: Outputs) -> None:
    """Every frame was judged, and whatever was said of it, once or more often, is what an undisturbed worker says."""
    assert {r.outcome for reports in outputs.reports.values() for r in reports} == {Outcome.JUDGED}
    assert outputs.bodies() == expected.bodies()  # calibration ids among them
    assert outputs.revisions() == expected.revisions()


@pytest.fixture
def second_prefix(broker: str, topics: Topics) -> Iterator[Topics]:
    again = Topics(f"t{uuid.uuid4().hex[:8]}.", topics.frames)
    ensure_topics(broker, again, 3)
    yield again
    delete_topics(broker, set(again.settings()) - {topics.frames})


def test_killed_twice_and_nothing_tells(
    broker: str, topics: Topics, second_prefix: Topics, request: pytest.FixtureRequest
) -> None:
    """Once while a stream calibrates on its own start, once while an alert is open. On Apache Kafka a static member."""
    instance_id = ["one"] if request.node.callspec.params["broker"] == "kafka" else []
    frames = play(broker, topics, ("town", "gate"), 200)
    outputs = Outputs(broker, topics)
    with worker_process(broker, topics, *instance_id):
        outputs.read_until(lambda seen: len(seen.reports) > 60)
    with worker_process(broker, topics, *instance_id):
        outputs.read_until(lambda seen: len(seen.alerts) >= 1)
    with worker_process(broker, topics, *instance_id) as last:
        outputs.read_until(lambda seen: len(seen.reports) == frames)
        last.terminate()
        assert last.wait(60) == 0
    outputs.read_rest()
    expected = undisturbed(broker, second_prefix, frames)
    assert {alert.state for alert in expected.alerts} == {AlertState.OPEN, AlertState.CLOSED}
    assert_nothing_tells(outputs, expected)
    assert outputs.repeated < 150  # each goes on from the last state, not from the start
    # the clean frames of the start are gone
    assert stored_keys(broker, topics) == {"town", "town/calibration", "gate", "gate/calibration"}


def test_a_partition_that_moves_takes_its_stream_along(broker: str, topics: Topics, second_prefix: Topics) -> None:
    """A second worker joins and gets a partition, then the first leaves; all streams still calibrate."""
    frames = play(broker, topics, ("town", "gate", "yard"), 90)
    outputs = Outputs(broker, topics)
    with ExitStack() as leaving:
        # so slow that frames are left when the second has joined, also on a busy machine
        first = leaving.enter_context(worker_thread(broker, topics, 0.12))
        outputs.read_until(lambda seen: len(seen.reports) > 20)
        with worker_thread(broker, topics, 0.005) as second:
            outputs.read_until(lambda seen: second.reports > 20)
            leaving.close()
            outputs.read_until(lambda seen: len(seen.reports) == frames)
    outputs.read_rest()
    assert min(first.reports, second.reports) > 20
    assert_nothing_tells(outputs, undisturbed(broker, second_prefix, frames))
    assert outputs.repeated <= 10  # what was begun was finished, stored and committed before it went


def stored_keys(broker: str, topics: Topics) -> set[str]:
    reader = StateReader(broker, topics.state)
    reader.start(range(3))
    while (found := reader.step(0.1)) is None:
        pass
    return {key for values in found.values() for key in values}
