"""Twice as many frames as the networks can look at: ages stay bounded, streams share evenly, nothing goes unreported.

The broker is real, the networks are a sleep of a stated length. That nothing goes unreported is tested with all tests;
ages and shares depend on the machine, and are measured with the other faults.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable

import numpy as np
import pytest

from gradwatch.models.outputs import Observation
from gradwatch.monitor.config import WorkerSettings
from gradwatch.monitor.judging.judge import Judge
from gradwatch.monitor.judging.settings import JudgeSettings
from gradwatch.monitor.worker.pipeline import Pipeline
from gradwatch.monitor.worker.threads import Worker
from gradwatch.streams.dead_letters import DeadLetters
from gradwatch.streams.publish import publish
from gradwatch.streams.recordings.pictures import jpegs
from gradwatch.streams.recordings.played import Playback
from gradwatch.streams.sinks import KafkaSink
from gradwatch.streams.transport.consumer import FrameConsumer
from gradwatch.streams.transport.producer import BoundedProducer
from gradwatch.streams.wire.messages import FrameReport, Outcome, OutcomeCause
from gradwatch.streams.wire.outputs import decode_report

from ..brokers import make_topics, read_records
from ..builders import noise_jpeg, plain_observation
from ..waiting import LIMIT_S
from .cluster import Cluster
from .figures import Figures

PARTITIONS = 4
OBSERVE_S = 0.05
CAPACITY_HZ = 1 / OBSERVE_S
IDLE_S = 2.0
SLACK_S = 0.1  # from the bound on a frame's age, until its report
MIB = 1 << 20


class SleepingObserver:
    """Networks that take `OBSERVE_S` a frame and see nothing."""

    def observe(self, images: list[np.ndarray], seqs: list[int]) -> list[Observation]:
        time.sleep(OBSERVE_S * len(images))
        return [plain_observation(size=(320, 240)) for _ in seqs]


class Clockwork(threading.Thread):
    """Sleeps 10 ms over and over and notes how late it wakes: what this machine adds to any time, ours or not."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.late_s: list[float] = []
        self.ended = threading.Event()

    def run(self) -> None:
        while not self.ended.is_set():
            started_s = time.monotonic()
            time.sleep(0.01)
            self.late_s.append(time.monotonic() - started_s - 0.01)

    def skip_if_late(self) -> None:
        """Nothing can be said about time on a machine whose processors are taken."""
        late_s = float(np.percentile(self.late_s, 99))
        if late_s > SLACK_S / 10:
            pytest.skip(f"this machine is too busy to time anything: sleeps end {1e3 * late_s:.0f} ms late (p99)")


class Overload:
    """A worker on fresh topics, and sources that publish to it; `run` ends once all is reported."""

    def __init__(self, address: str, picture: bytes, **settings: object) -> None:
        self.address, self.picture = address, picture
        self.topics = make_topics(address, PARTITIONS)
        self.producer, self.out = BoundedProducer(address), BoundedProducer(address)
        # not calibrated: every frame would be kept for it, and this is about time and memory
        judge = Judge({}, "stub", JudgeSettings(calibration_frames=10**6))
        sink, dead = KafkaSink(self.out, self.topics, self.out), DeadLetters(self.out, self.topics)
        consumer = FrameConsumer(address, self.topics.frames, self.topics.prefix + "group", session_timeout_s=3.0)
        self.worker = Worker(consumer, Pipeline(SleepingObserver(), judge, sink, dead), WorkerSettings(**settings))
        self.published: dict[str, int] = {}
        self.clockwork = Clockwork()

    def run(self, streams: dict[str, tuple[float, int]], length_s: float, pace: bool = True) -> list[FrameReport]:
        """Publishes each stream (rate in Hz, partition) for `length_s`; returns the reports once nothing more comes.

        Without `pace` all frames lie in the topic before the worker begins.
        """
        ready = threading.Event()
        working = threading.Thread(target=self.worker.run, args=(IDLE_S, ready.set))
        sources = [
            threading.Thread(target=self._publish, args=(name, *stream, length_s, pace))
            for name, stream in streams.items()
        ]
        self.clockwork.start()
        if pace:
            working.start()
            assert ready.wait(LIMIT_S)
        for source in sources:
            source.start()
        for source in sources:
            source.join()
        if not pace:
            working.start()
        self.clockwork.ended.set()
        working.join()
        self.producer.close()
        self.out.close()
        return self._reports()

    def _publish(self, name: str, rate_hz: float, partition: int, length_s: float, pace: bool) -> None:
        source = jpegs([self.picture], Playback(rate_hz, to_and_fro=True, frames=round(rate_hz * length_s)))
        done = publish(source, self.producer, self.topics, name, pace=pace, partition=partition, flush_s=60.0)
        self.published[name] = done.published

    def _reports(self) -> list[FrameReport]:
        records = read_records(self.address, [self.topics.reports], sum(self.published.values()))
        return [decode_report(record.value or b"") for record in records]


