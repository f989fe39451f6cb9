"""A frame that can't be judged is a failure of its stream: reported, counted, logged, and the stream begins anew."""

from __future__ import annotations

import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from gradwatch.monitor.alarms.calibration import AlarmBudget
from gradwatch.monitor.judging.judge import Judge
from gradwatch.monitor.judging.settings import JudgeSettings
from gradwatch.monitor.worker.failures import LOG_EVERY_S, MAX_BACK_OFF, RECOVERED, StreamFailures
from gradwatch.monitor.worker.pipeline import Pipeline
from gradwatch.monitor.worker.stream_health import StreamHealth
from gradwatch.streams.sinks import MemorySink
from gradwatch.streams.transport.connection import BrokerUnavailableError
from gradwatch.streams.wire.messages import AlertState, Disturbance, Outcome, OutcomeCause
from gradwatch.streams.wire.outputs import encode_report

from ...builders import StubObserver, draw_observations, encoded_frame, frame_record, gray_jpeg
from .test_pipeline import FakeDeadLetters

START = 100


def waited(failures, stream="town"):
    """How many of the next frames are passed over."""
    count = 0
    while failures.waits(stream):
        count += 1
    return count


def test_back_off_doubles_up_to_a_limit_and_ends_with_a_recovery():
    failures = StreamFailures()
    waits = []
    for _ in range(12):
        failures.failed("town", "town/run/1", ValueError("bad"))
        waits.append(waited(failures))
    assert waits == [1, 2, 4, 8, 16, 32, 64, 128, *[MAX_BACK_OFF] * 4]
    assert waited(failures, "gate") == 0
    for _ in range(RECOVERED):
        failures.judged("town")
    assert failures.failed("town", "town/run/1", ValueError("bad")) == 1


def test_a_traceback_is_logged_once_a_minute_for_each_stream():
    now_s = 0.0
    failures = StreamFailures(lambda: now_s)
    with capture_logs() as logs:
        for _ in range(20):
            failures.failed("town", "town/run/1", ValueError("bad"))
        failures.failed("gate", "gate/run/1", ValueError("bad"))
        now_s = LOG_EVERY_S
        failures.failed("town", "town/run/9", ValueError("bad"))
    assert [entry["stream"] for entry in logs] == ["town", "gate", "town"]
    assert all(isinstance(entry["exc_info"], ValueError) for entry in logs)


@pytest.fixture(scope="module")
def seen():
    return draw_observations(START + 60, seed=5, shift=8.0, shifted_from=START + 10)


class Reported(Pipeline):
    """A pipeline that keeps its health records, and fails on the frames `bad`, by stream and seq."""

    def __init__(self, seen, sink=None):
        self.records, self.bad = [], set()
        settings = JudgeSettings(calibration_frames=START, alarms=AlarmBudget(bootstrap_hours=1))
        judge = Judge({}, "models", settings)
        health = StreamHealth(self.records.append)
        super().__init__(StubObserver(seen), judge, sink or MemorySink(), FakeDeadLetters(), health=health)

    def _judge(self, stamp, observation):
        if (stamp.identity.stream_id, stamp.identity.seq) in self.bad:
            raise KeyError("nose")
        return super()._judge(stamp, observation)


def run(pipeline, seqs, stream="town"):
    for seq in seqs:
        frame = encoded_frame(stream, seq, capture_ns=seq * 200_000_000, content=gray_jpeg())
        pipeline.step(frame_record(frame, offset=seq))
    return [report for report in pipeline.sink.reports if report.identity.stream_id == stream]


def test_a_failure_is_reported_counted_and_told_and_the_stream_goes_on(seen):
    pipeline, alone = Reported(seen), Reported(seen)
    pipeline.bad = {("sick", 4)}
    for seq in range(20):
        run(pipeline, [seq], "sick")
        run(pipeline, [seq], "well")
    reports = run(pipeline, [], "sick")
    assert [r.identity.seq for r in reports] == list(range(20))
    assert [(r.identity.seq, r.cause) for r in reports if r.outcome is Outcome.FAILED] == [
        (4, OutcomeCause.JUDGING_ERROR),
        (5, OutcomeCause.BACK_OFF),
    ]
    assert len(pipeline.states["sick"].clean) == 14  # the state begins anew after the failure
    (record,) = pipeline.records
    assert (record.stream_id, record.disturbance, record.last_seq) == ("sick", Disturbance.JUDGING_FAILED, 4)
    assert record.detail == "frame 4: KeyError: 'nose'"
    labels = {"stream_id": "sick", "outcome": "failed", "cause": "judging_error"}
    assert REGISTRY.get_sample_value("gradwatch_frames_total", labels) == 1
    undisturbed = [encode_report(r) for r in run(alone, range(20), "well")]
    assert [encode_report(r) for r in run(pipeline, [], "well")] == undisturbed


def test_a_failure_closes_the_alert_and_a_second_one_in_a_row_drops_the_streams_own_calibration(seen):
    pipeline = Reported(seen)
    run(pipeline, range(START + 30))
    (opened, *_), made = pipeline.sink.alerts, pipeline.states["town"].calibration
    assert opened.state is AlertState.OPEN
    pipeline.bad = {("town", START + 30), ("town", START + 32)}
    run(pipeline, [START + 30])
    assert (pipeline.sink.alerts[-1].alert_id, pipeline.sink.alerts[-1].state) == (opened.alert_id, AlertState.CLOSED)
    assert pipeline.states["town"].calibration is made
    run(pipeline, [START + 31, START + 32])
    assert pipeline.states["town"].calibration is None


class ChokingSink(MemorySink):
    """A sink that can't encode the reports of some frames, and finds no broker once."""

    unavailable = True

    def publish(self, report, overlay, alerts):
        if report.outcome is Outcome.JUDGED and report.identity.seq == 3:
            raise ValueError("field score: expected a finite number, got inf")
        if report.identity.seq == 1 and self.unavailable:
            self.unavailable = False
            raise BrokerUnavailableError("no broker")
        return super().publish(report, overlay, alerts)


def test_a_report_that_can_not_be_published_is_a_failure_of_its_stream(seen):
    pipeline = Reported(seen, ChokingSink())
    with pytest.raises(BrokerUnavailableError):
        run(pipeline, range(10))  # that is no failure of the stream
    reports = run(pipeline, range(2, 10))
    assert [r.outcome for r in reports] == [Outcome.JUDGED] * 2 + [Outcome.FAILED] * 2 + [Outcome.JUDGED] * 5
    assert "finite" in pipeline.records[0].detail


def test_a_reader_that_stumbles_makes_a_dead_letter(seen, monkeypatch):
    def stumble(*_):
        raise KeyError("nose")

    pipeline = Reported(seen)
    monkeypatch.setattr("gradwatch.monitor.worker.pipeline.decode_picture", stumble)
    (report,) = run(pipeline, [0])
    assert (report.outcome, report.cause) == (Outcome.REJECTED, OutcomeCause.UNDECODABLE)
    assert len(pipeline.dead_letters.letters) == 1
