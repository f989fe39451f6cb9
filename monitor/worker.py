"""Threads and order, nothing else: the steps are in `pipeline.py`, who is next is in `admission.py`.

    main    poll, admit or hold back, commit          (alone owns the consumer)
    decode  pixels, in order of arrival               (a small pool)
    model   observe                                   (one thread a device)
    judge   states, reports, publishing               (alone owns the streams' states)

Every queue is bounded: the judge takes at most JUDGE_AHEAD observed frames ahead, the model thread decodes
`decode_threads` + 1 frames ahead, all others wait undecoded in the admission, where `live` may still drop them.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

import cv2
import numpy as np
import structlog
from msgspec.structs import replace
from numpy.typing import NDArray

from gradwatch.models.outputs import Observation
from gradwatch.streams.codec import BadRecord, Record
from gradwatch.streams.messages import EncodedFrame, OutcomeCause
from gradwatch.streams.sinks import Delivery
from gradwatch.streams.telemetry import FRAME_AGE, STAGE_DURATION
from gradwatch.streams.transport.consumer import FrameConsumer
from gradwatch.streams.transport.producer import BrokerUnavailable

from .admission import Admission, EveryFrame, Live
from .config import WorkerSettings
from .pipeline import Pipeline

log = structlog.get_logger()

POLL_S = 0.05
JUDGE_AHEAD = 4
BACKLOG = 1000  # reports waiting to be published; beyond it the consumer is held back


class Decoded(NamedTuple):
    """A frame with its pixels, or with the reason why it has none."""

    frame: EncodedFrame
    image: NDArray[np.uint8] | None
    error: BadRecord | None
    decode_ms: float


class Observed(NamedTuple):
    """A frame that the networks have seen."""

    frame: EncodedFrame
    observation: Observation
    latency_ms: dict[str, float]


class Dropped(NamedTuple):
    """A frame that the policy dropped."""

    frame: EncodedFrame
    cause: OutcomeCause


class Rejected(NamedTuple):
    """A record that can't become a frame."""

    record: Record
    error: BadRecord


Work = Observed | Dropped | Rejected


