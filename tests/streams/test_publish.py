"""Publishing a source: numbering, pace, counts, health, and the trace context of its frames."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest

from gradwatch.streams import publish as publishing
from gradwatch.streams.observability.health import Health
from gradwatch.streams.publish import publish
from gradwatch.streams.recordings.pictures import jpegs
from gradwatch.streams.recordings.played import Playback, SourceFrame
from gradwatch.streams.transport.connection import BrokerUnavailableError
from gradwatch.streams.transport.producer import Delivery, RecordTooLargeError
from gradwatch.streams.wire.frames import decode_frame
from gradwatch.streams.wire.messages import Disturbance, HealthRecord
from gradwatch.streams.wire.outputs import decode_health
from gradwatch.streams.wire.pixels import encode_jpeg
from gradwatch.streams.wire.records import Record
from gradwatch.streams.wire.topics import Topics
from gradwatch.streams.wire.tracing import read_traceparent

from ..waiting import LIMIT_S

PICTURES = [encode_jpeg(np.full((24, 32, 3), 20 * i, np.uint8)) for i in range(6)]
PICTURE = PICTURES[0]
TOPICS = Topics("p.", "frames")
TRACE = "00-" + "1" * 32 + "-" + "2" * 16 + "-01"


class FakeProducer:
    """Accepts `room` records and acknowledges them unless `silent`."""

    def __init__(self, room: int = 10**9, silent: bool = False, largest: int = 10**9) -> None:
        self.records: list[Record] = []
        self.deliveries: list[Delivery] = []
        self.said: list[HealthRecord] = []
        self.room, self.silent, self.largest = room, silent, largest

    def try_send(self, topic, key, value, headers, partition=None, timestamp_ms=None) -> Delivery | None:
        if topic == TOPICS.health:
            self.said.append(decode_health(value))
            return Delivery()
        if len(value) > self.largest:
            raise RecordTooLargeError("too large")
        if self.room <= 0:
            return None
        self.room -= 1
        record = Record(topic, partition or 0, len(self.records), timestamp_ms, key, value, tuple(headers))
        self.records.append(record)
        self.deliveries.append(Delivery())
        if not self.silent:
            self.deliveries[-1].finish(offset=record.offset)
        return self.deliveries[-1]

    def send(self, *arguments, **options) -> Delivery:
        delivery = self.try_send(*arguments, **options)
        if delivery is None:
            raise BrokerUnavailableError("no room")
        return delivery

    def flush(self, timeout_s: float | None = None) -> bool:
        return not self.silent

    def frames(self) -> list:
        return [decode_frame(record) for record in self.records]


class ScriptedProducer:
    """Acknowledges every record with the next of `answers`; None leaves it unanswered."""

    def __init__(self, answers) -> None:
        self.answers, self.records = iter(answers), []

    def send(self, topic, key, value, headers, partition=None, timestamp_ms=None) -> Delivery:
        if topic == TOPICS.health:
            return Delivery()
        self.records.append(Record(topic, 0, len(self.records), timestamp_ms, key, value, tuple(headers)))
        delivery, answer = Delivery(), next(self.answers)
        if answer is not None:
            delivery.finish(exception=None if answer == "taken" else BrokerUnavailableError(answer))
        return delivery

    try_send = send

    def flush(self, timeout_s: float | None = None) -> bool:
        return True


def test_frames_are_numbered_and_each_run_has_its_id() -> None:
    producer = FakeProducer()
    first = publish(jpegs(PICTURES), producer, TOPICS, "north", pace=False, partition=2)
    second = publish(jpegs(PICTURES), producer, TOPICS, "north", pace=False)
    identities = [frame.stamp.identity for frame in producer.frames()]
    assert [identity.seq for identity in identities] == [0, 1, 2, 3, 4, 5] * 2
    assert first.run_id == identities[0].run_id != identities[6].run_id == second.run_id
    assert (first.frames, first.published, first.dropped) == (6, 6, {})
    assert first.published_bytes == sum(map(len, PICTURES))
    assert producer.records[0].partition == 2
    assert [(said.run_id, said.disturbance, said.last_seq) for said in producer.said] == [
        (first.run_id, Disturbance.ENDED, 5),
        (second.run_id, Disturbance.ENDED, 5),
    ]


def test_paced_frames_are_sent_at_their_capture_times() -> None:
    producer, started_s = FakeProducer(), time.time()
    summary = publish(jpegs(PICTURES, Playback(rate_hz=20)), producer, TOPICS, "north", pace=True)
    left_s = np.array([frame.stamp.published_ns / 1e9 for frame in producer.frames()]) - started_s
    assert (left_s - np.arange(6) / 20 > -0.002).all()
    assert summary.max_lag_s >= 0


def test_an_unavailable_broker_costs_the_oldest_frames_and_each_is_counted() -> None:
    producer = FakeProducer(room=2)
    newest = sum(len(content) for content in PICTURES[4:])
    playback = Playback(rate_hz=200)
    summary = publish(jpegs(PICTURES, playback), producer, TOPICS, "north", pace=True, queue_bytes=newest, flush_s=0.05)
    assert [frame.stamp.identity.seq for frame in producer.frames()] == [0, 1]
    assert (summary.frames, summary.published, summary.dropped) == (6, 2, {"broker_unavailable": 4})


def test_once_the_broker_is_back_the_newest_frames_are_sent_in_order() -> None:
    producer = FakeProducer(room=1)
    threading.Timer(0.3, lambda: setattr(producer, "room", 100)).start()
    newest = sum(len(content) for content in PICTURES[4:])
    summary = publish(
        jpegs(PICTURES, Playback(rate_hz=200)), producer, TOPICS, "north", pace=True, queue_bytes=newest, flush_s=5
    )
    assert [frame.stamp.identity.seq for frame in producer.frames()] == [0, 4, 5]
    assert (summary.published, summary.dropped) == (3, {"broker_unavailable": 3})


def test_without_pace_an_unavailable_broker_is_an_error() -> None:
    with pytest.raises(BrokerUnavailableError):
        publish(jpegs(PICTURES), FakeProducer(room=3), TOPICS, "north", pace=False)


def test_unacknowledged_and_refused_frames_are_counted() -> None:
    silent = publish(jpegs(PICTURES), FakeProducer(silent=True), TOPICS, "north", pace=False, flush_s=0)
    assert (silent.published, silent.dropped) == (0, {"broker_unavailable": 6})
    noisy = encode_jpeg(np.random.default_rng(0).integers(0, 256, (240, 320, 3), np.uint8))
    largest = max(map(len, PICTURES))
    small = publish(jpegs([*PICTURES, noisy]), FakeProducer(largest=largest), TOPICS, "north", pace=False)
    assert (small.frames, small.published, small.dropped) == (7, 6, {"too_large": 1})


def test_a_source_can_be_stopped_while_it_waits() -> None:
    stop, producer = threading.Event(), FakeProducer()
    threading.Timer(0.2, stop.set).start()
    started_s = time.monotonic()
    summary = publish(jpegs(PICTURES, Playback(rate_hz=0.001)), producer, TOPICS, "north", pace=True, stop=stop)
    assert time.monotonic() - started_s < LIMIT_S  # the next frame is due after a quarter of an hour
    assert (summary.frames, summary.published) == (1, 1)


def test_any_iterable_of_frames_is_a_source() -> None:
    frames = [SourceFrame(PICTURES[0], "image/jpeg", 1_790_000_000_000_000_000, "utc")]
    producer = FakeProducer()
    assert publish(frames, producer, TOPICS, "north", pace=True).published == 1
    assert producer.frames()[0].stamp.clock == "utc"


def observed_frames(health: Health, seen: list, count: int = 4) -> Iterator[SourceFrame]:
    """Frames; before each, the readiness of the broker is appended to `seen`."""
    for i in range(count):
        (check,) = [check for check in health.readiness() if check.name == "broker"]
        seen.append((check.ok, check.reason))
        yield SourceFrame(PICTURE, "image/jpeg", i)


def test_a_source_is_ready_while_the_broker_accepts_its_frames() -> None:
    health, seen = Health(), []
    producer = ScriptedProducer(["taken", "gone", "taken", "taken"])
    publish(observed_frames(health, seen), producer, TOPICS, "north", pace=False, health=health)
    assert seen == [
        (False, "no frame acknowledged yet"),
        (True, "published"),
        (False, "broker_unavailable"),
        (True, "published"),
    ]


def test_a_silent_broker_makes_a_source_unready(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publishing, "SILENCE_S", 0.0)
    health, seen = Health(), []
    producer = ScriptedProducer(["taken", None, None, None])
    publish(observed_frames(health, seen), producer, TOPICS, "north", pace=False, health=health, flush_s=0.0)
    assert seen[:2] == [(False, "no frame acknowledged yet"), (True, "published")]
    assert seen[2:] == [
        (False, "1 frames wait, none acknowledged for 0 s"),
        (False, "2 frames wait, none acknowledged for 0 s"),
    ]


def test_a_hanging_camera_is_not_alive_and_a_slow_pace_is() -> None:
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


def test_every_frame_gets_its_own_trace_unless_it_carries_one() -> None:
    producer = ScriptedProducer(itertools.repeat("taken"))
    publish(jpegs([PICTURE] * 3, Playback()), producer, TOPICS, "north", pace=False)
    given = [SourceFrame(PICTURE, "image/jpeg", 0, traceparent=text) for text in (TRACE, "nonsense")]
    publish(given, producer, TOPICS, "north", pace=False)
    traces = [decode_frame(record).stamp.traceparent for record in producer.records]
    assert all(trace is not None and read_traceparent(trace) == trace for trace in traces)
    assert len({trace[3:35] for trace in traces}) == 5
    assert traces[3] == TRACE
