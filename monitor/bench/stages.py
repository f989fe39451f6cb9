"""A worker whose stages can be switched off: what is off answers from a rehearsal, at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from gradwatch.models.observe import Observer
from gradwatch.models.outputs import Observation
from gradwatch.streams.dead_letters import DeadLetters
from gradwatch.streams.sinks import KafkaSink, Overlay
from gradwatch.streams.transport.connection import BrokerUnavailableError
from gradwatch.streams.transport.consumer import FrameConsumer
from gradwatch.streams.transport.offsets import Awaited
from gradwatch.streams.transport.producer import BoundedProducer, Delivery
from gradwatch.streams.transport.raw import Consumed
from gradwatch.streams.wire.messages import EncodedFrame, FrameReport, FrameStamp
from gradwatch.streams.wire.pixels import decode_picture
from gradwatch.streams.wire.records import Record
from gradwatch.streams.wire.topics import Topics

from ..alarms.calibration import Calibration
from ..config import Configuration
from ..judging.judge import Judge, Judgement
from ..judging.offline import offline_stamp
from ..judging.state import new_run
from ..overlay import annotations as overlays
from ..worker.pipeline import Pipeline
from ..worker.threads import Worker
from .ground import RATE_HZ, stream_name

STAGES = ("publish", "draw", "decode", "judge", "observe")  # in the order in which they are switched on
TIMEOUT_S = 300.0


class Rehearsal(NamedTuple):
    """A drive that was watched before: its pictures, and what each stage made of them."""

    contents: list[bytes]
    images: list[NDArray[np.uint8]]
    observations: list[Observation]
    judgements: list[Judgement]
    overlays: list[Overlay]
    calibration: Calibration


def rehearse(contents: list[bytes], observer: Observer, judge: Judge) -> Rehearsal:
    """Runs every stage over the drive once, calibrated on itself. At least `MIN_FRAMES` pictures of one size."""
    images = [decode_picture(content) for content in contents]
    observations = [observer.observe([image], [seq])[0] for seq, image in enumerate(images)]
    stamps = [offline_stamp(stream_name(0), seq, round(seq * 1e9 / RATE_HZ)) for seq in range(len(images))]
    clean, state = [], new_run(None, stream_name(0), "offline")
    for frame, observation in zip(stamps, observations, strict=True):
        gathered, state = judge.gather(frame, observation, state)
        clean.append(gathered)
    calibration = judge.calibrate(clean, "bench", observations[0].size)
    state = replace(new_run(None, stream_name(0), "offline"), calibration=calibration)
    judgements = []
    for frame, observation in zip(stamps, observations, strict=True):
        judgement = judge(frame, observation, state)
        state = judgement.state
        judgements.append(judgement)
    drawn = [overlays.annotations(judgement.report) for judgement in judgements]
    return Rehearsal(contents, images, observations, judgements, drawn, calibration)


class StagedPipeline(Pipeline):
    """The pipeline of `rehearsal`'s drive, of which only the stages in `on` do their work."""

    def __init__(
        self, observer: Observer, judge: Judge, producer: BoundedProducer, topics: Topics, rehearsal: Rehearsal
    ) -> None:
        calibrations = {stream_name(partition): rehearsal.calibration for partition in range(64)}
        super().__init__(observer, judge, KafkaSink(producer, topics), DeadLetters(producer, topics), calibrations)
        self.rehearsal = rehearsal
        self.on: frozenset[str] = frozenset()

    def decode(self, frame: EncodedFrame) -> NDArray[np.uint8]:
        """The picture."""
        return super().decode(frame) if "decode" in self.on else self.rehearsal.images[self._seq(frame.stamp)]

    def observe(self, stamps: list[FrameStamp], images: list[NDArray[np.uint8]]) -> list[Observation]:
        """The networks' view of the pictures."""
        if "observe" in self.on:
            return super().observe(stamps, images)
        return [self.rehearsal.observations[self._seq(stamp)] for stamp in stamps]

    def judge(self, stamp: FrameStamp, observation: Observation) -> Judgement:
        """The judgement; off, that of the rehearsal under this frame's identity and without alerts."""
        if "judge" in self.on:
            return super().judge(stamp, observation)
        judgement = self.rehearsal.judgements[self._seq(stamp)]
        report = replace(
            judgement.report,
            identity=stamp.identity,
            partition=stamp.partition,
            offset=stamp.offset,
            capture_ns=stamp.capture_ns,
            published_ns=stamp.published_ns,
        )
        return Judgement(report, [], judgement.state)

    def publish(self, report: FrameReport, judgement: Judgement | None = None) -> list[Delivery]:
        """Report, overlay and alerts to the broker; off, nothing."""
        if "publish" not in self.on:
            return []
        if "draw" in self.on or judgement is None:
            return super().publish(report, judgement)
        overlay = self.rehearsal.overlays[report.identity.seq % len(self.rehearsal.overlays)]
        return self.sink.publish(report, overlay, judgement.alerts)

    def _seq(self, stamp: FrameStamp) -> int:
        return stamp.identity.seq % len(self.rehearsal.contents)


class TimedConsumer(FrameConsumer):
    """Notes when the first record came and when `count` of them were finished; `ended` is set then."""

    def expect(self, count: int) -> None:
        """Says how many records are to be finished."""
        self.count, self.finished = count, 0
        self.started_s = self.started_cpu_s = 0.0
        self.ended = threading.Event()

    def poll(self, timeout_s: float) -> list[Record]:
        """As `FrameConsumer.poll`."""
        records = super().poll(timeout_s)
        if records and not self.started_s:
            self.started_s, self.started_cpu_s = time.perf_counter(), time.process_time()
        return records

    def finish(self, partition: int, offset: int, deliveries: Iterable[Awaited] = ()) -> None:
        """As `FrameConsumer.finish`."""
        super().finish(partition, offset, deliveries)
        self.finished += 1
        if self.finished == self.count:
            self.ended.set()


def consume_and_publish(
    configuration: Configuration, pipeline: StagedPipeline, producer: BoundedProducer, count: int, group_id: str
) -> Consumed:
    """Runs a worker over the first `count` frames, from the first poll that brings any until all is acknowledged.

    Raises BrokerUnavailableError where that takes longer than TIMEOUT_S, and what the worker raises.
    """
    broker = configuration.broker
    consumer = TimedConsumer(broker.bootstrap_servers, configuration.topics.frames, group_id, broker.client)
    consumer.expect(count)
    worker = Worker(consumer, pipeline, replace(configuration.worker, policy="every_frame"))
    runner = _Runner(worker)
    runner.start()
    deadline_s = time.monotonic() + TIMEOUT_S
    while not consumer.ended.wait(0.2) and runner.is_alive() and time.monotonic() < deadline_s:
        pass
    flushed = producer.flush(30.0)
    took = Consumed(count, time.perf_counter() - consumer.started_s, time.process_time() - consumer.started_cpu_s)
    worker.stop()
    runner.join()
    if runner.error is not None:
        raise runner.error
    if not flushed or consumer.finished < count:
        raise BrokerUnavailableError(
            f"expected {count} frames finished within {TIMEOUT_S:.0f} s, got {consumer.finished}"
        )
    return took


class _Runner(threading.Thread):
    """Runs a worker; `error` is what it raised."""

    def __init__(self, worker: Worker) -> None:
        super().__init__(name="worker", daemon=True)
        self.worker = worker
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            self.worker.run()
        except BaseException as error:
            self.error = error
