"""Publishes a source: numbers, paces and sends its frames as one run, and counts the outcome of each.

While the broker accepts nothing, a paced source keeps its newest frames and drops the oldest: a camera does not wait.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace

import structlog
from ulid import ULID

from .disturbances import Disturbances
from .health_topic import HealthTopic
from .observability.health import Condition, Health
from .observability.metrics import SOURCE_FRAMES, SOURCE_LAG, count_invalid_traceparent
from .recordings.damage import RecordingError
from .recordings.played import PlayedSource, SourceFrame
from .transport.connection import BrokerUnavailableError
from .transport.producer import BoundedProducer, Delivery, RecordTooLargeError
from .wire.frames import encode_frame
from .wire.messages import Disturbance, EncodedFrame, FrameIdentity, FrameStamp, OutcomeCause, check_stream_id
from .wire.records import WireRecord
from .wire.topics import Topics
from .wire.tracing import new_traceparent, valid_traceparent

MAX_PAUSE_S = 10.0
SILENCE_S = 10.0  # a source is not ready once the broker has acknowledged no frame for so long

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class SourceSummary:
    """The outcomes of a source's frames: `frames` = `published` + all `dropped`, by cause.

    `max_lag_s` is the longest delay behind the pace (0 when not paced). `failure` says why the source ended before its
    end, "" where it did not.
    """

    stream_id: str
    run_id: str
    frames: int = 0
    published: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    published_bytes: int = 0
    max_lag_s: float = 0.0
    failure: str = ""


def publish(
    source: Iterable[SourceFrame],
    producer: BoundedProducer,
    topics: Topics,
    stream_id: str,
    *,
    pace: bool,
    partition: int | None = None,
    stop: threading.Event | None = None,
    queue_bytes: int = 8 * 1024 * 1024,
    flush_s: float = 10.0,
    health: Health | None = None,
) -> SourceSummary:
    """Publishes a source as one new run until it ends or `stop` is set; returns the outcomes of its frames.

    With `pace`, frames are sent at their capture times; while the broker accepts nothing the newest `queue_bytes` wait
    here, beside the producer's own budget, and older ones are dropped (`broker_unavailable`). Without, frames are sent
    as fast as the broker accepts them and none is dropped; raises `BrokerUnavailableError` after its timeout. With
    `pace`, a gap in the capture times beyond `MAX_PAUSE_S` is not waited for, see `Pacer`.
    `health` gets the beats of this thread (`source`), and is ready while the broker answers.
    """
    health = health or Health()
    run = RunPublisher(producer, topics, stream_id, partition, queue_bytes)
    health.require("broker", run.broker_condition)
    stop, pacer, failure = stop or threading.Event(), Pacer(), ""
    health.beat("source")
    try:
        for frame in source:
            if pace:
                health.rest("source")
                run.wait_until(pacer.due_s(frame.capture_ns), stop)
            health.beat("source")  # so that a frame that blocks in sending or reading shows
            if stop.is_set():
                break
            run.put(frame, wait_for_room=not pace)
    except RecordingError as error:
        if not run.frames:
            raise
        failure = str(error)
    health.rest("source")
    summary = run.finish(flush_s)
    passed_over = source.dropped if isinstance(source, PlayedSource) else {}
    dropped = Counter(summary.dropped) + Counter({str(cause): count for cause, count in passed_over.items()})
    frames = summary.published + dropped.total()
    return replace(summary, frames=frames, dropped=dict(dropped), failure=failure)


class Pacer:
    """When frames are due, on the monotonic clock: at the steps of their capture times, without gaps.

    A gap is a step beyond `MAX_PAUSE_S` that follows a step of less than half of it.
    """

    def __init__(self) -> None:
        self._due_s = 0.0
        self._step_s: float | None = None
        self._last_ns: int | None = None

    def due_s(self, capture_ns: int) -> float:
        """When the frame with this capture time is due."""
        if self._last_ns is None:
            self._due_s = time.monotonic()
        else:
            step_s = max(0.0, (capture_ns - self._last_ns) / 1e9)
            if self._step_s is not None and step_s > max(MAX_PAUSE_S, 2 * self._step_s):
                log.info("does not wait for a gap in the recording", gap_s=round(step_s, 1))
            else:
                self._due_s += step_s
            self._step_s = step_s
        self._last_ns = capture_ns
        return self._due_s


class RunPublisher:
    """Publishes one run of a source: numbers its frames, sends them and counts their outcomes.

    Used from one thread; the producer's thread counts deliveries.
    """

    def __init__(
        self, producer: BoundedProducer, topics: Topics, stream_id: str, partition: int | None, queue_bytes: int
    ) -> None:
        self.stream_id, self.run_id = check_stream_id(stream_id), str(ULID())
        self._producer, self._topic, self._partition = producer, topics.frames, partition
        self._health = HealthTopic(producer, topics)
        self._queue: deque[tuple[WireRecord, int]] = deque()
        self._queued_bytes, self._queue_bytes = 0, queue_bytes
        self._lock = threading.Lock()
        self._outcomes: Counter[str] = Counter()
        self._frames = self._published_bytes = 0
        self._max_lag_s = 0.0
        self._last_outcome = "no frame acknowledged yet"  # of the frames that were not too large
        self._unanswered_since_s = 0.0

    @property
    def frames(self) -> int:
        """How many frames were put."""
        return self._frames

    def wait_until(self, due_s: float, stop: threading.Event) -> None:
        """Sleeps until the frame is due, and meanwhile sends the queue."""
        while (rest_s := due_s - time.monotonic()) > 0 and not stop.is_set():
            self.drain()
            stop.wait(min(rest_s, 0.02) if self._queue else rest_s)
        lag_s = max(0.0, time.monotonic() - due_s)
        self._max_lag_s = max(self._max_lag_s, lag_s)
        SOURCE_LAG.labels(self.stream_id).set(lag_s)

    def put(self, frame: SourceFrame, wait_for_room: bool) -> None:
        """Numbers a frame and sends it; without `wait_for_room`, queues it while the producer has no room."""
        now_ns = time.time_ns()
        identity = FrameIdentity(self.stream_id, self.run_id, self._frames)
        count_invalid_traceparent(frame.traceparent, self.stream_id)
        traceparent = valid_traceparent(frame.traceparent) or new_traceparent()
        record = encode_frame(
            EncodedFrame(
                FrameStamp(identity, frame.capture_ns, now_ns, frame.clock, traceparent), frame.content, frame.encoding
            )
        )
        with self._lock:
            if self._frames == self._outcomes.total():
                self._unanswered_since_s = time.monotonic()
            self._frames += 1
        if wait_for_room:
            self._send(self._producer.send, record, now_ns)
            return
        self._queue.append((record, now_ns))
        self._queued_bytes += len(record.value)
        self.drain()
        while self._queued_bytes > self._queue_bytes:
            self._remove_oldest()
            self._count(OutcomeCause.BROKER_UNAVAILABLE)

    def finish(self, flush_s: float) -> SourceSummary:
        """Reports that the source has ended, and waits up to `flush_s` for acknowledgements.

        Frames without one count as dropped.
        """
        if self._frames:
            said = Disturbances(self.stream_id, self.run_id, self._health.put)
            said.last_seq = self._frames - 1
            said.moment(Disturbance.ENDED, time.time_ns(), f"after {self._frames} frames")
        deadline_s = time.monotonic() + flush_s
        while self._queue and time.monotonic() < deadline_s:
            self.drain()
            time.sleep(0.01 if self._queue else 0.0)
        self._health.drain()
        self._producer.flush(max(0.0, deadline_s - time.monotonic()))
        with self._lock:
            outcomes = self._outcomes.copy()
            lost = self._frames - outcomes.total()
            if lost:
                outcomes[OutcomeCause.BROKER_UNAVAILABLE] += lost
                SOURCE_FRAMES.labels(self.stream_id, "dropped", OutcomeCause.BROKER_UNAVAILABLE).inc(lost)
        published = outcomes.pop("published", 0)
        dropped = {str(cause): count for cause, count in outcomes.items()}
        return SourceSummary(
            self.stream_id, self.run_id, self._frames, published, dropped, self._published_bytes, self._max_lag_s
        )

    def broker_condition(self) -> Condition:
        """Whether the broker accepts the frames. Thread-safe."""
        with self._lock:
            waiting = self._frames - self._outcomes.total()
            silent_s = time.monotonic() - self._unanswered_since_s if waiting else 0.0
            outcome = self._last_outcome
        if silent_s > SILENCE_S:
            return Condition(False, f"{waiting} frames wait, none acknowledged for {silent_s:.0f} s")
        return Condition(outcome == "published", outcome)

    def drain(self) -> None:
        """Sends queued frames while the topic is there and the producer has room."""
        with suppress(BrokerUnavailableError):
            while self._queue and self._send(self._producer.try_send, *self._queue[0]):
                self._remove_oldest()

    def _remove_oldest(self) -> None:
        record, _ = self._queue.popleft()
        self._queued_bytes -= len(record.value)

    def _send(self, send: Callable[..., Delivery | None], record: WireRecord, published_ns: int) -> bool:
        """Returns whether the frame needs no more sending: it was sent, or counted as too large."""
        try:
            delivery = send(self._topic, *record, partition=self._partition, timestamp_ms=published_ns // 1_000_000)
        except RecordTooLargeError:
            self._count(OutcomeCause.TOO_LARGE)
            return True
        if delivery is None:
            return False
        size = len(record.value)
        delivery.add_done_callback(lambda done: self._delivered(done, size))
        return True

    def _delivered(self, delivery: Delivery, size: int) -> None:
        if delivery.exception is None:
            self._published_bytes += size
            self._count("published")
        elif isinstance(delivery.exception, RecordTooLargeError):
            self._count(OutcomeCause.TOO_LARGE)
        else:
            self._count(OutcomeCause.BROKER_UNAVAILABLE)

    def _count(self, outcome: str) -> None:
        with self._lock:
            self._outcomes[outcome] += 1
            self._unanswered_since_s = time.monotonic()
            if outcome != OutcomeCause.TOO_LARGE:
                self._last_outcome = outcome
        labels = ("published", "") if outcome == "published" else ("dropped", outcome)
        SOURCE_FRAMES.labels(self.stream_id, *labels).inc()
