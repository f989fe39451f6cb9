"""The steps of one frame, from topic to topic, on one screen.

    Record -> read -> EncodedFrame -> decode -> pixels -> observe -> Observation -> judge -> Judgement -> publish

Each step is one method. `threads.py` calls them from its threads, tests call `step`. A record that is no frame becomes
a dead letter and a `rejected` report, a frame that the policy drops a `dropped` report, and one whose observing,
judging or publishing fails a `failed` report: every frame gets exactly one report, and a failure is that of its stream
alone, whose state begins anew (`failures.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import numpy as np
import structlog
from msgspec.structs import replace
from numpy.typing import NDArray

from gradwatch.models.observe import Observer
from gradwatch.models.outputs import Observation
from gradwatch.streams.dead_letters import DeadLetters
from gradwatch.streams.observability.metrics import (
    ALERTS_OPEN,
    FRAMES,
    OVERLAYS_SKIPPED,
    STATES_REFUSED,
    count_invalid_traceparent,
)
from gradwatch.streams.sinks import Overlay, ReportSink
from gradwatch.streams.transport.connection import BrokerUnavailableError
from gradwatch.streams.transport.producer import Delivery
from gradwatch.streams.wire.frames import decode_frame, rejected_stamp
from gradwatch.streams.wire.messages import (
    Alert,
    ClosedBecause,
    Disturbance,
    EncodedFrame,
    FrameIdentity,
    FrameReport,
    FrameStamp,
    Outcome,
    OutcomeCause,
    StreamState,
)
from gradwatch.streams.wire.pixels import MAX_PIXELS, BadRecordError, decode_picture
from gradwatch.streams.wire.records import Record

from ..alarms.calibration import Calibration, CalibrationMismatchError, check_origin
from ..alarms.variation import one_color
from ..judging import runs
from ..judging.corrections import schedule
from ..judging.judge import Judge, Judgement
from ..judging.report import empty_report
from ..judging.runs import Runs
from ..judging.state import JudgeState, begun_anew, new_run
from ..overlay import annotations as overlays
from .failures import MACHINE, StreamFailures
from .stored_state import Covered, Found, StoredState, resumed
from .stream_health import StreamHealth
from .verdict_feed import CorrectionBook

log = structlog.get_logger()

T = TypeVar("T")

PROBE = np.full((54, 96, 3), 128, np.uint8)  # a picture on which networks that work at all don't fail


class Pipeline:
    """The steps of frames, and the states of their streams.

    Only `judge` and the methods below it use the states; one thread must call them all.
    """

    def __init__(
        self,
        observer: Observer,
        judge: Judge,
        sink: ReportSink,
        dead_letters: DeadLetters,
        calibrations: Mapping[str, Calibration] | None = None,
        max_pixels: int = MAX_PIXELS,
        corrections: CorrectionBook | None = None,
        health: StreamHealth | None = None,
    ) -> None:
        self.observer = observer
        self.judge_frame = judge
        self.sink = sink
        self.dead_letters = dead_letters
        self.calibrations = dict(calibrations or {})
        self.refused_calibrations: dict[str, str] = {}  # by stream, why the file that it names can't be used
        self.max_pixels = max_pixels  # of a picture; a larger one is rejected before it is decoded
        self.states: dict[str, JudgeState] = {}
        self.corrections = corrections or CorrectionBook()
        self.health = health or StreamHealth()
        self.failures = StreamFailures()
        self.adopts_from: dict[int, int] = {}  # by partition: earlier frames may have been reported by another worker

    def step(self, record: Record) -> list[Delivery]:
        """All steps for one record; returns the deliveries that must succeed before its offset is committed."""
        try:
            frame = self.read(record)
            image = self.decode(frame)
        except BadRecordError as error:
            return self.reject(record, error)
        if self.failures.waits(frame.stamp.identity.stream_id):
            return self.drop(frame.stamp, OutcomeCause.BACK_OFF)
        observation = self.observe([frame.stamp], [image])[0]
        return self.publish(frame.stamp, self.judge(frame.stamp, observation))

    def read(self, record: Record) -> EncodedFrame:
        """The frame in a record of the frames topic; no pixels yet. Raises BadRecordError."""
        frame = _of_record(decode_frame, record)
        if frame.stamp.traceparent is None:
            count_invalid_traceparent(record.text_header("traceparent"), frame.stamp.identity.stream_id)
        return frame

    def decode(self, frame: EncodedFrame) -> NDArray[np.uint8]:
        """The picture (H, W, 3) uint8 RGB. Raises BadRecordError."""
        return _of_record(decode_picture, frame.content, self.max_pixels)

    def observe(self, stamps: list[FrameStamp], images: list[NDArray[np.uint8]]) -> list[Observation | Exception]:
        """The output of the networks, and of their gradients, for each picture, or the error that they raised on it.

        Where a batch fails, its pictures are tried one by one. Raises the error where a plain gray picture fails, too:
        then it is the networks or their device that fail, and not the picture.
        """
        try:
            return [*self.observer.observe(images, [stamp.identity.seq for stamp in stamps])]
        except MACHINE:
            raise
        except Exception as error:
            if len(images) > 1:
                return [self.observe([s], [i])[0] for s, i in zip(stamps, images, strict=True)]
            self.observer.observe([PROBE], [0])
            return [error]

    def judge(self, stamp: FrameStamp, observation: Observation | Exception) -> Judgement:
        """Judges a frame and advances its stream's state; a new run closes the alerts that the last run left open.

        Where judging fails, or the networks have, the frame is `failed` and the stream's state begins anew. A frame
        of an older run is `rejected` and leaves the state as it is.
        """
        if self.is_of_older_run(stamp):
            return self._refuse(stamp)
        if isinstance(observation, Exception):
            return self._fail(stamp, observation)
        try:
            judgement = self._judge(stamp, observation)
        except MACHINE:
            raise
        except Exception as error:
            return self._fail(stamp, error)
        self.failures.judged(stamp.identity.stream_id)
        return judgement

    def is_of_older_run(self, stamp: FrameStamp) -> bool:
        """Whether a newer run of the frame's stream is judged: two sources use one stream id. Any thread may ask."""
        state = self.states.get(stamp.identity.stream_id)
        return state is not None and runs.is_older(state.runs, state.run_id, stamp.identity.run_id)

    def publish(self, stamp: FrameStamp, judgement: Judgement) -> list[Delivery]:
        """Hands report, overlay and alerts to the sink. What can't be published is a failure of its stream.

        Raises BrokerUnavailableError while the broker takes nothing; then it may be called again.
        """
        try:
            report = judgement.report
            return self._publish(report, _overlay(report), judgement.alerts)
        except MACHINE:
            raise
        except Exception as error:
            failed = self._fail(stamp, error)
            return self._publish(failed.report, None, failed.alerts)

    def drop(self, stamp: FrameStamp, cause: OutcomeCause) -> list[Delivery]:
        """Reports a frame that is not judged, because the policy, a failure of its stream or a newer run forbids it."""
        if cause is OutcomeCause.OTHER_RUN:
            return self.publish(stamp, self._refuse(stamp))
        outcome = Outcome.FAILED if cause is OutcomeCause.BACK_OFF else Outcome.DROPPED
        return self._publish(empty_report(stamp, outcome, self._state_name(stamp), cause))

    def reject(self, record: Record, error: BadRecordError) -> list[Delivery]:
        """Publishes a record to the dead letters with its bytes untouched, and reports it."""
        stamp = rejected_stamp(record)
        dead = self.dead_letters.publish(record, error, "decode")
        return [dead, *self._publish(empty_report(stamp, Outcome.REJECTED, self._state_name(stamp), error.cause))]

    def take_up(self, found: Found) -> None:
        """Continues a stream from the state that its last worker stored."""
        judge, stream_id = self.judge_frame, found.stream_id
        given = self.calibrations.get(stream_id)
        state, refused = resumed(found, given, judge.models_id, judge.configuration_id)
        if refused:
            STATES_REFUSED.labels(stream_id, refused).inc()
        if found.problem or refused:
            log.warning(
                "stored state refused, the stream starts anew", stream=stream_id, cause=refused, why=found.problem
            )
        self.states.pop(stream_id, None)
        if state is not None:
            self.states[stream_id] = state
            bound = state.calibration.calibration_id if state.calibration else ""
            log.info(
                "continued from the stored state",
                stream=stream_id,
                run=state.run_id,
                seq=state.next_seq,
                calibration=bound,
            )

    def close_alerts(self, stream_id: str, because: ClosedBecause) -> list[Delivery]:
        """Publishes the last revisions of a stream's open alerts, which its state then forgets."""
        state = self.states.get(stream_id)
        if state is None:
            return []
        deliveries = self.sink.publish_alerts(self._closed(state, because))
        self.states[stream_id] = replace(state, episodes={})
        ALERTS_OPEN.labels(stream_id).set(0)
        return deliveries

    def begin_anew(self, stream_id: str, error: Exception) -> list[Delivery]:
        """Begins a stream's state anew that can't be stored; returns the deliveries of the alerts closed by that."""
        state = self.states.get(stream_id)
        if state is None:
            return []
        last = FrameIdentity(stream_id, state.run_id, state.next_seq - 1)
        self.failures.failed(stream_id, f"the state after {last}", error)
        detail = f"the state after frame {last.seq} can't be stored: {type(error).__name__}: {error}"
        self.health.moment(stream_id, state.run_id, Disturbance.JUDGING_FAILED, detail, last.seq)
        try:
            deliveries = self.close_alerts(stream_id, ClosedBecause.FAILED)
        except BrokerUnavailableError as unavailable:
            log.warning("the alerts of a failed stream can't be closed", stream=stream_id, error=str(unavailable))
            deliveries = []
        self.states[stream_id] = begun_anew(state, last, self.calibrations.get(stream_id))
        return deliveries

    def forget(self, stream_id: str) -> None:
        """Drops the state of a stream that another worker owns now, or that is silent for long."""
        self.failures.forget(stream_id)
        self.health.forget(stream_id)
        if self.states.pop(stream_id, None) is not None:
            ALERTS_OPEN.labels(stream_id).set(0)

    def is_worth_keeping(self, stream_id: str) -> bool:
        """Whether the stored state of a silent stream has a calibration that was made on the stream's own start."""
        state, given = self.states.get(stream_id), self.calibrations.get(stream_id)
        made = state.calibration if state is not None else None
        return made is not None and (given is None or given.calibration_id != made.calibration_id)

    def bind(self, state: JudgeState, covered: Covered) -> StoredState:
        """`state` as it is stored: with the frames that it covers, and the ids that it may be continued with."""
        return StoredState(
            next_offset=covered.next_offset,
            version=covered.version,
            models_id=self.judge_frame.models_id,
            configuration_id=self.judge_frame.configuration_id,
            calibration_id=state.calibration.calibration_id if state.calibration else "",
            clean_frames=len(state.clean),
            state=state,
            topic_id=covered.topic_id,
            seen_run=covered.run_id,
            seen_seq=covered.seq,
        )

    def _judge(self, stamp: FrameStamp, observation: Observation) -> Judgement:
        before = self.states.get(stamp.identity.stream_id)
        state = self._with_corrections(stamp, self._state_for(stamp, observation))
        judgement = self.judge_frame(stamp, observation, state)
        if before is not None and before.run_id != state.run_id:
            closed = self._closed(before, ClosedBecause.NEW_RUN)
            judgement = replace(judgement, alerts=[*closed, *judgement.alerts])
        self.states[stamp.identity.stream_id] = judgement.state
        self.health.clock(stamp.identity, state.time, judgement.state.time)
        if state.calibration is None and judgement.state.calibration is not None:
            made = judgement.state.calibration
            log.info("calibrated", stream=stamp.identity.stream_id, can_alarm=list(made.thresholds), note=made.note)
        ALERTS_OPEN.labels(stamp.identity.stream_id).set(len(judgement.report.alert_ids))
        self.health.signal(stamp.identity, judgement.state.no_signal, one_color(observation.image_statistics))
        return judgement

    def _refuse(self, stamp: FrameStamp) -> Judgement:
        """The result for a frame of an older run than the one that is judged."""
        stream_id, run_id = stamp.identity.stream_id, stamp.identity.run_id
        state = self.states.get(stream_id) or JudgeState(stream_id, run_id)
        detail = f"run {run_id} sends frames, too; the newer run {state.run_id} is judged"
        self.health.moment(stream_id, state.run_id, Disturbance.OTHER_RUN, detail, state.next_seq - 1)
        state = self.states[stream_id] = replace(state, runs=runs.rejected(state.runs, stamp))
        report = empty_report(stamp, Outcome.REJECTED, self._state_name(stamp), OutcomeCause.OTHER_RUN)
        return Judgement(report, [], state)

    def _fail(self, stamp: FrameStamp, error: Exception) -> Judgement:
        """The result for a frame that could not be judged. The stream's state begins anew and its alerts are closed.

        A calibration made on the stream's own start is kept at first; a second failure in a row drops it as well.
        """
        stream_id, run_id, seq = stamp.identity.stream_id, stamp.identity.run_id, stamp.identity.seq
        row = self.failures.failed(stream_id, str(stamp.identity), error)
        detail = f"frame {seq}: {type(error).__name__}: {error}"
        self.health.moment(stream_id, run_id, Disturbance.JUDGING_FAILED, detail, seq)
        before, given = self.states.get(stream_id), self.calibrations.get(stream_id)
        state = begun_anew(before, stamp.identity, given if row > 1 or before is None else before.calibration)
        self.states[stream_id] = state
        ALERTS_OPEN.labels(stream_id).set(0)
        report = empty_report(stamp, Outcome.FAILED, self._state_name(stamp), OutcomeCause.JUDGING_ERROR)
        return Judgement(report, self._closed(before, ClosedBecause.FAILED), state)

    def _closed(self, state: JudgeState | None, because: ClosedBecause) -> list[Alert]:
        """The last revisions of the open alerts of a state that is given up; [] where they can't be told."""
        try:
            return [] if state is None else self.judge_frame.watch.close(state, because)
        except Exception:
            log.exception("the open alerts of a stream can't be closed", stream=state and state.stream_id)
            return []

    def _publish(
        self, report: FrameReport, overlay: Overlay | None = None, alerts: Sequence[Alert] = ()
    ) -> list[Delivery]:
        deliveries = self.sink.publish(report, overlay, alerts)
        FRAMES.labels(report.identity.stream_id, report.outcome, report.cause or "").inc()
        return deliveries

    def _state_for(self, stamp: FrameStamp, observation: Observation) -> JudgeState:
        """The stream's state; a new run starts anew but keeps the calibration while the picture size is the same."""
        stream_id, run_id = stamp.identity.stream_id, stamp.identity.run_id
        state = self.states.get(stream_id)
        if state is not None and state.run_id == run_id:
            return replace(state, runs=Runs(state.runs.replaced)) if state.runs.rival else state
        fresh = new_run(state, stream_id, run_id)
        given, kept = self.calibrations.get(stream_id), fresh.calibration
        if given is not None:
            try:
                check_origin(given, self.judge_frame.origin(given.origin.source, observation.size))
            except CalibrationMismatchError as error:
                # one stream's wrong file must not stop the others
                log.error(
                    "calibration refused, the stream calibrates on its own start", stream=stream_id, why=str(error)
                )
                return replace(fresh, calibration=None)
            return replace(fresh, calibration=given)
        if kept is not None and kept.origin != self.judge_frame.origin(stream_id, observation.size):
            return replace(fresh, calibration=None)  # it calibrates on its own start again
        return fresh

    def _with_corrections(self, stamp: FrameStamp, state: JudgeState) -> JudgeState:
        if stamp.offset < self.adopts_from.get(stamp.partition, 0):
            return state
        current = self.corrections.of(stamp.identity.stream_id)
        return replace(state, corrections=schedule(state.corrections, current, state.run_id, stamp.identity.seq))

    def _state_name(self, stamp: FrameStamp) -> StreamState:
        state = self.states.get(stamp.identity.stream_id)
        return StreamState.CALIBRATING if state is None else state.stream_state


def _overlay(report: FrameReport) -> Overlay | None:
    """The drawing of a judged frame; best effort, so one that can't be made is counted and left out."""
    if report.outcome is not Outcome.JUDGED:
        return None
    try:
        return overlays.annotations(report)
    except Exception:
        OVERLAYS_SKIPPED.labels(report.identity.stream_id, "not_drawn").inc()
        return None


def _of_record(read: Callable[..., T], *arguments: object) -> T:
    """`read(*arguments)`, where whatever a record makes a reader raise becomes BadRecordError."""
    try:
        return read(*arguments)
    except (BadRecordError, *MACHINE):
        raise
    except Exception as error:
        raise BadRecordError(OutcomeCause.UNDECODABLE, f"{type(error).__name__}: {error}") from error
