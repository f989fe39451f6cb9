"""One frame's way from record to report, with fakes where networks and a broker would be."""

from __future__ import annotations

from dataclasses import replace as with_field

import numpy as np
import pytest
from msgspec.structs import replace
from prometheus_client import REGISTRY

from gradwatch.monitor.alarms.calibration import AlarmBudget
from gradwatch.monitor.judging.judge import Judge
from gradwatch.monitor.judging.settings import JudgeSettings
from gradwatch.monitor.worker.pipeline import Pipeline
from gradwatch.monitor.worker.stream_health import StreamHealth
from gradwatch.streams.sinks import MemorySink
from gradwatch.streams.transport.producer import Delivery
from gradwatch.streams.wire.messages import (
    AlertState,
    Disturbance,
    FrameIdentity,
    Outcome,
    OutcomeCause,
    StreamState,
)
from gradwatch.streams.wire.outputs import encode_report
from gradwatch.streams.wire.records import Record

from ...builders import StubObserver, draw_observations, encoded_frame, frame_record, gray_jpeg

JPEG = gray_jpeg()
START = 100  # frames of a stream's own start


class FakeDeadLetters:
    def __init__(self):
        self.letters = []

    def publish(self, record, error, stage):
        self.letters.append((record, error, stage))
        return Delivery()


@pytest.fixture(scope="module")
def said():
    return draw_observations(START + 40, seed=5, shift=8.0, shifted_from=START + 10)


@pytest.fixture
def make(said):
    def pipeline(calibrations=None):
        settings = JudgeSettings(calibration_frames=START, alarms=AlarmBudget(bootstrap_hours=1))
        return Pipeline(
            StubObserver(said), Judge({}, "models", settings), MemorySink(), FakeDeadLetters(), calibrations
        )

    return pipeline


def record(seq=0, content=JPEG, run="run", stream="town"):
    frame = encoded_frame(stream, seq, run, capture_ns=seq * 200_000_000, content=content)
    return frame_record(frame, partition=4, offset=900 + seq, timestamp_ms=1_700_000_000_000 + seq)


def test_a_picture_becomes_a_report_and_an_overlay(make):
    pipeline = make()
    assert pipeline.step(record(7)) == []
    (report,), (overlay,) = pipeline.sink.reports, pipeline.sink.overlays
    assert report.identity == FrameIdentity("town", "run", 7)
    assert (report.outcome, report.cause, report.state) == (Outcome.JUDGED, None, StreamState.CALIBRATING)
    assert (report.partition, report.offset, report.capture_ns) == (4, 907, 1_400_000_000)
    assert report.published_ns == 1_700_000_000_007 * 10**6
    assert pipeline.observer.asked == [((54, 96, 3), np.uint8, 7)]
    assert isinstance(overlay, dict)
    assert pipeline.dead_letters.letters == []
    encode_report(report)


def test_a_whole_stream_calibrates_alerts_and_says_so_in_every_report(make):
    pipeline = make()
    for seq in range(START + 40):
        pipeline.step(record(seq))
    assert [r.identity.seq for r in pipeline.sink.reports] == list(range(START + 40))
    assert pipeline.sink.reports[START].state == StreamState.WATCHING
    assert pipeline.sink.reports[-1].state == StreamState.ALERTING
    assert pipeline.sink.reports[-1].alert_ids == [pipeline.sink.alerts[0].alert_id]
    assert pipeline.sink.alerts[0].last_offset >= pipeline.sink.alerts[0].first_offset >= 900 + START + 10


def test_streams_have_states_of_their_own(make):
    together, alone = make(), make()
    for seq in range(20):
        together.step(record(seq, stream="town"))
        together.step(record(seq, stream="gate"))
        alone.step(record(seq, stream="town"))
    of_town = [r for r in together.sink.reports if r.identity.stream_id == "town"]
    assert [encode_report(r) for r in of_town] == [encode_report(r) for r in alone.sink.reports]


