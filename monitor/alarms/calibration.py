"""Calibration of one stream: from clean frames to fitted scores, references and alarm thresholds.

Scores are fitted and calibrated on different frames: the parameters of a score (means, covariances) are fitted on all
blocks but one, and its reference values are taken on the block left out, in turn over at least five contiguous blocks.
Thresholds are set for a stated rate of false alarms of all alarm-carrying scores together; where the clean frames are
too few to show that rate, it is extrapolated and the calibration is marked provisional.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from gradwatch import GradwatchError
from gradwatch.models.outputs import Observation
from gradwatch.ranges import Seed
from gradwatch.streams.wire.messages import AlertKind

from ..scorers import SCORERS, CropScores, Parameters
from .change import CHANGE_DETECTORS
from .false_alarms import block_indices, extrapolated_threshold, run_detector, sustained, window_maxima
from .p_values import NEUTRAL_EVIDENCE_NATS, Array, Reference, evidence_nats, p_value, reference
from .policy import Policy
from .variation import check_variation

Scores = dict[str, Array]

MIN_FRAMES = 100
MIN_REFERENCE = 60  # values of a score below which it gets no p-value and carries no alarm
FOLDS = 5
REACHABLE = 0.9  # of a detector's ceiling: a threshold above it could hardly be crossed by anything
# A change statistic rests at NEUTRAL_EVIDENCE_NATS where a score is absent, and at 0 where all its clean values are
# equal: a threshold there would be crossed by any frame, and a ratio to it would have no bound.
MIN_THRESHOLD_NATS = 2 * NEUTRAL_EVIDENCE_NATS
INTERVAL_S = (0.004, 600.0)  # between frames; the bootstrap of an hour needs memory for each frame
BLOCK_S = 10.0  # bootstrap blocks, or a fifth of the data where that is shorter


class TooFewFramesError(GradwatchError, ValueError):
    """Not enough clean frames to calibrate; the message says how many are missing."""


class CalibrationMismatchError(GradwatchError, ValueError):
    """A calibration made for another model, configuration, source or picture size."""


class CleanFrame(msgspec.Struct, frozen=True):
    """What calibration needs of one clean frame; `segment` numbers the contiguous drive it belongs to.

    `capture_ns` counts from any moment: differences from frame to frame are used alone.
    """

    capture_ns: int
    observation: Observation
    crops: CropScores
    segment: int = 0

    @property
    def layer_count(self) -> int:
        """Gradient cosines of each tile: as many as the networks' decoder has layers."""
        return int(self.observation.tiles.grad_cosines.shape[1])


class Origin(msgspec.Struct, frozen=True):
    """What a calibration is bound to."""

    source: str
    models_id: str
    configuration_id: str
    width: int
    height: int


FalseAlarmRate = Annotated[float, Meta(ge=0.0001, le=3600)]  # per hour: once in a year to once in a second


