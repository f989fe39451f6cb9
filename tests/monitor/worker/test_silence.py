"""Alerts of streams from which nothing comes are closed once, and this is stored."""

from __future__ import annotations

import pytest

from gradwatch.monitor.alarms.episodes import Episode, Moment
from gradwatch.monitor.config import WorkerSettings
from gradwatch.monitor.judging.judge import Judge
from gradwatch.monitor.judging.settings import JudgeSettings
from gradwatch.monitor.judging.state import JudgeState
from gradwatch.monitor.worker.admission import Live
from gradwatch.monitor.worker.pipeline import Pipeline
from gradwatch.monitor.worker.silence import AWAY_S, Silence
from gradwatch.streams.dead_letters import DeadLetters
from gradwatch.streams.sinks import MemorySink
from gradwatch.streams.transport.connection import BrokerUnavailableError
from gradwatch.streams.wire.messages import AlertKind, AlertState, ClosedBecause, FrameIdentity

from ...builders import StubObserver

CLOSE_S, FORGET_S = 60.0, 600.0


class Arrivals:
    """Stands where the ownership stands: for how long each stream is silent, and whose state has changed."""

    def __init__(self):
        self.last_s, self.changed, self.forgotten = {"town": 0.0}, [], []

    def idle_s(self, now_s):
        return {stream_id: now_s - last_s for stream_id, last_s in self.last_s.items()}

    def note_change(self, stream_id, deliveries):
        self.changed.append(stream_id)

    def forget(self, stream_id, now_s):
        self.forgotten.append((stream_id, now_s))
        del self.last_s[stream_id]


@pytest.fixture
def arrivals():
    return Arrivals()


@pytest.fixture
def pipeline():
    made = Pipeline(StubObserver([]), Judge({}, "models", JudgeSettings()), MemorySink(), DeadLetters(None, None))
    moment = Moment(FrameIdentity("town", "run", 3), 5, 1, 2, {"image_statistics": 1.5}, {"image_statistics": 0.01})
    episode = Episode(moment, moment, 1.5, 0.01, ["image_statistics"], moment, revision=1)
    made.states["town"] = JudgeState("town", "run", episodes={AlertKind.DISTRIBUTION_SHIFT: episode})
    return made


@pytest.fixture
def silence(pipeline, arrivals):
    settings = WorkerSettings(close_after_s=CLOSE_S, forget_after_s=FORGET_S)
    return Silence(pipeline, arrivals, Live(2, 0.5), settings)


def pass_time(silence, until_s, since_s=0.0):
    now_s = since_s
    while now_s < until_s:
        silence.tick(now_s)
        now_s += 0.5


def test_a_silent_stream_has_its_alerts_closed_once_and_its_state_stored(silence, pipeline, arrivals):
    pass_time(silence, CLOSE_S - 1)
    assert pipeline.sink.alerts == []
    pass_time(silence, 2 * CLOSE_S, CLOSE_S - 1)
    (alert,) = pipeline.sink.alerts
    assert (alert.state, alert.closed_because, alert.revision) == (AlertState.CLOSED, ClosedBecause.SILENT, 2)
    assert arrivals.changed == ["town"]
    assert not pipeline.states["town"].alerting


def test_a_stream_that_goes_on_keeps_its_alerts(silence, pipeline, arrivals):
    for now_s in range(200):
        arrivals.last_s["town"] = now_s - now_s % 50
        silence.tick(now_s)
    assert pipeline.sink.alerts == []


def test_after_a_suspension_nobody_is_silent_yet(silence, pipeline):
    pass_time(silence, 10)
    later_s = 10 + AWAY_S + CLOSE_S
    pass_time(silence, later_s + CLOSE_S - 1, later_s)
    assert pipeline.sink.alerts == []
    pass_time(silence, later_s + CLOSE_S + 2, later_s + CLOSE_S - 1)
    assert len(pipeline.sink.alerts) == 1


def test_a_broker_that_takes_nothing_is_asked_again(silence, pipeline, arrivals, monkeypatch):
    publish, down = pipeline.sink.publish_alerts, True

    def unsteady(alerts):
        if down:
            raise BrokerUnavailableError("down")
        return publish(alerts)

    monkeypatch.setattr(pipeline.sink, "publish_alerts", unsteady)
    pass_time(silence, CLOSE_S + 5)
    assert pipeline.states["town"].alerting
    assert arrivals.changed == []
    down = False
    pass_time(silence, CLOSE_S + 10, CLOSE_S + 5)
    assert len(pipeline.sink.alerts) == 1


def test_a_stream_is_forgotten_after_its_alerts_are_closed(silence, pipeline, arrivals):
    pass_time(silence, FORGET_S + 5)
    assert len(pipeline.sink.alerts) == 1
    ((stream_id, at_s),) = arrivals.forgotten
    assert stream_id == "town"
    assert FORGET_S <= at_s < FORGET_S + 2
