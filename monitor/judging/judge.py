"""judge(stamp, observation, state) -> (report, alerts, next state): the half that needs no network.

numpy alone, deterministic, no clock: time is the frame's capture time. So one stored Observation can be
judged under any configuration, and frames judged again after a crash give the same ids.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from msgspec import Struct
from msgspec.structs import replace
from numpy.typing import NDArray

from gradwatch.models.gradients.head import head_scores, sigmoid, softmax
from gradwatch.models.outputs import KINDS, Activation, Detections, Head, HeadOutputs, Kind, Observation
from gradwatch.streams.wire.messages import Alert, FrameReport, FrameStamp, Outcome, ReportedForecasts, StreamState

from ..alarms import calibration as calibrating
from ..alarms.calibration import Calibration, CleanFit, CleanFrame, Origin
from ..alarms.change import CHANGE_DETECTORS
from ..scorers import PEDESTRIAN_PREFIX, ClosedForm, CropScores
from . import corrections as verdicts
from . import expectation, regions, tracking
from . import forecasts as forecasting
from .expectation import Expectations
from .report import as_float32, detections_of, readable_sides, report_of, reported_detections, tracks_of
from .settings import JudgeSettings
from .state import JudgeState
from .watch import Contradiction, Watch, strongest_contradiction

ACTIVATIONS = {"softmax": softmax, "sigmoid": sigmoid}


class Judgement(Struct, frozen=True):
    """What judging one frame gives."""

    report: FrameReport
    alerts: list[Alert]
    state: JudgeState


class Judge:
    """Judges the frames of any number of streams; holds no state of any of them.

    heads: every head whose outputs an observation may carry, by id. Raises ValueError where heads of one kind don't
    have equal classes.
    """

    def __init__(self, heads: dict[str, Head], models_id: str, settings: JudgeSettings) -> None:
        self.heads = heads
        self.classes = classes_by_kind(heads)
        self.models_id = models_id
        self.settings = settings
        self.configuration_id = settings.configuration_id
        self.horizon_s = np.asarray(settings.horizon_s)
        self.watch = Watch(settings.policy, models_id, self.configuration_id)

    def __call__(self, stamp: FrameStamp, observation: Observation, state: JudgeState) -> Judgement:
        """The report and alerts of one frame and the state after it. Frames of one stream must come in order."""
        dt_s = 0.0 if state.capture_ns is None else (stamp.capture_ns - state.capture_ns) / 1e9
        state, detection_index = self._associate(stamp, observation, state)
        crops, contradiction, state = self._score_crops(observation, detection_index, state)
        shown = np.flatnonzero(tracking.confirmed(state.tracks, self.settings.tracker))
        forecasts, state = self._forecast(detection_index, shown, state)
        report = self._report(stamp, observation, detection_index[shown], forecasts, state, shown)
        if state.calibration is None:
            scores = calibrating.score(observation, crops, {name: {} for name in crops})
            report = replace(report, scores=as_float32(scores), score_detections=detections_of(scores, crops))
            state = self._calibrating(CleanFrame(stamp.capture_ns, without_boxes(observation), crops), state)
            return Judgement(report, [], state)
        seen = self.watch(stamp, observation, crops, contradiction, dt_s, state)
        report = replace(
            report,
            state=StreamState.ALERTING if seen.open_ids else StreamState.WATCHING,
            scores=as_float32(seen.scores),
            p_values=as_float32(seen.p_values),
            score_detections=detections_of(seen.scores, crops),
            change=seen.ratios,
            alert_ids=seen.open_ids,
        )
        return Judgement(report, seen.alerts, seen.state)

    def origin(self, source: str, size: tuple[int, int]) -> Origin:
        """What a calibration of this judge for `source` and pictures of `size` (width, height) is bound to."""
        return Origin(source, self.models_id, self.configuration_id, *size)

    def calibrate(self, clean: Sequence[CleanFrame] | CleanFit, source: str, size: tuple[int, int]) -> Calibration:
        """The calibration from clean frames of `size` (width, height) px. Raises TooFewFramesError."""
        origin = self.origin(source, size)
        carriers = {kind: policy.carriers for kind, policy in self.settings.policy.items()}
        detectors = {kind: CHANGE_DETECTORS[policy.detector] for kind, policy in self.settings.policy.items()}
        durations_s = {kind: policy.min_duration_s for kind, policy in self.settings.policy.items()}
        return calibrating.calibrate(clean, origin, carriers, detectors, self.settings.alarms, durations_s)

    def gather(self, stamp: FrameStamp, observation: Observation, state: JudgeState) -> tuple[CleanFrame, JudgeState]:
        """What a calibration needs of one clean frame, and the state after it."""
        state, detection_index = self._associate(stamp, observation, state)
        crops, _, state = self._score_crops(observation, detection_index, state)
        return CleanFrame(stamp.capture_ns, without_boxes(observation), crops), state

    def _associate(
        self, stamp: FrameStamp, observation: Observation, state: JudgeState
    ) -> tuple[JudgeState, NDArray[np.int32]]:
        seen = observation.detections
        tracks, detection_index = tracking.advance(
            state.tracks, stamp.capture_ns, seen.xyxy, seen.score, seen.class_id, self.settings.tracker
        )
        state = replace(state, tracks=tracks, next_seq=stamp.identity.seq + 1, capture_ns=stamp.capture_ns)
        return state, detection_index

    def _score_crops(
        self, observation: Observation, detection_index: NDArray[np.int32], state: JudgeState
    ) -> tuple[CropScores, Contradiction | None, JudgeState]:
        """Closed forms of every head's crops, against what their tracks led to expect; then the tracks learn."""
        unknown = observation.heads.keys() - self.heads.keys()
        if unknown:
            raise ValueError(f"judge: expected outputs of the heads {list(self.heads)}, got also {sorted(unknown)}")
        crops: CropScores = {}
        contradictions: list[Contradiction] = []
        # by kind of this judge's heads: what an older version stored under other names is forgotten here
        expectations: dict[str, Expectations] = {}
        for kind in self.classes:
            scores, against, expectations[kind] = self._score_kind(kind, observation, detection_index, state)
            crops |= scores
            contradictions += against
        strongest = max(contradictions, key=lambda c: c.mismatch, default=None)
        return crops, strongest, replace(state, expectations=expectations)

    def _score_kind(
        self, kind: Kind, observation: Observation, detection_index: NDArray[np.int32], state: JudgeState
    ) -> tuple[CropScores, list[Contradiction], Expectations]:
        """The same for the heads of one kind, which share what is expected: tracks wander from one to the next."""
        alive, rules = state.tracks.track_id, expectation.rules_for(kind, self.settings.expectation)
        known = learned = state.expectations.get(kind, Expectations.none(len(self.classes[kind])))
        forms: list[CropScores] = []
        contradictions: list[Contradiction] = []
        own = [(number, id_) for number, id_ in enumerate(self.heads) if self.heads[id_].kind == kind]
        seen = [(number, self.heads[id_], observation.heads[id_]) for number, id_ in own if id_ in observation.heads]
        for number, head, outputs in seen:
            track_id, side_px = tracks_of(outputs, detection_index, alive), readable_sides(observation, outputs)
            q = expectation.expected(known, track_id, side_px, rules)
            xyxy = observation.detections.xyxy[outputs.detection_index]
            seq, at_ns = state.next_seq - 1, state.capture_ns or 0  # of this frame, since `_associate`
            q[verdicts.silenced(state.verdicts, seq, at_ns, kind, track_id, xyxy)] = np.nan
            read = crop_scores(outputs, q, head.activation, number)
            if kind == "sign":
                contradictions += strongest_contradiction(read, outputs, track_id, q, head.classes)
            else:
                read = {PEDESTRIAN_PREFIX + name: form for name, form in read.items()}
            forms.append(read)
            p = ACTIVATIONS[head.activation](outputs.logits).astype(np.float64)
            learned = expectation.learn(learned, track_id, side_px, p, alive, rules)
        return joined(forms), contradictions, learned

    def _forecast(
        self, detection_index: NDArray[np.int32], shown: NDArray[np.intp], state: JudgeState
    ) -> tuple[ReportedForecasts, JudgeState]:
        """Regions of the confirmed tracks, and the tally of how often earlier ones held."""
        tracks, rules = tracking.select_tracks(state.tracks, shown), self.settings.tracker
        mean, covariance = forecasting.FORECASTERS[self.settings.forecaster](tracks, self.horizon_s, rules)
        discs = regions.Regions(self.horizon_s, mean, regions.radius(covariance, self.settings.coverage))
        ledger = regions.update(state.ledger, tracks, detection_index[shown], discs)
        return regions.report_forecasts(discs, self.settings.coverage, ledger), replace(state, ledger=ledger)

    def _calibrating(self, clean: CleanFrame, state: JudgeState) -> JudgeState:
        """Keeps a frame of the stream's start; with the last of them the stream is calibrated."""
        if state.clean and clean.capture_ns <= state.clean[-1].capture_ns:
            return state  # no time went by: this shows nothing new
        gathered = (*state.clean, clean)
        if len(gathered) < self.settings.calibration_frames:
            return replace(state, clean=gathered)
        return replace(state, clean=(), calibration=self.calibrate(gathered, state.stream_id, clean.observation.size))

    def _report(
        self,
        stamp: FrameStamp,
        observation: Observation,
        detection_index: NDArray[np.int32],
        forecasts: ReportedForecasts,
        state: JudgeState,
        shown: NDArray[np.intp],
    ) -> FrameReport:
        tracks = tracking.select_tracks(state.tracks, shown)
        expects = {
            int(track): classes[int(q.argmax())]
            for kind, classes in self.classes.items()
            for known in [state.expectations[kind]]
            for track, crops, q in zip(known.track_id, known.crops, known.q, strict=True)
            if crops >= self.settings.expectation.min_crops
        }
        expects |= verdicts.overridden(state.verdicts, stamp.identity.seq)
        return replace(
            report_of(stamp, Outcome.JUDGED, StreamState.CALIBRATING),
            width=observation.size[0],
            height=observation.size[1],
            detections=reported_detections(observation, self.heads),
            tracks=tracking.report_tracks(
                tracks, detection_index, KINDS, [expects.get(int(t), "") for t in tracks.track_id]
            ),
            forecasts=forecasts,
            latency_ms=dict(observation.latency_ms),
            models_id=self.models_id,
            calibration_id=state.calibration.calibration_id if state.calibration else "",
            configuration_id=self.configuration_id,
        )