@pytest.fixture(scope="module")
def picture() -> bytes:
    return noise_jpeg(0, (320, 240), quality=80)


def equal_streams(partition: Callable[[int], int]) -> dict[str, tuple[float, int]]:
    """Four streams that together come twice as fast as the observer works."""
    return {f"camera-{n}": (2 * CAPACITY_HZ / 4, partition(n)) for n in range(4)}


def assert_one_report_each(overload: Overload, reports: list[FrameReport]) -> None:
    """Every frame has one report, and every frame that was shed says why."""
    seen = Counter(report.identity.stream_id for report in reports)
    assert seen == overload.published
    assert len({report.identity for report in reports}) == len(reports)
    assert all((report.cause is None) == (report.outcome is Outcome.JUDGED) for report in reports)


def age_p99_s(reports: list[FrameReport]) -> float:
    """From publishing a judged frame to its report."""
    return float(np.percentile([r.latency_ms["age"] / 1e3 for r in reports if r.outcome is Outcome.JUDGED], 99))


def dropped(reports: list[FrameReport]) -> dict[str, int]:
    counts: dict[str, int] = defaultdict(int)
    for report in reports:
        counts[report.identity.stream_id] += report.outcome is Outcome.DROPPED
    return counts


def test_live_sheds_and_reports_every_frame(embedded: str, picture: bytes) -> None:
    overload = Overload(embedded, picture, policy="live")
    reports = overload.run(equal_streams(lambda n: max(0, n - 1)), 4.0)
    assert_one_report_each(overload, reports)
    assert min(dropped(reports).values()) > 0  # overload indeed
    assert {report.cause for report in reports} <= {None, OutcomeCause.SUPERSEDED, OutcomeCause.STALE}


@pytest.mark.faults
def test_two_minutes_of_twice_too_many_frames(cluster: Cluster, picture: bytes, figures: Figures) -> None:
    """Streams shed evenly and in time; two of the four share a partition, which must not cost them anything."""
    length_s = 120.0
    overload = Overload(cluster.bootstrap_servers, picture, policy="live")
    reports = overload.run(equal_streams(lambda n: max(0, n - 1)), length_s)
    assert_one_report_each(overload, reports)
    shed = dropped(reports)
    assert min(shed.values()) > 0.3 * length_s * CAPACITY_HZ / 4  # overload indeed
    assert max(shed.values()) - min(shed.values()) <= 0.1 * max(shed.values())
    overload.clockwork.skip_if_late()
    assert age_p99_s(reports) <= overload.worker.settings.max_frame_age_s + SLACK_S
    figures.keep(
        {
            "frames": sum(overload.published.values()),
            "reports": len(reports),
            "dropped, by stream": dict(sorted(shed.items())),
            "age at report p99, s": round(age_p99_s(reports), 3),
            "longest age allowed, s": overload.worker.settings.max_frame_age_s + SLACK_S,
        }
    )


@pytest.mark.faults
def test_a_fast_stream_starves_no_slow_one(embedded: str, picture: bytes) -> None:
    """Of three slow streams each gets what it asks for, or as much as the one that is seven times as fast."""
    overload = Overload(embedded, picture, policy="live")
    slow = {f"slow-{n}": (4.0, 0) for n in range(3)}
    reports = overload.run({"fast": (28.0, 0)} | slow, 6.0)
    assert_one_report_each(overload, reports)
    overload.clockwork.skip_if_late()
    judged = Counter(report.identity.stream_id for report in reports if report.outcome is Outcome.JUDGED)
    assert judged["fast"] < 0.5 * overload.published["fast"]
    assert all(judged[name] >= 0.9 * min(overload.published[name], judged["fast"]) for name in slow)


def test_every_frame_holds_the_consumer_back_and_memory_stays_flat(embedded: str, picture: bytes) -> None:
    """All frames at once, far more bytes than may wait: none is lost, and what waits stays within the bound."""
    padded = picture + bytes(150_000 - len(picture))
    overload = Overload(embedded, padded, policy="every_frame", max_pending_bytes=4 * MIB)
    worker, held = overload.worker, []
    poll = worker.consumer.poll

    def polling(timeout_s: float) -> list:
        held.append((worker.consumer.offsets.unfinished_bytes, worker.consumer._paused))
        return poll(timeout_s)

    worker.consumer.poll = polling
    reports = overload.run({f"camera-{n}": (20.0, n) for n in range(4)}, 1.0, pace=False)
    assert_one_report_each(overload, reports)
    assert {report.outcome for report in reports} == {Outcome.JUDGED}
    assert any(paused for _, paused in held)
    one_poll = 64 * len(padded)
    assert max(size for size, _ in held) <= 4 * MIB + one_poll + 8 * len(padded)
