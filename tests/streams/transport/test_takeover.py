"""A worker is killed in the midst of its work; the next one goes on as if nothing had happened."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgspec
import pytest

from gradwatch.monitor.config import load
from gradwatch.monitor.worker import ledgers
from gradwatch.monitor.worker.build import build_judge, topics_of
from gradwatch.monitor.worker.moved_streams import MovedStreams
from gradwatch.monitor.worker.ownership import Ownership
from gradwatch.monitor.worker.pipeline import Pipeline
from gradwatch.monitor.worker.threads import Worker
from gradwatch.streams.dead_letters import DeadLetters
from gradwatch.streams.publish import publish
from gradwatch.streams.recordings.pictures import jpegs
from gradwatch.streams.recordings.played import Playback
from gradwatch.streams.sinks import KafkaSink
from gradwatch.streams.transport.admin import delete_topics, ensure_topics
from gradwatch.streams.transport.consumer import FrameConsumer
from gradwatch.streams.transport.producer import BoundedProducer
from gradwatch.streams.transport.reader import TopicReader
from gradwatch.streams.transport.state import StateReader, StateTopic
from gradwatch.streams.wire.messages import Alert, AlertState, FrameReport, Outcome
from gradwatch.streams.wire.outputs import decode_alert, decode_report, encode_report
from gradwatch.streams.wire.topics import Topics

from ...brokers import unused_names
from ...stub_worker import SeqObserver, WorkerProcess, picture, write_configuration
from ...waiting import wait_until

FRAMES = 200  # of a stream, when it is watched and not only calibrates
SHIFTED = range(125, 165)
PARTITIONS = 3


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


def configuration(folder: Path, broker: str, topics: Topics, **worker: object) -> Path:
    return write_configuration(folder, broker, topics, session_timeout_s=2.0, state_interval_s=0.2, **worker)


def play(broker: str, topics: Topics, streams: int, frames: int) -> int:
    """Publishes `frames` of each stream, each to a partition of its own; returns how many in all."""
    with BoundedProducer(broker) as producer:
        for number in range(streams):
            source = jpegs([picture(number)] * frames, Playback(rate_hz=5))
            publish(source, producer, topics, f"cam{number}", pace=False, partition=number)
    return frames * streams


@contextmanager
def worker_thread(config: Path, sleep_s: float = 0.0) -> Iterator[Worker]:
    """A worker as `gradwatch work` makes it, but for the networks; without verdicts."""
    settings = load(config)
    servers, topics, observer = settings.broker.bootstrap_servers, topics_of(settings), SeqObserver(sleep_s, SHIFTED)
    producer = BoundedProducer(servers)
    pipeline = Pipeline(
        observer, build_judge(settings, observer), KafkaSink(producer, topics, producer), DeadLetters(producer, topics)
    )
    states, moved = StateReader(servers, topics.state), MovedStreams(StateReader(servers, topics.state))
    ownership = Ownership(pipeline, states, StateTopic(producer, topics.state), settings.worker.state_interval_s, moved)
    group, session_s = settings.worker.group_id, settings.worker.session_timeout_s
    consumer = FrameConsumer(servers, topics.frames, group, session_timeout_s=session_s, owner=ownership)
    worker = Worker(consumer, pipeline, settings.worker, ownership=ownership)
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


def undisturbed(folder: Path, broker: str, topics: Topics, frames: int) -> Outputs:
    """What a worker that nobody disturbs says of the same frames, under another prefix."""
    again = Topics(unused_names().prefix, topics.frames)
    ensure_topics(broker, again, PARTITIONS)
    outputs = Outputs(broker, again)
    with worker_thread(configuration(folder, broker, again)):
        outputs.read_until(lambda seen: len(seen.reports) == frames)
    outputs.read_rest()
    delete_topics(broker, set(again.settings()) - {topics.frames})
    return outputs


def assert_nothing_tells(outputs: Outputs, expected: Outputs) -> None:
    """Every frame was judged, and whatever was said of it, once or more often, is what an undisturbed worker says."""
    assert {r.outcome for reports in outputs.reports.values() for r in reports} == {Outcome.JUDGED}
    assert outputs.bodies() == expected.bodies()  # calibration ids among them
    assert outputs.revisions() == expected.revisions()


def test_killed_twice_and_nothing_tells(
    broker: str, topics: Topics, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Once while a stream calibrates on its own start, once while an alert is open. On Apache Kafka a static member."""
    static = {"instance_id": "one"} if request.node.callspec.params["every_broker"] == "kafka" else {}
    config = configuration(tmp_path, broker, topics, **static)
    frames = play(broker, topics, 2, FRAMES)
    outputs = Outputs(broker, topics)
    with WorkerProcess(config, sleep_s=0.005, shifted=SHIFTED):
        outputs.read_until(lambda seen: len(seen.reports) > 60)
    with WorkerProcess(config, sleep_s=0.005, shifted=SHIFTED):
        outputs.read_until(lambda seen: len(seen.alerts) >= 1)
    with WorkerProcess(config, sleep_s=0.005, shifted=SHIFTED) as last:
        outputs.read_until(lambda seen: len(seen.reports) == frames)
        assert last.stop() == 0
    outputs.read_rest()
    expected = undisturbed(tmp_path, broker, topics, frames)
    assert {alert.state for alert in expected.alerts} == {AlertState.OPEN, AlertState.CLOSED}
    assert_nothing_tells(outputs, expected)
    assert outputs.repeated < 150  # each goes on from the last state, not from the start
    # the clean frames of the start are gone
    assert stored_keys(broker, topics) == {"cam0", "cam0/calibration", "cam1", "cam1/calibration"}


