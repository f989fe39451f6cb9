"""What a source says of itself, and the trace context that it gives its frames."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator

import numpy as np
import pytest

from gradwatch.streams import publish as publishing
from gradwatch.streams.observability.health import Health
from gradwatch.streams.publish import publish
from gradwatch.streams.sources import Playback, SourceFrame, jpegs
from gradwatch.streams.transport.connection import BrokerUnavailableError
from gradwatch.streams.transport.producer import Delivery
from gradwatch.streams.wire.frames import decode_frame
from gradwatch.streams.wire.pixels import encode_jpeg
from gradwatch.streams.wire.records import Record
from gradwatch.streams.wire.topics import Topics
from gradwatch.streams.wire.tracing import read_traceparent

PICTURE = encode_jpeg(np.zeros((8, 8, 3), np.uint8))
TOPICS = Topics("p.", "frames")
TRACE = "00-" + "1" * 32 + "-" + "2" * 16 + "-01"


class ScriptedProducer:
    """Acknowledges every record with the next of `answers`; None leaves it unanswered."""

    def __init__(self, answers) -> None:
        self.answers, self.records = iter(answers), []

    def send(self, topic, key, value, headers, partition=None, timestamp_ms=None) -> Delivery:
        self.records.append(Record(topic, 0, len(self.records), timestamp_ms, key, value, tuple(headers)))
        delivery, answer = Delivery(), next(self.answers)
        if answer is not None:
            delivery.finish(exception=None if answer == "taken" else BrokerUnavailableError(answer))
        return delivery

    try_send = send

    def flush(self, timeout_s: float | None = None) -> bool:
        return True


def looked_at(health: Health, seen: list, count: int = 4) -> Iterator[SourceFrame]:
    """Frames; before each, `seen` gets what the source says of the broker."""
    for i in range(count):
        (check,) = [check for check in health.readiness() if check.name == "broker"]
        seen.append((check.ok, check.reason))
        yield SourceFrame(PICTURE, "image/jpeg", i)


def test_a_source_is_ready_while_the_broker_takes_its_frames() -> None:
    health, seen = Health(), []
    producer = ScriptedProducer(["taken", "gone", "taken", "taken"])
    publish(looked_at(health, seen), producer, TOPICS, "north", pace=False, health=health)
    assert seen == [
        (False, "no frame acknowledged yet"),
        (True, "published"),
        (False, "broker_unavailable"),
        (True, "published"),
    ]


def test_a_broker_that_is_silent_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publishing, "SILENCE_S", 0.0)
    health, seen = Health(), []
    producer = ScriptedProducer(["taken", None, None, None])
    publish(looked_at(health, seen), producer, TOPICS, "north", pace=False, health=health, flush_s=0.0)
    assert seen[:2] == [(False, "no frame acknowledged yet"), (True, "published")]
    assert seen[2:] == [
        (False, "1 frames wait, and no answer has come for 0 s"),
        (False, "2 frames wait, and no answer has come for 0 s"),
    ]


def test_a_camera_that_hangs_is_told_and_a_slow_pace_is_not() -> None:
    health = Health(limit_s=0.05)
    hung, go_on, stop = threading.Event(), threading.Event(), threading.Event()

    def camera() -> Iterator[SourceFrame]:
        yield SourceFrame(PICTURE, "image/jpeg", 0)
        hung.set()
        go_on.wait(10.0)
        yield SourceFrame(PICTURE, "image/jpeg", 10**12)  # due in a quarter of an hour

    options = {"pace": True, "stop": stop, "health": health}
    producer = ScriptedProducer(itertools.repeat("taken"))
    thread = threading.Thread(target=publish, args=(camera(), producer, TOPICS, "north"), kwargs=options)
    thread.start()
    assert hung.wait(10.0)
    stop.wait(0.2)
    assert [(check.name, check.ok) for check in health.liveness()] == [("source", False)]
    go_on.set()
    stop.wait(0.2)
    assert [(check.name, check.ok) for check in health.liveness()] == [("source", True)]
    stop.set()
    thread.join(10.0)
    assert not thread.is_alive()


def test_every_frame_has_a_trace_of_its_own_unless_it_brings_one() -> None:
    producer = ScriptedProducer(itertools.repeat("taken"))
    publish(jpegs([PICTURE] * 3, Playback()), producer, TOPICS, "north", pace=False)
    given = [SourceFrame(PICTURE, "image/jpeg", 0, traceparent=text) for text in (TRACE, "nonsense")]
    publish(given, producer, TOPICS, "north", pace=False)
    traces = [decode_frame(record).traceparent for record in producer.records]
    assert all(trace is not None and read_traceparent(trace) == trace for trace in traces)
    assert len({trace[3:35] for trace in traces}) == 5
    assert traces[3] == TRACE
