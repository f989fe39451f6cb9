"""A frame's trace context in all that is said of it, from a source through a real broker and worker."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest

from gradwatch.monitor.alarms.calibration import AlarmBudget
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
from gradwatch.streams.transport.admin import ensure_topics
from gradwatch.streams.transport.consumer import FrameConsumer
from gradwatch.streams.transport.embedded import EmbeddedBroker
from gradwatch.streams.transport.producer import BoundedProducer
from gradwatch.streams.transport.reader import TopicReader
from gradwatch.streams.wire.frames import decode_frame
from gradwatch.streams.wire.outputs import decode_alert, decode_report
from gradwatch.streams.wire.pixels import encode_jpeg
from gradwatch.streams.wire.records import Record
from gradwatch.streams.wire.topics import Topics

START, FRAMES = 100, 140  # frames to calibrate on, and all; they are shifted from 110 on
PICTURE = encode_jpeg(np.full((54, 96, 3), 120, np.uint8))


@dataclass
class StubObserver:
    """Knows what it says of every seq, whatever the picture."""

    said: list

    def observe(self, images, seqs):
        return [self.said[seq] for seq in seqs]


@pytest.fixture(scope="module")
def records(observations) -> Iterator[dict[str, list[Record]]]:
    """All records of the topics frames, reports, overlays and alerts, by topic, after one run."""
    said = observations(FRAMES, seed=5, shift=8.0, shifted_from=START + 10)
    topics = Topics("t.", "t.frames")
    judge = Judge({}, "models", JudgeSettings(calibration_frames=START, alarms=AlarmBudget(bootstrap_hours=1)))
    with EmbeddedBroker() as broker, BoundedProducer(broker.bootstrap_servers) as producer:
        ensure_topics(broker.bootstrap_servers, topics, partitions=1)
        publish(jpegs([PICTURE] * FRAMES, Playback(rate_hz=5)), producer, topics, "north", pace=False)
        pipeline = Pipeline(StubObserver(said), judge, KafkaSink(producer, topics), DeadLetters(producer, topics))
        consumer = FrameConsumer(broker.bootstrap_servers, topics.frames, "t.group", session_timeout_s=6.0)
        Worker(consumer, pipeline, WorkerSettings(policy="every_frame")).run(until_idle_s=0.5)
        names = [topics.frames, topics.reports, topics.overlays, topics.alerts]
        found: dict[str, list[Record]] = {name.removeprefix("t."): [] for name in names}
        with TopicReader(broker.bootstrap_servers, names) as reader:
            deadline_s = time.monotonic() + 20.0
            while min(len(found["reports"]), len(found["overlays"])) < FRAMES and time.monotonic() < deadline_s:
                for record in reader.poll(0.2):
                    found[record.topic.removeprefix("t.")].append(record)
            for record in [record for _ in range(3) for record in reader.poll(0.2)]:
                found[record.topic.removeprefix("t.")].append(record)
        yield found


@pytest.fixture(scope="module")
def traces(records: dict[str, list[Record]]) -> dict[int, str]:
    """What the source gave each frame, by seq."""
    frames = [decode_frame(record) for record in records["frames"]]
    return {frame.stamp.identity.seq: frame.stamp.traceparent for frame in frames}


def header(record: Record, name: str = "traceparent") -> str:
    return dict(record.headers)[name].decode()


def test_the_source_gives_every_frame_its_own(traces: dict[int, str]) -> None:
    assert len(traces) == len(set(traces.values())) == FRAMES
    assert None not in traces.values()


def test_reports_and_overlays_carry_it(records: dict[str, list[Record]], traces: dict[int, str]) -> None:
    reports = [decode_report(record.value) for record in records["reports"]]
    assert {report.identity.seq: report.traceparent for report in reports} == traces
    for topic in ("reports", "overlays"):
        assert {int(header(record, "gw_seq")): header(record) for record in records[topic]} == traces


def test_an_alert_carries_that_of_the_frame_that_made_its_revision(
    records: dict[str, list[Record]], traces: dict[int, str]
) -> None:
    assert records["alerts"]
    for record in records["alerts"]:
        alert = decode_alert(record.value)
        assert alert.traceparent == traces[alert.last_seq] == header(record)
