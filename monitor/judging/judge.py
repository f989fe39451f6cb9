"""The judge: (stamp, observation, state) -> report, alerts and the next state.

It runs no network and reads no clock: time follows the frames' capture times (`stream_time.py`). Equal inputs give
equal outputs. So one stored Observation can be judged under any configuration, and frames judged again after a crash
give the same ids.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from msgspec import Struct
from msgspec.structs import replace
from numpy.typing import NDArray

from gradwatch.models.gradients.head import sigmoid, softmax
from gradwatch.models.outputs import NO_DETECTIONS, Head, Kind, Observation
from gradwatch.streams.wire.messages import Alert, FrameReport, FrameStamp, Outcome, ReportedForecasts, StreamState

from ..alarms.calibration import Calibration, CleanFit, CleanFrame, Origin, calibrate, score
from ..scorers import PEDESTRIAN_PREFIX, CropScores
from . import corrections, expectation, tracking
from .crops import Contradiction, closed_forms, crop_tracks, join_heads, readable_sides, strongest_contradiction
from .expectation import Expectations
from .forecasts import FORECASTERS, Regions, disc_radius, update_ledger
from .report import as_float32, empty_report, report_detections, report_forecasts, report_tracks
from .settings import JudgeSettings
from .start import gather
from .state import JudgeState
from .stream_time import NS_PER_S, advanced
from .watch import Watch

ACTIVATIONS = {"softmax": softmax, "sigmoid": sigmoid}


class Judgement(Struct, frozen=True):
    """The result of judging one frame."""

    report: FrameReport
    alerts: list[Alert]
    state: JudgeState


class Judge:
    """Judges the frames of any number of streams; keeps no state of any of them.

    heads: every head whose outputs an observation may carry, by id. Raises ValueError where heads of one kind don't
    have equal classes.
    """

    def __init__(self, heads: dict[str, Head], models_id: str, settings: JudgeSettings) -> None:
        self.heads = heads
        self.models_id = models_id
        self.settings = settings
        self.configuration_id = settings.configuration_id
        self.watch = Watch(settings.policy, models_id, self.configuration_id)
        self._classes = classes_by_kind(heads)
        self._rules = {kind: expectation.rules_for(kind, settings.expectation) for kind in self._classes}
        self._horizon_s = np.asarray(settings.horizon_s)

    def __call__(self, stamp: FrameStamp, observation: Observation, state: JudgeState) -> Judgement:
        """Judges one frame. Frames of one stream must come in order."""
        before_ns = _now_ns(state)
        state, detection_index = self._associate(stamp, observation, state)
        crops, contradiction, state = self._score_crops(stamp, observation, detection_index, state)
        shown = np.flatnonzero(tracking.confirmed(state.tracks, self.settings.tracker))
        tracks, detection_index = tracking.select_tracks(state.tracks, shown), detection_index[shown]
        forecasts, state = self._forecast(tracks, detection_index, state)
        calibration = state.calibration
        scores = score(observation, crops, calibration.parameters if calibration else {name: {} for name in crops})
        report = replace(
            self._report(stamp, observation, tracks, detection_index, forecasts, state),
            scores=as_float32(scores),
            score_detections={name: crops[name].detection_index for name in scores if name in crops},
        )
        if calibration is None:
            state = self._calibrate_on_start(_clean_frame(observation, crops, state), state)
            if state.no_signal:  # else calibrating, even if this frame was the last that it needed
                report = replace(report, state=state.stream_state)
            return Judgement(report, [], state)
        dt_s = (_now_ns(state) - before_ns) / NS_PER_S
        watched = self.watch(stamp, scores, contradiction, dt_s, state)
        report = replace(
            report,
            state=watched.state.stream_state,
            p_values=as_float32(watched.p_values),
            change=watched.ratios,
            alert_ids=watched.alert_ids,
        )
        return Judgement(report, watched.alerts, watched.state)

    def origin(self, source: str, size: tuple[int, int]) -> Origin:
        """What a calibration of this judge is bound to, for `source` and pictures of `size` (width, height) px."""
        return Origin(source, self.models_id, self.configuration_id, *size)

    def calibrate(self, clean: Sequence[CleanFrame] | CleanFit, source: str, size: tuple[int, int]) -> Calibration:
        """The calibration from clean frames of `size` (width, height) px. Raises TooFewFramesError."""
        return calibrate(clean, self.origin(source, size), self.settings.policy, self.settings.alarms)

    def gather(self, stamp: FrameStamp, observation: Observation, state: JudgeState) -> tuple[CleanFrame, JudgeState]:
        """What calibration needs of one clean frame, and the state after it."""
        state, detection_index = self._associate(stamp, observation, state)
        crops, _, state = self._score_crops(stamp, observation, detection_index, state)
        return _clean_frame(observation, crops, state), state

    def _associate(
        self, stamp: FrameStamp, observation: Observation, state: JudgeState
    ) -> tuple[JudgeState, NDArray[np.int32]]:
        """Moves time and tracks on to this frame; returns the detection (m,) of each track, too."""
        found, calibration = observation.detections, state.calibration
        time = advanced(state.time, stamp, calibration.interval_s if calibration else None)
        before = tracking.no_tracks(state.tracks.next_id, time.now_ns) if time.is_cut else state.tracks
        tracks, detection_index = tracking.advance(
            before, time.now_ns, found.xyxy, found.score, found.class_id, self.settings.tracker
        )
        return replace(state, tracks=tracks, next_seq=stamp.identity.seq + 1, time=time), detection_index

    def _score_crops(
        self, stamp: FrameStamp, observation: Observation, detection_index: NDArray[np.int32], state: JudgeState
    ) -> tuple[CropScores, Contradiction, JudgeState]:
        """Closed forms of every head's crops, against what their tracks led to expect; then the tracks learn.

        Heads of one kind share their expectations, because a track may move from one to the next.
        """
        unknown = observation.heads.keys() - self.heads.keys()
        if unknown:
            raise ValueError(f"judge: expected outputs of the heads {list(self.heads)}, got also {sorted(unknown)}")
        alive, seq = state.tracks.track_id, stamp.identity.seq
        # by kind of this judge's heads: expectations that an older version stored under other names are dropped here
        before = {kind: _known(state, kind, len(classes)) for kind, classes in self._classes.items()}
        after = dict(before)
        by_head: list[CropScores] = []
        contradictions = [Contradiction()]
        for number, (head_id, head) in enumerate(self.heads.items()):
            outputs, rules = observation.heads.get(head_id), self._rules[head.kind]
            if outputs is None:
                continue
            xyxy = observation.detections.xyxy[outputs.detection_index]
            track_id, side_px = crop_tracks(outputs, detection_index, alive), readable_sides(observation, outputs)
            q = expectation.expected(before[head.kind], track_id, side_px, rules)
            q[corrections.suppressed(state.corrections, seq, stamp.capture_ns, head.kind, track_id, xyxy)] = np.nan
            forms = closed_forms(outputs, q, head.activation, number)
            if head.kind == "sign":
                contradictions.append(strongest_contradiction(forms, outputs, track_id, q, head.classes))
            else:
                forms = {PEDESTRIAN_PREFIX + name: form for name, form in forms.items()}
            by_head.append(forms)
            probability = ACTIVATIONS[head.activation](outputs.logits).astype(np.float64)
            after[head.kind] = expectation.learn(after[head.kind], track_id, side_px, probability, alive, rules)
        strongest = max(contradictions, key=lambda c: c.mismatch)
        return join_heads(by_head), strongest, replace(state, expectations=after)

    def _forecast(
        self, tracks: tracking.TrackSet, detection_index: NDArray[np.int32], state: JudgeState
    ) -> tuple[ReportedForecasts, JudgeState]:
        """Regions of the tracks, and the ledger of how often earlier ones held."""
        forecast, coverage = FORECASTERS[self.settings.forecaster], self.settings.coverage
        mean, covariance = forecast(tracks, self._horizon_s, self.settings.tracker)
        regions = Regions(self._horizon_s, mean, disc_radius(covariance, coverage))
        ledger = update_ledger(state.ledger, tracks, detection_index, regions)
        return report_forecasts(regions, coverage, ledger), replace(state, ledger=ledger)

    def _calibrate_on_start(self, clean: CleanFrame, state: JudgeState) -> JudgeState:
        """Keeps a frame of the stream's start; the last of them calibrates the stream."""
        state = gather(state, clean)
        if len(state.clean) < self.settings.calibration_frames:
            return state
        calibration = self.calibrate(state.clean, state.stream_id, clean.observation.size)
        return replace(state, clean=(), calibration=calibration)

    def _report(
        self,
        stamp: FrameStamp,
        observation: Observation,
        tracks: tracking.TrackSet,
        detection_index: NDArray[np.int32],
        forecasts: ReportedForecasts,
        state: JudgeState,
    ) -> FrameReport:
        """The report of the frame without scores and alerts."""
        labels = {
            track: classes[int(q.argmax())]
            for kind, classes in self._classes.items()
            for track, (crops, _, q) in state.expectations[kind].by_track().items()
            if crops >= self.settings.expectation.min_crops
        }
        labels |= corrections.override_labels(state.corrections, stamp.identity.seq)
        return replace(
            empty_report(stamp, Outcome.JUDGED, StreamState.CALIBRATING),
            width=observation.size[0],
            height=observation.size[1],
            detections=report_detections(observation, self.heads),
            tracks=report_tracks(tracks, detection_index, [labels.get(int(t), "") for t in tracks.track_id]),
            forecasts=forecasts,
            latency_ms=dict(observation.latency_ms),
            models_id=self.models_id,
            calibration_id=state.calibration.calibration_id if state.calibration else "",
            configuration_id=self.configuration_id,
        )


def _known(state: JudgeState, kind: Kind, classes: int) -> Expectations:
    """The expectations of a kind; none where they are missing, or of other classes."""
    known = state.expectations.get(kind)
    return known if known is not None and known.q.shape[1] == classes else Expectations.none(classes)


def classes_by_kind(heads: dict[str, Head]) -> dict[Kind, tuple[str, ...]]:
    """The classes of the heads of each kind. Raises ValueError where two of them don't agree."""
    classes: dict[Kind, tuple[str, ...]] = {}
    for head_id, head in heads.items():
        if classes.setdefault(head.kind, head.classes) != head.classes:
            raise ValueError(
                f"heads of kind {head.kind!r}: expected the classes {classes[head.kind]}, "
                f"got {head.classes} from {head_id!r}"
            )
    return classes


def _now_ns(state: JudgeState) -> int:
    return state.time.now_ns if state.time else 0


def _clean_frame(observation: Observation, crops: CropScores, state: JudgeState) -> CleanFrame:
    """What calibration needs of a frame, without boxes and head outputs, because many frames are kept."""
    size, tiles, statistics = observation.size, observation.tiles, observation.image_statistics
    return CleanFrame(_now_ns(state), Observation(size, NO_DETECTIONS, {}, tiles, statistics), crops)
