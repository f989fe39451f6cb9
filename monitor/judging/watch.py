"""Scores -> p-values -> evidence -> change -> episodes, for a stream that is calibrated."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from msgspec import Struct
from msgspec.structs import replace
from numpy.typing import NDArray

from gradwatch.models.outputs import HeadOutputs, Observation
from gradwatch.streams.wire.messages import Alert, AlertKind, FrameStamp

from ..alarms import episodes
from ..alarms.calibration import Calibration, Scores, frame_evidence, p_values, score
from ..alarms.change import CHANGE_DETECTORS
from ..alarms.p_values import NEUTRAL_EVIDENCE
from ..alarms.policy import Policy
from ..scorers import PEDESTRIAN_PREFIX, CropScores
from .state import JudgeState


class Contradiction(Struct, frozen=True):
    """The sign of a frame that contradicts its track most."""

    mismatch: float
    track_id: int
    expected: str
    observed: str


class Seen(Struct, frozen=True):
    """What watching one frame gives; `ratios` are change statistics over their thresholds."""

    scores: Scores
    p_values: Scores
    ratios: dict[str, float]
    open_ids: list[str]
    alerts: list[Alert]
    state: JudgeState


class Watch:
    """The last steps of judging, for any stream that has a calibration."""

    def __init__(self, policy: dict[AlertKind, Policy], models_id: str, configuration_id: str) -> None:
        self.policy = policy
        self.models_id = models_id
        self.configuration_id = configuration_id

    def __call__(
        self,
        stamp: FrameStamp,
        observation: Observation,
        crops: CropScores,
        contradiction: Contradiction | None,
        dt_s: float,
        state: JudgeState,
    ) -> Seen:
        """Watches one frame, `dt_s` after the last one of its stream."""
        bound = state.calibration
        if bound is None:
            raise ValueError(f"stream {state.stream_id!r} must be calibrated before it is watched")
        scores = score(observation, crops, bound.parameters)
        chances = p_values(scores, bound.references)
        carrying = {name: scores[name] for name in bound.thresholds if name in scores}
        change = self._step(state.change, frame_evidence(carrying, bound.references), bound, dt_s)
        ratios = {name: statistic / bound.thresholds[name] for name, statistic in change.items()}
        running, alerts = self._episodes(stamp, ratios, chances, contradiction, state)
        open_ids = [episodes.id_of(episode, kind) for kind, episode in running.items() if episode.revision]
        return Seen(scores, chances, ratios, open_ids, alerts, replace(state, change=change, episodes=running))

    def close(self, state: JudgeState) -> list[Alert]:
        """The last revisions of the alerts that a run left open when it ended."""
        if state.calibration is None:
            return []
        binding = self._binding(state.calibration)
        return [episodes.closed(episode, kind, binding) for kind, episode in state.episodes.items() if episode.revision]

    def _step(
        self, change: dict[str, float], evidence: dict[str, float], bound: Calibration, dt_s: float
    ) -> dict[str, float]:
        """Every carrier's change statistic after this frame; a gap counts as one interval of the calibration."""
        dt_s = min(dt_s, bound.interval_s)
        after = {}
        for policy in self.policy.values():
            detector = CHANGE_DETECTORS[policy.detector]
            for name in policy.carriers:
                if name in bound.thresholds:
                    before = np.asarray(change.get(name, detector.start))
                    now = np.asarray(evidence.get(name, NEUTRAL_EVIDENCE))
                    after[name] = float(detector.step(before, now, dt_s))
        return after

    def _episodes(
        self,
        stamp: FrameStamp,
        ratios: dict[str, float],
        chances: Scores,
        contradiction: Contradiction | None,
        state: JudgeState,
    ) -> tuple[dict[AlertKind, episodes.Episode], list[Alert]]:
        running, alerts = dict(state.episodes), []
        for kind, policy in self.policy.items():
            carrying = {name: ratios[name] for name in policy.carriers if name in ratios}
            moment = episodes.Moment(
                identity=stamp.identity,
                capture_ns=stamp.capture_ns,
                partition=stamp.partition,
                offset=stamp.offset,
                ratios=carrying,
                p_value=min((float(chances[name].min()) for name in carrying if name in chances), default=1.0),
            )
            if kind == AlertKind.EXPECTANCY_MISMATCH and contradiction is not None and _judges_signs(policy):
                moment = replace(
                    moment,
                    track_id=contradiction.track_id,
                    expected=contradiction.expected,
                    observed=contradiction.observed,
                )
            episode, alert = episodes.advance(
                running.pop(kind, None), moment, kind, policy, self._binding(state.calibration)
            )
            if episode is not None:
                running[kind] = episode
            if alert is not None:
                alerts.append(replace(alert, traceparent=stamp.traceparent))
        return running, alerts

    def _binding(self, bound: Calibration | None) -> episodes.Binding:
        assert bound is not None
        return episodes.Binding(
            models_id=self.models_id,
            configuration_id=self.configuration_id,
            calibration_id=bound.calibration_id,
            note=bound.note,
            thresholds=bound.thresholds,
            mean_time_between_false_alarms_s=3600 / bound.false_alarms_per_hour,
        )


def _judges_signs(policy: Policy) -> bool:
    """Whether any carrier is about signs; those of pedestrians alone contradict no sign."""
    return not all(name.startswith(PEDESTRIAN_PREFIX) for name in policy.carriers)


def strongest_contradiction(
    scores: CropScores,
    outputs: HeadOutputs,
    track_id: NDArray[np.int64],
    q: NDArray[np.float64],
    classes: Sequence[str],
) -> list[Contradiction]:
    """The crop of a head with the largest expectancy gradient, none where no track expects anything yet.

    `track_id` (k,) and `q` (k, C), the expected class distributions, are of the crops of `outputs`.
    """
    form = scores.get("expectancy_gradient")
    if form is None:
        return []
    largest = int(form.values.argmax())
    row = int(np.flatnonzero(outputs.detection_index == form.detection_index[largest])[0])
    expected, observed = classes[int(q[row].argmax())], classes[int(outputs.logits[row].argmax())]
    return [Contradiction(float(form.values[largest]), int(track_id[row]), expected, observed)]
