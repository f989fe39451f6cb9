"""Scores -> p-values -> evidence -> change -> episodes, for a stream that is calibrated."""

from __future__ import annotations

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from gradwatch.streams.wire.messages import Alert, AlertKind, ClosedBecause, FrameStamp

from ..alarms import episodes
from ..alarms.calibration import Calibration, Scores, frame_evidence_nats, p_values
from ..alarms.change import CHANGE_DETECTORS
from ..alarms.p_values import NEUTRAL_EVIDENCE_NATS
from ..alarms.policy import Policy
from ..scorers import PEDESTRIAN_PREFIX
from .crops import Contradiction
from .state import JudgeState


class Watched(Struct, frozen=True):
    """The result of watching one frame; `ratios` are change statistics over their thresholds."""

    p_values: Scores
    ratios: dict[str, float]
    alert_ids: list[str]  # of the alerts that are open
    alerts: list[Alert]
    state: JudgeState


class Watch:
    """The last steps of judging, for any stream that has a calibration."""

    def __init__(self, policy: dict[AlertKind, Policy], models_id: str, configuration_id: str) -> None:
        self.policy = policy
        self.models_id = models_id
        self.configuration_id = configuration_id

    def __call__(
        self, stamp: FrameStamp, scores: Scores, contradiction: Contradiction, dt_s: float, state: JudgeState
    ) -> Watched:
        """Watches one frame, `dt_s` after the previous one; `contradiction` is the strongest of a sign."""
        calibration = state.calibration
        if calibration is None:
            raise ValueError(f"stream {state.stream_id!r} must be calibrated before it is watched")
        p = p_values(scores, calibration.references)
        change = self._change(state.change, scores, calibration, dt_s)
        ratios = {name: statistic / calibration.thresholds[name] for name, statistic in change.items()}
        running, alerts = dict(state.episodes), []
        binding = episodes.Binding(self.models_id, self.configuration_id, calibration)
        for kind, policy in self.policy.items():
            carrying = {name: ratios[name] for name in policy.carriers if name in ratios}
            about_signs = not all(name.startswith(PEDESTRIAN_PREFIX) for name in policy.carriers)
            subject = contradiction if kind == AlertKind.EXPECTANCY_MISMATCH and about_signs else Contradiction()
            moment = episodes.Moment(
                identity=stamp.identity,
                capture_ns=stamp.capture_ns,
                partition=stamp.partition,
                offset=stamp.offset,
                ratios=carrying,
                p_values={name: float(p[name].min()) for name in carrying if name in p},
                track_id=subject.track_id,
                expected=subject.expected,
                observed=subject.observed,
                time_ns=state.time.now_ns if state.time else 0,
            )
            episode, alert = episodes.advance(running.pop(kind, None), moment, kind, policy, binding)
            if episode is not None:
                running[kind] = episode
            if alert is not None:
                alerts.append(replace(alert, traceparent=stamp.traceparent))
        alert_ids = [episodes.alert_id_of(episode, kind) for kind, episode in running.items() if episode.revision]
        return Watched(p, ratios, alert_ids, alerts, replace(state, change=change, episodes=running))

    def close(self, state: JudgeState, because: ClosedBecause) -> list[Alert]:
        """The last revisions of the alerts that are open in `state`."""
        binding = episodes.Binding(self.models_id, self.configuration_id, state.calibration)
        return [
            episodes.closing_alert(episode, kind, binding, because)
            for kind, episode in state.episodes.items()
            if episode.revision
        ]

    def _change(
        self, before: dict[str, float], scores: Scores, calibration: Calibration, dt_s: float
    ) -> dict[str, float]:
        """Every carrier's change statistic after this frame; a gap counts as one interval of the calibration."""
        carriers = {name: scores[name] for name in calibration.thresholds if name in scores}
        nats = frame_evidence_nats(carriers, calibration.references)
        dt_s = min(dt_s, calibration.interval_s)
        after = {}
        for policy in self.policy.values():
            detector = CHANGE_DETECTORS[policy.detector]
            for name in policy.carriers:
                if name in calibration.thresholds:
                    statistic = np.asarray(before.get(name, detector.start))
                    now = np.asarray(nats.get(name, NEUTRAL_EVIDENCE_NATS))
                    after[name] = float(detector.step(statistic, now, dt_s))
        return after
