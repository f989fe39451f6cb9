"""A frame's trace context in all that is said of it, from a source through a real broker and worker."""

from __future__ import annotations

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
from gradwatch.streams.transport.consumer import FrameConsumer
from gradwatch.streams.transport.producer import BoundedProducer
from gradwatch.streams.wire.frames import decode_frame
from gradwatch.streams.wire.outputs import decode_alert, decode_report
from gradwatch.streams.wire.records import Record

from ...brokers import make_topics, read_records
from ...builders import StubObserver, draw_observations, gray_jpeg
from ...waiting import LIMIT_S

START, FRAMES = 100, 140  # frames to calibrate on, and all; they are shifted from 110 on


@pytest.fixture(scope="module")
def records(embedded: str) -> dict[str, list[Record]]:
    """All records of the topics frames, reports, overlays and alerts, by topic, after one run."""
    observations = draw_observations(FRAMES, seed=5, shift=8.0, shifted_from=START + 10)
    judge = Judge({}, "models", JudgeSettings(calibration_frames=START, alarms=AlarmBudget(bootstrap_hours=1)))
    topics = make_topics(embedded, partitions=1)
    with BoundedProducer(embedded) as producer:
        publish(jpegs([gray_jpeg()] * FRAMES, Playback(rate_hz=5)), producer, topics, "north", pace=False)
        sink, dead_letters = KafkaSink(producer, topics, producer), DeadLetters(producer, topics)
        pipeline = Pipeline(StubObserver(observations), judge, sink, dead_letters)
        consumer = FrameConsumer(embedded, topics.frames, topics.prefix + "group", session_timeout_s=6.0)
        Worker(consumer, pipeline, WorkerSettings(policy="every_frame")).run(until_idle_s=0.5)
        assert producer.flush(LIMIT_S)
    names = [topics.frames, topics.reports, topics.overlays, topics.alerts]
    found: dict[str, list[Record]] = {name.removeprefix(topics.prefix): [] for name in names}
    for record in read_records(embedded, names, at_least=3 * FRAMES + 1):
        found[record.topic.removeprefix(topics.prefix)].append(record)
    return found


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