def classes_by_kind(heads: dict[str, Head]) -> dict[Kind, tuple[str, ...]]:
    """The classes that the heads of each kind tell apart. Raises ValueError where two of them don't agree."""
    classes: dict[Kind, tuple[str, ...]] = {}
    for head_id, head in heads.items():
        if classes.setdefault(head.kind, head.classes) != head.classes:
            raise ValueError(
                f"heads of kind {head.kind!r}: expected the classes {classes[head.kind]}, "
                f"got {head.classes} from {head_id!r}"
            )
    return classes


def joined(forms: Sequence[CropScores]) -> CropScores:
    """The closed forms of several heads' crops as one, in the order of the detections."""
    result: CropScores = {}
    for name in {name: None for one in forms for name in one}:
        parts = [one[name] for one in forms if name in one]
        order = np.argsort(np.concatenate([part.detection_index for part in parts]), kind="stable")
        columns = zip(*((part.values, part.detection_index, part.head) for part in parts), strict=True)
        result[name] = ClosedForm(*(np.concatenate(column)[order] for column in columns))
    return result


def crop_scores(outputs: HeadOutputs, q: NDArray[np.float64], activation: Activation, head: int = 0) -> CropScores:
    """Closed forms of the crops of the head in place `head`; those of expectancy only where a row of q is finite."""
    due = np.isfinite(q[:, 0])
    expected = q.astype(np.float32) if due.any() else None
    scores = head_scores(outputs.logits, outputs.features, expected, activation=activation)
    every, own = np.ones(len(due), bool), {"expectancy_gradient": due, "expectancy_surprisal": due}
    return {
        name: ClosedForm(values[rows], outputs.detection_index[rows], np.full(np.count_nonzero(rows), head, np.int32))
        for name, values in scores.items()
        for rows in [own.get(name, every)]
        if rows.any()
    }


def without_boxes(observation: Observation) -> Observation:
    """`observation` without what no score learns from: calibration keeps many of them."""
    nothing = Detections(np.empty((0, 4), np.float32), np.empty(0, np.float32), np.empty(0, np.int32))
    return Observation(observation.size, nothing, {}, observation.tiles, observation.image_statistics)