def test_an_invalid_traceparent_is_dropped_and_counted_once(make):
    name, labels = "gradwatch_traceparents_dropped_total", {"stream_id": "traced", "cause": "malformed"}
    good = record(stream="traced")
    make().step(with_field(good, headers=(*good.headers, ("traceparent", b"00-\xff"))))
    assert REGISTRY.get_sample_value(name, labels) == 1


def test_a_broken_picture_is_put_aside_untouched_and_reported(make):
    pipeline = make()
    broken = record(3, content=JPEG[:60])
    (delivery,) = pipeline.step(broken)
    assert isinstance(delivery, Delivery)  # the offset waits for the dead letter
    ((letter, error, stage),) = pipeline.dead_letters.letters
    assert letter is broken
    assert (error.cause, stage) == (OutcomeCause.UNDECODABLE, "decode")
    (report,) = pipeline.sink.reports
    assert report.identity == FrameIdentity("town", "run", 3)
    assert (report.outcome, report.cause, report.offset) == (Outcome.REJECTED, OutcomeCause.UNDECODABLE, 903)
    assert pipeline.sink.overlays == []
    assert pipeline.observer.asked == []
    encode_report(report)


@pytest.mark.parametrize(
    ("headers", "value", "cause"),
    [
        ((("gw_schema", b"9"),), JPEG, OutcomeCause.BAD_SCHEMA),
        ((("gw_schema", b"1"), ("gw_seq", b"many")), JPEG, OutcomeCause.BAD_SCHEMA),
        ((), b"no picture", OutcomeCause.UNDECODABLE),
        ((), None, OutcomeCause.UNDECODABLE),
    ],
)
def test_a_record_that_names_no_frame_is_known_by_its_place(make, headers, value, cause):
    pipeline = make()
    pipeline.step(Record("frames", 4, 77, 1000, b"town", value, headers))
    (report,) = pipeline.sink.reports
    assert report.identity == FrameIdentity("frames.4", "bare", 77)
    assert (report.outcome, report.cause) == (Outcome.REJECTED, cause)
    assert len(pipeline.dead_letters.letters) == 1


def test_a_broken_frame_does_not_touch_its_stream(make):
    with_broken, without = make(), make()
    for seq in range(10):
        if seq == 5:
            with_broken.step(record(5, content=JPEG[:60]))
        else:
            with_broken.step(record(seq))
            without.step(record(seq))
    assert encode_report(with_broken.sink.reports[-1]) == encode_report(without.sink.reports[-1])


def test_a_bare_picture_is_a_frame(make):
    pipeline = make()
    pipeline.step(Record("cameras", 2, 33, 1_700_000_000_123, None, JPEG))
    (report,) = pipeline.sink.reports
    assert report.identity == FrameIdentity("cameras.2", "bare", 33)
    assert (report.outcome, report.capture_ns) == (Outcome.JUDGED, 1_700_000_000_123 * 10**6)


def test_dropped_frames_are_reported_with_their_cause_and_state(make):
    pipeline = make()
    frame = pipeline.read(record(2))
    pipeline.drop(frame.stamp, OutcomeCause.STALE)
    (report,) = pipeline.sink.reports
    assert (report.outcome, report.cause) == (Outcome.DROPPED, OutcomeCause.STALE)
    assert (report.state, report.identity.seq, report.detections) == (StreamState.CALIBRATING, 2, None)
    for seq in range(START):
        pipeline.step(record(seq))
    pipeline.drop(frame.stamp, OutcomeCause.SUPERSEDED)
    assert pipeline.sink.reports[-1].state == StreamState.WATCHING


@pytest.fixture
def calibrated(make):
    """A pipeline whose stream has calibrated on its own start."""
    pipeline = make()
    for seq in range(START):
        pipeline.step(record(seq))
    return pipeline


def test_a_new_run_keeps_the_calibration_and_counts_anew(calibrated):
    before = calibrated.states["town"].calibration
    calibrated.step(record(0, run="next"))
    state = calibrated.states["town"]
    assert (state.run_id, state.next_seq, state.calibration) == ("next", 1, before)
    assert calibrated.sink.reports[-1].state == StreamState.WATCHING