class AlarmBudget(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How often false alarms may come, of all alarm-carrying scores together."""

    false_alarms_per_hour: FalseAlarmRate = 1.0
    bootstrap_hours: Annotated[int, Meta(ge=1, le=1000)] = 40
    seed: Seed = 0


class CleanFit(msgspec.Struct, frozen=True):
    """What is fitted on clean frames: parameters and references by score, and the evidence of every frame in order."""

    parameters: dict[str, Parameters]
    references: dict[str, Reference]
    evidence_nats: list[dict[str, float]]
    segment: NDArray[np.int64]
    interval_s: float

    @property
    def hours(self) -> float:
        """Duration of all frames together."""
        return len(self.evidence_nats) * self.interval_s / 3600


class Calibration(msgspec.Struct, frozen=True):
    """Everything a judge needs to turn a stream's scores into p-values, evidence and alarms."""

    calibration_id: str
    origin: Origin
    frames: int
    interval_s: float
    false_alarms_per_hour: float
    supported_per_hour: float  # the rarest rate that so much data can show: once in its length
    parameters: dict[str, Parameters]
    references: dict[str, Reference]
    thresholds: dict[str, float]  # on the change statistic, by alarm-carrying score
    silent: list[str] = []  # carriers that can't raise an alarm: too few values, or a threshold out of reach

    @property
    def provisional(self) -> bool:
        """Whether the asked rate is rarer than the data can show."""
        return self.false_alarms_per_hour < self.supported_per_hour

    @property
    def note(self) -> str:
        """One sentence for people about the limits of this calibration ("" where there are none)."""
        notes = []
        if self.provisional:
            notes.append(
                f"provisional: {self.frames} clean frames ({self.frames * self.interval_s:.0f} s) support "
                f"one false alarm in {3600 / self.supported_per_hour:.0f} s; "
                f"the asked {self.false_alarms_per_hour:g} an hour is extrapolated"
            )
        if self.silent:
            notes.append(f"can't raise an alarm (too few clean values): {', '.join(self.silent)}")
        return "; ".join(notes)


def score(observation: Observation, crops: CropScores, parameters: dict[str, Parameters]) -> Scores:
    """All scores of one frame whose parameters are given; scores that do not apply are absent."""
    scores = {
        name: scorer.score(observation, crops, parameters[name])
        for name, scorer in SCORERS.items()
        if name in parameters
    }
    return {name: values for name, values in scores.items() if len(values)}


def p_values(scores: Scores, references: dict[str, Reference]) -> Scores:
    """Conformal p-values of those scores that have a reference."""
    return {name: p_value(values, references[name]) for name, values in scores.items() if name in references}


def frame_evidence_nats(scores: Scores, references: dict[str, Reference]) -> dict[str, float]:
    """Evidence of one frame by score; of several crops the strongest, corrected for their number."""
    return {
        name: max(0.0, float(evidence_nats(values, references[name]).max()) - float(np.log(len(values))))
        for name, values in scores.items()
        if name in references
    }


def fit_clean(clean: Sequence[CleanFrame]) -> CleanFit:
    """Fits all scores on clean frames in order of capture; does not depend on which scores carry alarms.

    Raises:
        TooFewFramesError: fewer than MIN_FRAMES frames.
        NoVariationError: frames that show nothing, or one picture.
        ValueError: capture times that do not increase from frame to frame, or not by INTERVAL_S.
    """
    if len(clean) < MIN_FRAMES:
        missing = MIN_FRAMES - len(clean)
        raise TooFewFramesError(f"calibration needs {MIN_FRAMES} clean frames, got {len(clean)}: {missing} are missing")
    interval_s = float(np.median(np.diff([frame.capture_ns for frame in clean]))) / 1e9
    if not INTERVAL_S[0] <= interval_s <= INTERVAL_S[1]:
        raise ValueError(
            f"calibration needs frames in order of capture, {INTERVAL_S[0]:g} to {INTERVAL_S[1]:g} s apart, "
            f"got a median interval of {interval_s:g} s"
        )
    check_variation([frame.observation.image_statistics for frame in clean])
    scored = _cross_fitted(clean)
    pooled = {name: np.concatenate([s[name] for s in scored if name in s] or [np.empty(0)]) for name in SCORERS}
    references = {name: reference(values) for name, values in pooled.items() if len(values) >= MIN_REFERENCE}
    return CleanFit(
        parameters=_fitted(clean),
        references=references,
        evidence_nats=[frame_evidence_nats(s, references) for s in scored],
        segment=np.array([frame.segment for frame in clean]),
        interval_s=interval_s,
    )


def calibrate(
    clean: Sequence[CleanFrame] | CleanFit, origin: Origin, policy: dict[AlertKind, Policy], budget: AlarmBudget
) -> Calibration:
    """The calibration of a stream from its clean frames.

    Args:
        clean: frames assumed healthy, at least MIN_FRAMES, or what `fit_clean` made of them.
        origin: what the calibration is bound to.
        policy: the scores that may carry an alarm of each kind, their change detector, and how long a change must last.
        budget: how often false alarms may come.

    Raises:
        TooFewFramesError, NoVariationError, ValueError: see `fit_clean`.
    """
    fit = clean if isinstance(clean, CleanFit) else fit_clean(clean)
    carriers = {kind: tuple(n for n in own.carriers if n in fit.references) for kind, own in policy.items()}
    reachable = {
        name: REACHABLE * CHANGE_DETECTORS[policy[kind].detector].ceiling
        for kind, names in carriers.items()
        for name in names
    }
    thresholds = _thresholds(fit, carriers, policy, budget)
    calibration = Calibration(
        calibration_id="",
        origin=origin,
        frames=len(fit.evidence_nats),
        interval_s=fit.interval_s,
        false_alarms_per_hour=budget.false_alarms_per_hour,
        supported_per_hour=1 / fit.hours,
        parameters=fit.parameters,
        references=fit.references,
        thresholds={n: t for n, t in thresholds.items() if t < reachable[n]},
        silent=sorted({n for own in policy.values() for n in own.carriers} - thresholds.keys())
        + sorted(n for n, t in thresholds.items() if t >= reachable[n]),
    )
    return msgspec.structs.replace(calibration, calibration_id=_content_hash(calibration))


def check_origin(calibration: Calibration, origin: Origin) -> None:
    """Raises CalibrationMismatchError unless `calibration` was made for `origin`."""
    for name in ("source", "models_id", "configuration_id", "width", "height"):
        made_for, got = getattr(calibration.origin, name), getattr(origin, name)
        if made_for != got:
            raise CalibrationMismatchError(
                f"calibration {calibration.calibration_id} was made for {name} {made_for!r}, got {got!r}; "
                f"make one with `gradwatch calibrate`"
            )


def _fitted(clean: Sequence[CleanFrame]) -> dict[str, Parameters]:
    """The parameters of every score, fitted on clean frames."""
    observations, crops = [frame.observation for frame in clean], [frame.crops for frame in clean]
    return {name: scorer.fit(observations, crops) for name, scorer in SCORERS.items()}


def _folds(clean: Sequence[CleanFrame]) -> list[NDArray[np.int64]]:
    """At least FOLDS contiguous blocks of frames, none of which cuts through a drive where there are enough."""
    segments = [frame.segment for frame in clean]
    drives = np.unique(segments)
    if len(drives) >= FOLDS:
        return [np.flatnonzero(np.isin(segments, group)) for group in np.array_split(drives, FOLDS)]
    return list(np.array_split(np.arange(len(clean)), FOLDS))


def _cross_fitted(clean: Sequence[CleanFrame]) -> list[Scores]:
    """Scores of every frame under parameters fitted without its block."""
    result: list[Scores] = [{} for _ in clean]
    for fold in _folds(clean):
        inside = set(fold.tolist())
        parameters = _fitted([frame for i, frame in enumerate(clean) if i not in inside])
        for i in fold:
            result[i] = score(clean[i].observation, clean[i].crops, parameters)
    return result


def _thresholds(
    fit: CleanFit, carriers: dict[AlertKind, tuple[str, ...]], policy: dict[AlertKind, Policy], budget: AlarmBudget
) -> dict[str, float]:
    """A threshold for every carrier: each alone would give the same rate, all together the asked one."""
    by_kind = [_window_maxima(fit, names, policy[kind], budget) for kind, names in carriers.items() if names]
    if not by_kind:
        return {}
    maxima = np.concatenate(by_kind, axis=-1)

    def threshold(values: Array) -> float:
        return extrapolated_threshold(values, budget.false_alarms_per_hour, 1 / fit.hours, budget.bootstrap_hours)

    names = [name for own in carriers.values() for name in own]
    alone = [max(threshold(maxima[..., s]), MIN_THRESHOLD_NATS) for s in range(len(names))]
    scale = max(threshold((maxima / np.array(alone)).max(axis=-1)), 1.0)
    return {name: scale * value for name, value in zip(names, alone, strict=True)}


def _window_maxima(fit: CleanFit, names: Sequence[str], policy: Policy, budget: AlarmBudget) -> Array:
    """Window maxima (windows, hours, S) of the statistics of S carriers; all kinds bootstrap the same hours."""
    nats = np.array([[row.get(name, NEUTRAL_EVIDENCE_NATS) for name in names] for row in fit.evidence_nats])
    block = max(2, round(min(BLOCK_S / fit.interval_s, len(nats) / FOLDS)))
    index = block_indices(fit.segment, block, round(3600 / fit.interval_s), budget.bootstrap_hours, budget.seed)
    statistic = run_detector(CHANGE_DETECTORS[policy.detector], nats[index], fit.interval_s)
    return window_maxima(sustained(statistic, policy.min_duration_s, fit.interval_s), fit.interval_s)


def _content_hash(calibration: Calibration) -> str:
    digest = hashlib.sha256(repr(calibration.origin).encode())
    for name, ref in sorted(calibration.references.items()):
        digest.update(name.encode() + ref.values.tobytes())
    for name, value in sorted(calibration.thresholds.items()):
        digest.update(f"{name}={value!r}".encode())
    return digest.hexdigest()[:12]
