"""The steps of one frame, from topic to topic, on one screen.

    Record -> read -> EncodedFrame -> decode -> pixels -> observe -> Observation -> judge -> Judgement -> publish

Each step is one method. `threads.py` calls them from its threads, tests call `step`. A record that is no frame becomes
a dead letter and a `rejected` report, a frame that the policy drops a `dropped` report: every frame gets exactly one
report.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import structlog
from msgspec.structs import replace
from numpy.typing import NDArray

from gradwatch.models.observe import Observer
from gradwatch.models.outputs import Observation
from gradwatch.streams.dead_letters import DeadLetters
from gradwatch.streams.observability.metrics import ALERTS_OPEN, FRAMES, STATES_REFUSED, count_invalid_traceparent
from gradwatch.streams.sinks import ReportSink
from gradwatch.streams.transport.producer import Delivery
from gradwatch.streams.wire.frames import decode_frame, rejected_stamp
from gradwatch.streams.wire.messages import (
    ClosedBecause,
    EncodedFrame,
    FrameReport,
    FrameStamp,
    Outcome,
    OutcomeCause,
    StreamState,
)
from gradwatch.streams.wire.pixels import MAX_PIXELS, BadRecordError, decode_picture
from gradwatch.streams.wire.records import Record

from ..alarms.calibration import Calibration, CalibrationMismatchError, check_origin
from ..judging.corrections import schedule
from ..judging.judge import Judge, Judgement
from ..judging.report import empty_report
from ..judging.state import JudgeState, new_run
from ..overlay import annotations as overlays
from .stored_state import Found, StoredState, resumed
from .stream_health import StreamHealth
from .verdict_feed import CorrectionBook

log = structlog.get_logger()


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
        self.max_pixels = max_pixels  # of a picture; a larger one is rejected before it is decoded
        self.states: dict[str, JudgeState] = {}
        self.corrections = corrections or CorrectionBook()
        self.health = health or StreamHealth()
        self.adopts_from: dict[int, int] = {}  # by partition: earlier frames may have been reported by another worker

    def step(self, record: Record) -> list[Delivery]:
        """All steps for one record; returns the deliveries that must succeed before its offset is committed."""
        try:
            frame = self.read(record)
            image = self.decode(frame)
        except BadRecordError as error:
            return self.reject(record, error)
        observation = self.observe([frame.stamp], [image])[0]
        judgement = self.judge(frame.stamp, observation)
        return self.publish(judgement.report, judgement)

    def read(self, record: Record) -> EncodedFrame:
        """The frame in a record of the frames topic; no pixels yet. Raises BadRecordError."""
        frame = decode_frame(record)
        if frame.stamp.traceparent is None:
            count_invalid_traceparent(record.text_header("traceparent"), frame.stamp.identity.stream_id)
        return frame

    def decode(self, frame: EncodedFrame) -> NDArray[np.uint8]:
        """The picture (H, W, 3) uint8 RGB. Raises BadRecordError."""
        return decode_picture(frame.content, self.max_pixels)

    def observe(self, stamps: list[FrameStamp], images: list[NDArray[np.uint8]]) -> list[Observation]:
        """The output of the networks, and of their gradients, for each picture."""
        return self.observer.observe(images, [stamp.identity.seq for stamp in stamps])

    def judge(self, stamp: FrameStamp, observation: Observation) -> Judgement:
        """Judges a frame and advances its stream's state; a new run closes the alerts that the last run left open."""
        before = self.states.get(stamp.identity.stream_id)
        state = self._with_corrections(stamp, self._state_for(stamp, observation))
        judgement = self.judge_frame(stamp, observation, state)
        self.states[stamp.identity.stream_id] = judgement.state
        if state.calibration is None and judgement.state.calibration is not None:
            made = judgement.state.calibration
            log.info("calibrated", stream=stamp.identity.stream_id, can_alarm=list(made.thresholds), note=made.note)
        ALERTS_OPEN.labels(stamp.identity.stream_id).set(len(judgement.report.alert_ids))
        if before is not None and before.run_id != state.run_id:
            closed = self.judge_frame.watch.close(before, ClosedBecause.NEW_RUN)
            judgement = replace(judgement, alerts=[*closed, *judgement.alerts])
        return judgement

    def publish(self, report: FrameReport, judgement: Judgement | None = None) -> list[Delivery]:
        """Hands report, overlay and alerts to the sink."""
        overlay = overlays.annotations(report) if judgement is not None else None
        deliveries = self.sink.publish(report, overlay, judgement.alerts if judgement is not None else [])
        FRAMES.labels(report.identity.stream_id, report.outcome, report.cause or "").inc()
        return deliveries

    def drop(self, stamp: FrameStamp, cause: OutcomeCause) -> list[Delivery]:
        """Reports a frame that the admission policy dropped."""
        return self.publish(empty_report(stamp, Outcome.DROPPED, self._state_name(stamp), cause))

    def reject(self, record: Record, error: BadRecordError) -> list[Delivery]:
        """Publishes a record to the dead letters with its bytes untouched, and reports it."""
        stamp = rejected_stamp(record)
        dead = self.dead_letters.publish(record, error, "decode")
        return [dead, *self.publish(empty_report(stamp, Outcome.REJECTED, self._state_name(stamp), error.cause))]

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

    def forget(self, stream_id: str) -> None:
        """Drops the state of a stream that another worker owns now."""
        if self.states.pop(stream_id, None) is not None:
            ALERTS_OPEN.labels(stream_id).set(0)

    def bind(self, state: JudgeState, next_offset: int, published_ns: int) -> StoredState:
        """`state` as it is stored: with the frames that it covers, and the ids that it may be continued with."""
        return StoredState(
            next_offset=next_offset,
            published_ns=published_ns,
            models_id=self.judge_frame.models_id,
            configuration_id=self.judge_frame.configuration_id,
            calibration_id=state.calibration.calibration_id if state.calibration else "",
            clean_frames=len(state.clean),
            state=state,
        )

    def _state_for(self, stamp: FrameStamp, observation: Observation) -> JudgeState:
        """The stream's state; a new run starts anew but keeps the calibration while the picture size is the same."""
        stream_id, run_id = stamp.identity.stream_id, stamp.identity.run_id
        state = self.states.get(stream_id)
        if state is not None and state.run_id == run_id:
            return state
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
        if state is None or state.calibration is None:
            return StreamState.CALIBRATING
        return StreamState.ALERTING if state.alerting else StreamState.WATCHING
