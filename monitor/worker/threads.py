"""The threads of a worker and the queues between them; the steps are in `pipeline.py`.

    main    polls, admits, pauses the consumer, commits   (alone uses the consumer)
    decode  decodes pictures in order of arrival          (a small pool)
    model   runs the networks                             (one thread a device)
    judge   judges, publishes, stores states              (alone changes the streams' states)

`admission.py` chooses the next frame, `ownership.py` which partitions are judged here.

Every queue is bounded: at most JUDGE_AHEAD observed frames wait for the judge, the model thread decodes
`decode_threads` + `max_batch` frames ahead, all others wait undecoded in the admission, where `live` may still drop
them.
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
from gradwatch.streams.observability.health import Health
from gradwatch.streams.observability.logs import identify
from gradwatch.streams.observability.metrics import FRAME_AGE, STAGE_DURATION
from gradwatch.streams.transport.connection import BrokerUnavailableError
from gradwatch.streams.transport.consumer import FrameConsumer
from gradwatch.streams.transport.producer import Delivery
from gradwatch.streams.wire.frames import rejected_stamp
from gradwatch.streams.wire.messages import EncodedFrame, FrameStamp, OutcomeCause
from gradwatch.streams.wire.pixels import BadRecordError
from gradwatch.streams.wire.records import Record

from ..config import WorkerSettings
from .admission import Admission, EveryFrame, Live
from .ownership import Ownership
from .pipeline import Pipeline
from .silence import Silence
from .stateless import Stateless

log = structlog.get_logger()

POLL_S = 0.05
TICK_S = 0.02  # longest wait of the judge for work between two ticks of the ownership
FAILED_S = 1.0  # time to store states after a thread has failed
JUDGE_AHEAD = 4
BACKLOG = 1000  # frames waiting for the judge, above which the consumer is paused


class Decoded(NamedTuple):
    """A decoded frame: pixels, or the error that decoding raised."""

    stamp: FrameStamp
    image: NDArray[np.uint8] | None
    error: BadRecordError | None
    decode_ms: float


class Observed(NamedTuple):
    """A frame with the output of the networks, or the error that they raised on it."""

    stamp: FrameStamp
    observation: Observation | Exception
    latency_ms: dict[str, float]


class Dropped(NamedTuple):
    """A frame that is not judged, because the policy, a failure of its stream or a newer run forbids it."""

    stamp: FrameStamp
    cause: OutcomeCause


class Rejected(NamedTuple):
    """A record that is no frame."""

    record: Record
    error: BadRecordError


Work = Observed | Dropped | Rejected


class Worker:
    """Consumes frames, judges them and publishes the results. Every frame gets exactly one report.

    Without `ownership` it owns every partition and stores no states. `blocked` names the outputs that must not be lost
    and can't be published, "" if there are none: until then it consumes nothing more.
    """

    def __init__(
        self,
        consumer: FrameConsumer,
        pipeline: Pipeline,
        settings: WorkerSettings,
        health: Health | None = None,
        ownership: Ownership | None = None,
        blocked: Callable[[], str] = lambda: "",
    ) -> None:
        self.consumer = consumer
        self.pipeline = pipeline
        self.settings = settings
        self.health = health or Health(settings.unhealthy_after_s)
        self.ownership = ownership or Stateless()
        self.admission: Admission = (
            Live(settings.max_pending_frames, settings.max_frame_age_s)
            if settings.policy == "live"
            else EveryFrame(settings.max_pending_bytes)
        )
        self.blocked = blocked
        self.silence = Silence(pipeline, self.ownership, self.admission, settings)
        self.stopping = threading.Event()
        self.failure: BaseException | None = None
        self.reports = 0
        self._records: dict[tuple[int, int], Record] = {}  # of frames not yet decoded: dead letters need the original
        self._waiting: list[Record] = []  # of streams whose state is looked for
        self._to_judge: queue.SimpleQueue[Work | None] = queue.SimpleQueue()
        self._ahead = threading.Semaphore(JUDGE_AHEAD)
        self._drained_by_s = 0.0
        cv2.setNumThreads(1)  # decoding runs in its own pool

    def stop(self) -> None:
        """Ends `run` after the begun frames are finished; may be called from a signal handler."""
        self.stopping.set()

    def run(self, until_idle_s: float | None = None, on_ready: Callable[[], None] = lambda: None) -> None:
        """Polls until stopped or idle for `until_idle_s`; calls `on_ready` once partitions are assigned.

        Raises what any of its threads raised.
        """
        pool = ThreadPoolExecutor(self.settings.decode_threads, thread_name_prefix="decode")
        # daemon threads: a network that hangs must not keep a stopped worker alive
        model = threading.Thread(target=self._guarded, args=(self._model_loop, pool), name="model", daemon=True)
        judge = threading.Thread(target=self._guarded, args=(self._judge_loop,), name="judge", daemon=True)
        model.start()
        judge.start()
        try:
            self._main_loop(until_idle_s, on_ready)
        finally:
            self.stopping.set()
            self.health.rest("poll")
            self._drain(pool, model, judge)
        if self.failure is not None:
            raise self.failure

    def _drain(self, pool: ThreadPoolExecutor, model: threading.Thread, judge: threading.Thread) -> None:
        """Finishes begun frames within `drain_s`; undecoded ones stay uncommitted: the next owner reads them again."""
        deadline_s = self._drained_by_s = time.monotonic() + self.settings.drain_s
        model.join(max(0.0, deadline_s - time.monotonic()))
        self._to_judge.put(None)
        judge.join(max(0.0, deadline_s - time.monotonic()))
        pool.shutdown(wait=False, cancel_futures=True)
        self.ownership.close()
        try:
            self.consumer.close(0.0 if self.failure else max(0.0, deadline_s - time.monotonic()))
        except Exception as error:
            # the first failure is the cause, an error of closing its consequence
            self.failure = self.failure or error

    # -- main thread ---------------------------------------------------------------------------------

    def _main_loop(self, until_idle_s: float | None, on_ready: Callable[[], None]) -> None:
        last_record_s = time.monotonic()
        paused = ready = loading = False
        while not self.stopping.is_set():
            self.health.beat("poll")
            records = self.consumer.poll(POLL_S if not loading else 0.0)
            self.ownership.account(self.consumer.losses)
            loading = self.ownership.load_states(self.consumer, POLL_S)
            if not ready and self.consumer.assigned and not loading:
                ready = True
                on_ready()
            if self.ownership.look_for_moved(self.consumer):
                records, self._waiting = [*self._waiting, *records], []
            for record in records:
                self._admit(record)
            full = self.admission.full or self._to_judge.qsize() > BACKLOG or self.blocked() != ""
            if full != paused:
                paused = full
                self.consumer.pause() if full else self.consumer.resume()
            if records or not ready or self.consumer.offsets.unfinished:
                last_record_s = time.monotonic()
            elif until_idle_s is not None and time.monotonic() - last_record_s > until_idle_s:
                log.info("idle", seconds=until_idle_s, reports=self.reports)
                return

    def _admit(self, record: Record) -> None:
        try:
            frame = self.pipeline.read(record)
        except BadRecordError as error:
            stamp = rejected_stamp(record)
            if self._is_new(stamp):
                self.ownership.note_rejected(stamp, record.key)
                self._to_judge.put(Rejected(record, error))
            return
        if self.ownership.must_wait(frame.stamp):
            self._waiting.append(record)
            return
        if not self._is_new(frame.stamp):
            return
        if self.pipeline.is_of_older_run(frame.stamp):  # it takes no turn from the newer run
            self._to_judge.put(Dropped(frame.stamp, OutcomeCause.OTHER_RUN))
            return
        self._records[record.partition, record.offset] = record
        for old in self.admission.put(frame):
            self._drop(old.stamp, OutcomeCause.SUPERSEDED)

    def _is_new(self, stamp: FrameStamp) -> bool:
        """Whether no earlier worker has reported the record; a new one counts as in flight."""
        if self.ownership.already_judged(stamp):
            self.consumer.finish(stamp.partition, stamp.offset)
            return False
        self.ownership.note_arrival(stamp)
        return True

    def _drop(self, stamp: FrameStamp, cause: OutcomeCause) -> None:
        self._records.pop((stamp.partition, stamp.offset), None)
        self._to_judge.put(Dropped(stamp, cause))

    # -- model thread and its decode pool ----------------------------------------------------------------

    def _model_loop(self, pool: ThreadPoolExecutor) -> None:
        ahead: deque[Future[Decoded]] = deque()
        while not self.stopping.is_set():
            self.health.beat("model")
            self._decode_ahead(pool, ahead)
            self._observe([ahead.popleft().result() for _ in range(min(len(ahead), self.settings.max_batch))])
        for waiting in ahead:
            self._observe([waiting.result()])

    def _decode_ahead(self, pool: ThreadPoolExecutor, ahead: deque[Future[Decoded]]) -> None:
        """Fills `ahead`: waits for a first frame, then at most `max_wait_s` for a full batch."""
        until_s = time.monotonic() + (self.settings.max_wait_s if ahead else POLL_S)
        while len(ahead) < self.settings.max_batch + self.settings.decode_threads:
            rest_s = until_s - time.monotonic() if len(ahead) < self.settings.max_batch else 0.0
            frame, stale = self.admission.take(time.time_ns(), max(0.0, rest_s))
            for old in stale:
                self._drop(old.stamp, OutcomeCause.STALE)
            if frame is None:
                return
            if self.ownership.is_leaving(frame.stamp.partition):
                self._records.pop((frame.stamp.partition, frame.stamp.offset), None)
                self.ownership.leave_to_next_owner(frame.stamp.partition, frame.stamp.identity.stream_id)
                continue
            if not ahead:
                until_s = time.monotonic() + self.settings.max_wait_s
            ahead.append(pool.submit(self._decode, frame))

    def _decode(self, frame: EncodedFrame) -> Decoded:
        started_s = time.perf_counter()
        try:
            image, error = self.pipeline.decode(frame), None
        except BadRecordError as bad:
            image, error = None, bad
        return Decoded(frame.stamp, image, error, 1e3 * (time.perf_counter() - started_s))

    def _observe(self, batch: list[Decoded]) -> None:
        fresh = [decoded for decoded in batch if self._is_due(decoded)]
        if not fresh:
            return
        started_s = time.perf_counter()
        images = [decoded.image for decoded in fresh if decoded.image is not None]
        observations = self.pipeline.observe([decoded.stamp for decoded in fresh], images)
        observe_ms = 1e3 * (time.perf_counter() - started_s)
        for decoded, observation in zip(fresh, observations, strict=True):
            while not self._ahead.acquire(timeout=POLL_S):
                self.health.beat("model")
                if self.failure is not None:
                    return
            latency_ms = {"decode": decoded.decode_ms, "observe": observe_ms}
            self._to_judge.put(Observed(decoded.stamp, observation, latency_ms))

    def _is_due(self, decoded: Decoded) -> bool:
        """Whether the frame has pixels and is not stale; any other one goes straight to the judge to be reported."""
        stamp = decoded.stamp
        identify(stamp.identity)
        if self.admission.expire(stamp, time.time_ns()) and decoded.image is not None:
            self._drop(stamp, OutcomeCause.STALE)
            return False
        if decoded.image is not None and self.pipeline.failures.waits(stamp.identity.stream_id):
            self._drop(stamp, OutcomeCause.BACK_OFF)
            return False
        record = self._records.pop((stamp.partition, stamp.offset), None)
        if decoded.image is None and record is not None and decoded.error is not None:
            self._to_judge.put(Rejected(record, decoded.error))
        return decoded.image is not None

    # -- judge thread ----------------------------------------------------------------------------------

    def _judge_loop(self) -> None:
        while (work := self._next_work()) is not None:
            self.health.beat("judge")
            identify(None if isinstance(work, Rejected) else work.stamp.identity)
            partition, offset = _position(work)
            deliveries = self._publish(work) if self.ownership.owns(partition) else None
            if isinstance(work, Observed):
                self._ahead.release()
            if deliveries is not None:
                covers = self.ownership.finish(partition, offset, isinstance(work, Observed), deliveries)
                self.consumer.finish(partition, offset, [*deliveries, *covers])
                self.reports += 1
            self.ownership.note_done(partition)
            self.health.rest("judge")
        self._store_last()

    def _next_work(self) -> Work | None:
        """The next item, None at the end; ticks the ownership and the silence while it waits and before it returns."""
        while True:
            try:
                return self._to_judge.get(timeout=TICK_S)
            except queue.Empty:
                continue
            finally:
                self.ownership.tick(time.monotonic())
                self.silence.tick(time.monotonic())

    def _store_last(self) -> None:
        """Stores the final states within the time allowed for draining."""
        until_s = time.monotonic() + FAILED_S if self.failure else self._drained_by_s
        while not self.ownership.store_now() and time.monotonic() < until_s:
            self.ownership.tick(time.monotonic())
            time.sleep(TICK_S / 4)

    def _publish(self, work: Work) -> list[Delivery] | None:
        """Judges and publishes. While the broker takes no records, it and the whole path wait; nothing is lost.

        Returns None if the frame's partition went to another worker meanwhile.
        """
        publish = self._publication(work)
        while self.ownership.owns(_position(work)[0]):
            try:
                return publish()
            except BrokerUnavailableError as error:
                log.warning("the broker takes no records, waiting", error=str(error))
                self.health.beat("judge")
                if self.stopping.wait(POLL_S):
                    raise
        return None

    def _publication(self, work: Work) -> Callable[[], list[Delivery]]:
        """A function that publishes the result for `work`: it is judged once, publishing may be repeated."""
        if isinstance(work, Dropped):
            return lambda: self.pipeline.drop(work.stamp, work.cause)
        if isinstance(work, Rejected):
            return lambda: self.pipeline.reject(work.record, work.error)
        started_s = time.perf_counter()
        judgement = self.pipeline.judge(work.stamp, work.observation)
        now_ns = time.time_ns()
        latency_ms = judgement.report.latency_ms | work.latency_ms
        latency_ms |= {
            "judge": 1e3 * (time.perf_counter() - started_s),
            "age": (now_ns - work.stamp.published_ns) / 1e6,
        }
        judgement = replace(judgement, report=replace(judgement.report, latency_ms=latency_ms))
        FRAME_AGE.labels(work.stamp.identity.stream_id).observe(latency_ms["age"] / 1e3)
        for stage in ("decode", "observe", "judge"):
            STAGE_DURATION.labels(stage).observe(latency_ms[stage] / 1e3)
        return lambda: self.pipeline.publish(work.stamp, judgement)

    def _guarded(self, loop: Callable[..., None], *arguments: object) -> None:
        try:
            loop(*arguments)
            self.health.rest(threading.current_thread().name)
        except BaseException as error:
            self.failure = error  # first: the main thread may be about to end
            self.health.fail(threading.current_thread().name, f"{type(error).__name__}: {error}")
            log.exception("thread failed", thread=threading.current_thread().name)
            self.stopping.set()


def _position(work: Work) -> tuple[int, int]:
    source = work.record if isinstance(work, Rejected) else work.stamp
    return source.partition, source.offset