def test_a_new_run_of_another_size_calibrates_anew(calibrated, said):
    calibrated.observer.observations = [with_field(said[0], size=(640, 480))]
    calibrated.step(record(0, run="next"))
    assert calibrated.states["town"].calibration is None
    assert calibrated.sink.reports[-1].state == StreamState.CALIBRATING


def test_a_given_calibration_watches_from_the_first_frame(calibrated, make):
    calibration = calibrated.states["town"].calibration
    pipeline = make({"town": calibration})
    pipeline.step(record(0))
    assert pipeline.sink.reports[0].state == StreamState.WATCHING
    assert pipeline.sink.reports[0].calibration_id == calibration.calibration_id


def test_a_given_calibration_for_other_pictures_is_refused(calibrated, make, said):
    calibration = calibrated.states["town"].calibration
    pipeline = make({"town": calibration})
    pipeline.observer.observations = [with_field(said[0], size=(640, 480))]
    pipeline.step(record(0))
    assert pipeline.sink.reports[0].state == StreamState.CALIBRATING
    assert pipeline.sink.reports[0].calibration_id == ""
    other = replace(calibration, origin=replace(calibration.origin, models_id="other"))
    pipeline = make({"town": other})
    pipeline.step(record(0))
    assert pipeline.sink.reports[0].state == StreamState.CALIBRATING


def test_a_new_run_closes_what_the_old_one_left_open(calibrated):
    for seq in range(START, START + 40):
        calibrated.step(record(seq))
    opened = calibrated.sink.alerts[-1]
    assert opened.state == AlertState.OPEN
    calibrated.step(record(0, run="next"))
    closed = calibrated.sink.alerts[-1]
    assert (closed.alert_id, closed.state) == (opened.alert_id, AlertState.CLOSED)
    assert (closed.revision, closed.run_id) == (opened.revision + 1, "run")


def test_of_two_sources_the_newer_is_judged_as_if_it_were_alone(make):
    older, newer = "01JD0000000000000000000000", "01JD0000010000000000000000"
    alone, mixed, told = make(), make(), []
    mixed.health = StreamHealth(told.append)
    for seq in range(START + 40):
        alone.step(record(seq, run=newer, stream="twice"))
        mixed.step(record(seq, run=newer, stream="twice"))
        mixed.step(record(seq, run=older, stream="twice"))
    of_newer = [report for report in mixed.sink.reports if report.identity.run_id == newer]
    of_older = [report for report in mixed.sink.reports if report.identity.run_id == older]
    assert [encode_report(report) for report in of_newer] == [encode_report(r) for r in alone.sink.reports]
    assert mixed.sink.alerts == alone.sink.alerts != []
    assert {(report.outcome, report.cause) for report in of_older} == {(Outcome.REJECTED, OutcomeCause.OTHER_RUN)}
    assert mixed.dead_letters.letters == []
    labels = {"stream_id": "twice", "outcome": "rejected", "cause": "other_run"}
    assert REGISTRY.get_sample_value("gradwatch_frames_total", labels) == START + 40
    (said_once,) = [one for one in told if one.disturbance is Disturbance.OTHER_RUN]
    assert older in said_once.detail
    assert newer in said_once.detail


def test_what_becomes_of_frames_is_counted_by_stream_and_cause(make):
    pipeline = make()
    pipeline.step(record(0, stream="counted"))
    pipeline.step(record(1, content=JPEG[: len(JPEG) // 2], stream="counted"))
    pipeline.drop(pipeline.read(record(2, stream="counted")).stamp, OutcomeCause.STALE)
    for outcome, cause in (("judged", ""), ("rejected", "undecodable"), ("dropped", "stale")):
        labels = {"stream_id": "counted", "outcome": outcome, "cause": cause}
        assert REGISTRY.get_sample_value("gradwatch_frames_total", labels) == 1