def test_a_partition_that_moves_takes_its_stream_along(broker: str, topics: Topics, tmp_path: Path) -> None:
    """A second worker joins and gets a partition, then the first leaves; all streams still calibrate."""
    config = configuration(tmp_path, broker, topics)
    frames = play(broker, topics, 3, 90)
    outputs = Outputs(broker, topics)
    with ExitStack() as leaving:
        # so slow that frames are left when the second has joined, also on a busy machine
        first = leaving.enter_context(worker_thread(config, 0.12))
        outputs.read_until(lambda seen: len(seen.reports) > 20)
        with worker_thread(config, 0.005) as second:
            outputs.read_until(lambda seen: second.reports > 20)
            leaving.close()
            outputs.read_until(lambda seen: len(seen.reports) == frames)
    outputs.read_rest()
    assert min(first.reports, second.reports) > 20
    assert_nothing_tells(outputs, undisturbed(tmp_path, broker, topics, frames))
    assert outputs.repeated <= 10  # what was begun was finished, stored and committed before it went


def test_a_stream_that_moves_to_a_partition_of_another_worker_keeps_its_calibration(
    broker: str, topics: Topics, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its source is started again with another partition; what it left behind is removed."""
    monkeypatch.setattr(ledgers, "MOVED_AFTER_S", 0.2)
    config = configuration(tmp_path, broker, topics)
    outputs = Outputs(broker, topics)
    with worker_thread(config) as first, worker_thread(config) as second:
        wait_until(lambda: len(first.consumer.assigned) + len(second.consumer.assigned) == PARTITIONS)
        wait_until(lambda: min(len(first.consumer.assigned), len(second.consumer.assigned)) > 0)
        wait_until(lambda: not first.consumer.held and not second.consumer.held)
        (old, *_), (new, *_) = sorted(first.consumer.assigned), sorted(second.consumer.assigned)
        for partition, frames in ((old, 120), (new, 20)):
            play_one(broker, topics, partition, frames)
            seen = frames + len(outputs.reports)
            outputs.read_until(lambda seen_now, enough=seen: len(seen_now.reports) == enough)
        wait_until(lambda: stored_in(broker, topics, old) == set())
    outputs.read_rest()
    reports = sorted(
        (one for (one,) in outputs.reports.values()), key=lambda report: (report.partition == new, report.offset)
    )
    made = reports[119].calibration_id
    assert made
    assert {report.calibration_id for report in reports[120:]} == {made}
    assert stored_in(broker, topics, new) == {"cam0", "cam0/calibration"}


def play_one(broker: str, topics: Topics, partition: int, frames: int) -> None:
    """Publishes a run of the first stream to this partition."""
    with BoundedProducer(broker) as producer:
        source = jpegs([picture(0)] * frames, Playback(rate_hz=5))
        publish(source, producer, topics, "cam0", pace=False, partition=partition)


def stored_in(broker: str, topics: Topics, partition: int) -> set[str]:
    reader = StateReader(broker, topics.state)
    reader.start([partition])
    return set(wait_until(lambda: reader.step(0.1))[partition])


def stored_keys(broker: str, topics: Topics) -> set[str]:
    reader = StateReader(broker, topics.state)
    reader.start(range(PARTITIONS))
    while (found := reader.step(0.1)) is None:
        pass
    return {key for values in found.values() for key in values}