class Worker:
    """Runs until stopped, or until nothing has come for `until_idle_s`."""

    def __init__(self, consumer: FrameConsumer, pipeline: Pipeline, settings: WorkerSettings) -> None:
        self.consumer = consumer
        self.pipeline = pipeline
        self.settings = settings
        self.admission: Admission = (
            Live(settings.max_pending_frames, settings.max_frame_age_s)
            if settings.policy == "live"
            else EveryFrame(settings.max_pending_bytes)
        )
        self.stopping = threading.Event()
        self.failure: BaseException | None = None
        self.reports = 0
        self._records: dict[tuple[int, int], Record] = {}  # of frames not yet decoded: dead letters need the original
        self._to_judge: queue.SimpleQueue[Work | None] = queue.SimpleQueue()
        self._ahead = threading.Semaphore(JUDGE_AHEAD)
        cv2.setNumThreads(1)  # decoding runs in its own pool

    def stop(self) -> None:
        """Asks the worker to finish what it has begun and leave; may be called from a signal handler."""
        self.stopping.set()

    def run(self, until_idle_s: float | None = None, on_ready: Callable[[], None] = lambda: None) -> None:
        """Polls until stopped; calls `on_ready` once partitions are assigned. Raises what any of its threads raised."""
        pool = ThreadPoolExecutor(self.settings.decode_threads, thread_name_prefix="decode")
        # daemons: a network that hangs must not keep a worker that was asked to leave
        model = threading.Thread(target=self._guarded, args=(self._model_loop, pool), name="model", daemon=True)
        judge = threading.Thread(target=self._guarded, args=(self._judge_loop,), name="judge", daemon=True)
        model.start()
        judge.start()
        try:
            self._main_loop(until_idle_s, on_ready)
        finally:
            self.stopping.set()
            self._drain(pool, model, judge)
        if self.failure is not None:
            raise self.failure

    def _drain(self, pool: ThreadPoolExecutor, model: threading.Thread, judge: threading.Thread) -> None:
        """Finishes what was begun within `drain_s`; what waits undecoded is not committed and will be read again."""
        deadline_s = time.monotonic() + self.settings.drain_s
        model.join(max(0.0, deadline_s - time.monotonic()))
        self._to_judge.put(None)
        judge.join(max(0.0, deadline_s - time.monotonic()))
        pool.shutdown(wait=False, cancel_futures=True)
        try:
            self.consumer.close(0.0 if self.failure else max(0.0, deadline_s - time.monotonic()))
        except Exception as error:
            # the first failure is the cause, what closing says of it a consequence
            self.failure = self.failure or error

    # -- main thread ---------------------------------------------------------------------------------

    def _main_loop(self, until_idle_s: float | None, on_ready: Callable[[], None]) -> None:
        last_record_s = time.monotonic()
        held_back = ready = False
        while not self.stopping.is_set():
            records = self.consumer.poll(POLL_S)
            if not ready and self.consumer.assigned:
                ready = True
                on_ready()
            for record in records:
                self._admit(record)
            full = self.admission.full or self._to_judge.qsize() > BACKLOG
            if full != held_back:
                held_back = full
                self.consumer.pause() if full else self.consumer.resume()
            if records or not ready or self.consumer.offsets.unfinished:
                last_record_s = time.monotonic()
            elif until_idle_s is not None and time.monotonic() - last_record_s > until_idle_s:
                log.info("idle", seconds=until_idle_s, reports=self.reports)
                return

    def _admit(self, record: Record) -> None:
        try:
            frame = self.pipeline.read(record)
        except BadRecord as error:
            self._to_judge.put(Rejected(record, error))
            return
        self._records[record.partition, record.offset] = record
        for old in self.admission.put(frame):
            self._drop(old, OutcomeCause.SUPERSEDED)

    def _drop(self, frame: EncodedFrame, cause: OutcomeCause) -> None:
        self._records.pop((frame.partition, frame.offset), None)
        # without its bytes: reports of dropped frames may have to wait for the broker
        self._to_judge.put(Dropped(replace(frame, content=b""), cause))

    # -- model thread and its decode pool ----------------------------------------------------------------

    def _model_loop(self, pool: ThreadPoolExecutor) -> None:
        ahead: deque[Future[Decoded]] = deque()
        while not self.stopping.is_set():
            while len(ahead) <= self.settings.decode_threads:
                frame, stale = self.admission.take(time.time_ns(), 0.0 if ahead else POLL_S)
                for old in stale:
                    self._drop(old, OutcomeCause.STALE)
                if frame is None:
                    break
                ahead.append(pool.submit(self._decode, frame))
            if ahead:
                self._observe(ahead.popleft().result())
        for waiting in ahead:
            self._observe(waiting.result())

    def _decode(self, frame: EncodedFrame) -> Decoded:
        started_s = time.perf_counter()
        try:
            image, error = self.pipeline.decode(frame), None
        except BadRecord as bad:
            image, error = None, bad
        return Decoded(frame, image, error, 1e3 * (time.perf_counter() - started_s))

    def _observe(self, decoded: Decoded) -> None:
        frame = decoded.frame
        record = self._records.pop((frame.partition, frame.offset), None)
        if decoded.image is None:
            if record is not None and decoded.error is not None:
                self._to_judge.put(Rejected(record, decoded.error))
            return
        started_s = time.perf_counter()
        observation = self.pipeline.observe([frame], [decoded.image])[0]
        latency_ms = {"decode": decoded.decode_ms, "observe": 1e3 * (time.perf_counter() - started_s)}
        while not self._ahead.acquire(timeout=POLL_S):
            if self.failure is not None:
                return
        self._to_judge.put(Observed(frame, observation, latency_ms))

    # -- judge thread ----------------------------------------------------------------------------------

    def _judge_loop(self) -> None:
        while (work := self._to_judge.get()) is not None:
            partition, offset = _position(work)
            deliveries = self._until_room(work)
            if isinstance(work, Observed):
                self._ahead.release()
            self.consumer.finish(partition, offset, deliveries)
            self.reports += 1

    def _until_room(self, work: Work) -> list[Delivery]:
        """Publishes; a broker that takes nothing holds the judge back, and so the whole path, and loses nothing."""
        publish = self._publication(work)
        while True:
            try:
                return publish()
            except BrokerUnavailable as error:
                log.warning("broker takes nothing", error=str(error))
                if self.stopping.wait(POLL_S):
                    raise

    def _publication(self, work: Work) -> Callable[[], list[Delivery]]:
        """What to publish for `work`; judging is done once, publishing as often as the broker makes it."""
        if isinstance(work, Dropped):
            return lambda: self.pipeline.drop(work.frame, work.cause)
        if isinstance(work, Rejected):
            return lambda: self.pipeline.reject(work.record, work.error)
        started_s = time.perf_counter()
        verdict = self.pipeline.judge(work.frame, work.observation)
        now_ns = time.time_ns()
        latency_ms = verdict.report.latency_ms | work.latency_ms
        latency_ms |= {
            "judge": 1e3 * (time.perf_counter() - started_s),
            "age": (now_ns - work.frame.published_ns) / 1e6,
        }
        report = replace(verdict.report, latency_ms=latency_ms)
        FRAME_AGE.labels(work.frame.identity.stream_id).observe(latency_ms["age"] / 1e3)
        for stage in ("decode", "observe", "judge"):
            STAGE_DURATION.labels(stage).observe(latency_ms[stage] / 1e3)
        return lambda: self.pipeline.publish(report, verdict)

    def _guarded(self, loop: Callable[..., None], *arguments: object) -> None:
        try:
            loop(*arguments)
        except BaseException as error:
            log.exception("thread failed", thread=threading.current_thread().name)
            self.failure = error
            self.stopping.set()


def _position(work: Work) -> tuple[int, int]:
    source = work.record if isinstance(work, Rejected) else work.frame
    return source.partition, source.offset
