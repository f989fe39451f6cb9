"""judge(frame, observation, state) -> (report, alerts, next state): the half that needs no network.

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
from gradwatch.models.outputs import KINDS, Activation, Detections, Head, HeadOutputs, Observation
from gradwatch.streams.messages import Alert, EncodedFrame, FrameReport, Outcome, ReportedForecasts, StreamState

from . import calibration as calibrating
from . import expectation, forecasting, regions, tracking
from .calibration import Calibration, CleanFit, CleanFrame, Origin
from .change import CHANGE_DETECTORS
from .config import JudgeSettings
from .reporting import as_float32, readable_sides, report_of, reported_detections, tracks_of
from .scorers import CropScores
from .state import JudgeState
from .watching import Contradiction, Watch, strongest_contradiction

ACTIVATIONS = {"softmax": softmax, "sigmoid": sigmoid}


class Verdict(Struct, frozen=True):
    """What judging one frame gives."""

    report: FrameReport
    alerts: list[Alert]
    state: JudgeState


class Judge:
    """Judges the frames of any number of streams; holds no state of any of them."""

    def __init__(self, heads: dict[str, Head], models_id: str, settings: JudgeSettings) -> None:
        self.heads = heads
        self.models_id = models_id
        self.settings = settings
        self.configuration_id = settings.configuration_id
        self.horizon_s = np.asarray(settings.horizon_s)
        self.watch = Watch(settings.policy, models_id, self.configuration_id)

    def __call__(self, frame: EncodedFrame, observation: Observation, state: JudgeState) -> Verdict:
        """The report and alerts of one frame and the state after it. Frames of one stream must come in order."""
        dt_s = 0.0 if state.capture_ns is None else (frame.capture_ns - state.capture_ns) / 1e9
        state, detection_index = self._associate(frame, observation, state)
        crops, contradiction, state = self._score_crops(observation, detection_index, state)
        shown = np.flatnonzero(tracking.confirmed(state.tracks, self.settings.tracker))
        forecasts, state = self._forecast(detection_index, shown, state)
        report = self._report(frame, observation, detection_index[shown], forecasts, state, shown)
        if state.calibration is None:
            scores = calibrating.score(observation, crops, {name: {} for name in crops})
            state = self._calibrating(CleanFrame(frame.capture_ns, without_boxes(observation), crops), state)
            return Verdict(replace(report, scores=as_float32(scores)), [], state)
        seen = self.watch(frame, observation, crops, contradiction, dt_s, state)
        report = replace(
            report,
            state=StreamState.ALERTING if seen.open_ids else StreamState.WATCHING,
            scores=as_float32(seen.scores),
            p_values=as_float32(seen.p_values),
            change=seen.ratios,
            alert_ids=seen.open_ids,
        )
        return Verdict(report, seen.alerts, seen.state)

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

    def gather(self, frame: EncodedFrame, observation: Observation, state: JudgeState) -> tuple[CleanFrame, JudgeState]:
        """What a calibration needs of one clean frame, and the state after it."""
        state, detection_index = self._associate(frame, observation, state)
        crops, _, state = self._score_crops(observation, detection_index, state)
        return CleanFrame(frame.capture_ns, without_boxes(observation), crops), state

    def _associate(
        self, frame: EncodedFrame, observation: Observation, state: JudgeState
    ) -> tuple[JudgeState, NDArray[np.int32]]:
        seen = observation.detections
        tracks, detection_index = tracking.advance(
            state.tracks, frame.capture_ns, seen.xyxy, seen.score, seen.class_id, self.settings.tracker
        )
        state = replace(state, tracks=tracks, next_seq=frame.identity.seq + 1, capture_ns=frame.capture_ns)
        return state, detection_index

    def _score_crops(
        self, observation: Observation, detection_index: NDArray[np.int32], state: JudgeState
    ) -> tuple[CropScores, Contradiction | None, JudgeState]:
        """Closed forms of every head's crops, against what their tracks led to expect; then the tracks learn."""
        scores: list[CropScores] = []
        contradictions: list[Contradiction] = []
        expectations = dict(state.expectations)
        alive, rules = state.tracks.track_id, self.settings.expectation
        for head_id, outputs in observation.heads.items():
            head = self.heads[head_id]
            track_id, side_px = tracks_of(outputs, detection_index, alive), readable_sides(observation, outputs)
            known = expectations.get(head_id, expectation.Expectations.none(len(head.classes)))
            q = expectation.expected(known, track_id, side_px, rules)
            scores.append(crop_scores(outputs, q, head.activation))
            contradictions += strongest_contradiction(scores[-1], track_id, q, outputs.logits, head.classes)
            p = ACTIVATIONS[head.activation](outputs.logits).astype(np.float64)
            expectations[head_id] = expectation.learn(known, track_id, side_px, p, alive, rules)
        crops = {name: np.concatenate([s[name] for s in scores if name in s]) for s in scores for name in s}
        strongest = max(contradictions, key=lambda c: c.mismatch, default=None)
        return crops, strongest, replace(state, expectations=expectations)

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
        frame: EncodedFrame,
        observation: Observation,
        detection_index: NDArray[np.int32],
        forecasts: ReportedForecasts,
        state: JudgeState,
        shown: NDArray[np.intp],
    ) -> FrameReport:
        tracks = tracking.select_tracks(state.tracks, shown)
        expects = {
            int(track): self.heads[head_id].classes[int(q.argmax())]
            for head_id, known in state.expectations.items()
            for track, crops, q in zip(known.track_id, known.crops, known.q, strict=True)
            if crops >= self.settings.expectation.min_crops
        }
        return replace(
            report_of(frame, Outcome.JUDGED, StreamState.CALIBRATING),
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


def crop_scores(outputs: HeadOutputs, q: NDArray[np.float64], activation: Activation) -> CropScores:
    """Closed forms of k crops; expectancy scores are NaN for crops without an expectation (NaN rows of q)."""
    due = np.isfinite(q[:, 0])
    count = np.count_nonzero(due)
    expected = q.astype(np.float32) if count else None
    scores = head_scores(outputs.logits, outputs.features, expected, activation=activation)
    if 0 < count < len(due):
        # the argmax of a NaN row is a class like any other: without this it would be surprised by it
        scores["expectancy_surprisal"] = np.where(due, scores["expectancy_surprisal"], np.nan)
    return scores


def without_boxes(observation: Observation) -> Observation:
    """`observation` without what no score learns from: calibration keeps many of them."""
    nothing = Detections(np.empty((0, 4), np.float32), np.empty(0, np.float32), np.empty(0, np.int32))
    return Observation(observation.size, nothing, {}, observation.tiles, observation.image_statistics)
