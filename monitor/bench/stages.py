"""A worker whose stages can be switched off: a stage that is off returns a result computed before."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
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
from gradwatch.streams.wire.messages import EncodedFrame, FrameStamp
from gradwatch.streams.wire.pixels import decode_picture
from gradwatch.streams.wire.records import Record
from gradwatch.streams.wire.topics import Topics

from ..alarms.calibration import Calibration
from ..config import Configuration
from ..evaluate.observing import judge_calibrated
from ..judging.judge import Judge, Judgement
from ..judging.offline import clean_frames, offline_stamp
from ..overlay import annotations as overlays
from ..worker.pipeline import Pipeline
from ..worker.threads import Worker
from .broker_setup import RATE_HZ, stream_name

STAGES = ("publish", "draw", "decode", "judge", "observe")  # in the order in which they are switched on
TIMEOUT_S = 300.0


class PrecomputedDrive(NamedTuple):
    """The pictures of a drive, and the result of each stage for each of them."""

    contents: list[bytes]
    images: list[NDArray[np.uint8]]
    observations: list[Observation]
    judgements: list[Judgement]
    overlays: list[Overlay]
    calibration: Calibration


def precompute(contents: list[bytes], observer: Observer, judge: Judge) -> PrecomputedDrive:
    """Runs every stage over the drive once, calibrated on itself. At least `MIN_FRAMES` pictures of one size."""
    images = [decode_picture(content) for content in contents]
    observed = [
        (offline_stamp(stream_name(0), seq, round(seq * 1e9 / RATE_HZ)), observer.observe([image], [seq])[0])
        for seq, image in enumerate(images)
    ]
    observations = [observation for _, observation in observed]
    calibration = judge.calibrate(clean_frames(observed, judge), "bench", observations[0].size)
    judgements = list(judge_calibrated(observed, judge, calibration))
    drawn = [overlays.annotations(judgement.report) for judgement in judgements]
    return PrecomputedDrive(contents, images, observations, judgements, drawn, calibration)


class StagedPipeline(Pipeline):
    """A pipeline for the frames of `drive`, of which only the stages in `on` do their work."""

    def __init__(
        self, observer: Observer, judge: Judge, producer: BoundedProducer, topics: Topics, drive: PrecomputedDrive
    ) -> None:
        calibrations = {stream_name(partition): drive.calibration for partition in range(64)}
        super().__init__(
            observer, judge, KafkaSink(producer, topics, producer), DeadLetters(producer, topics), calibrations
        )
        self.drive = drive
        self.on: frozenset[str] = frozenset()

    def decode(self, frame: EncodedFrame) -> NDArray[np.uint8]:
        """The pixels of the picture."""
        return super().decode(frame) if "decode" in self.on else self.drive.images[self._seq(frame.stamp)]

    def observe(self, stamps: list[FrameStamp], images: list[NDArray[np.uint8]]) -> list[Observation | Exception]:
        """The observations of the pictures."""
        if "observe" in self.on:
            return super().observe(stamps, images)
        return [self.drive.observations[self._seq(stamp)] for stamp in stamps]

    def judge(self, stamp: FrameStamp, observation: Observation | Exception) -> Judgement:
        """The judgement; off, the precomputed one under this frame's identity and without alerts."""
        if "judge" in self.on:
            return super().judge(stamp, observation)
        judgement = self.drive.judgements[self._seq(stamp)]
        report = replace(
            judgement.report,
            identity=stamp.identity,
            partition=stamp.partition,
            offset=stamp.offset,
            capture_ns=stamp.capture_ns,
            published_ns=stamp.published_ns,
        )
        return Judgement(report, [], judgement.state)

    def publish(self, stamp: FrameStamp, judgement: Judgement) -> list[Delivery]:
        """Publishes report, overlay and alerts; off, publishes nothing."""
        if "publish" not in self.on:
            return []
        if "draw" in self.on:
            return super().publish(stamp, judgement)
        overlay = self.drive.overlays[stamp.identity.seq % len(self.drive.overlays)]
        return self.sink.publish(judgement.report, overlay, judgement.alerts)

    def _seq(self, stamp: FrameStamp) -> int:
        return stamp.identity.seq % len(self.drive.contents)


class TimedConsumer(FrameConsumer):
    """Records the time of the first record; sets `ended` when `count` records are finished."""

    def expect(self, count: int) -> None:
        """Starts counting towards `count` finished records."""
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
    """Runs a worker over the first `count` frames, from the first poll that returns any until all are acknowledged.

    Raises BrokerUnavailableError if that takes longer than `TIMEOUT_S`, and whatever the worker raises.
    """
    broker = configuration.broker
    consumer = TimedConsumer(broker.bootstrap_servers, configuration.topics.frames, group_id, broker.client)
    consumer.expect(count)
    worker = Worker(consumer, pipeline, replace(configuration.worker, policy="every_frame"))
    with ThreadPoolExecutor(1, "worker") as executor:
        running = executor.submit(worker.run)
        try:
            deadline_s = time.monotonic() + TIMEOUT_S
            while not consumer.ended.wait(0.2) and not running.done() and time.monotonic() < deadline_s:
                pass
            flushed = producer.flush(30.0)
            wall_s, cpu_s = time.perf_counter() - consumer.started_s, time.process_time() - consumer.started_cpu_s
        finally:
            worker.stop()
        running.result()
    if not flushed or consumer.finished < count:
        raise BrokerUnavailableError(
            f"expected {count} frames finished within {TIMEOUT_S:.0f} s, got {consumer.finished}"
        )
    return Consumed(count, wall_s, cpu_s)
