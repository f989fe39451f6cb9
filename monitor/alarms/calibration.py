"""Calibration of one stream: from clean frames to references, evidence and alarm thresholds.

Fit and calibrate on different frames: what a score must learn of the stream (means, covariances) is fitted
on all blocks but one and its reference values are taken on the one left out, in turn over at least five
contiguous blocks. Thresholds are set for a stated rate of false alarms of all alarm-carrying scores
together; where the clean frames are too few to show that rate, it is extrapolated and the calibration is
marked provisional.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from gradwatch import GradwatchError
from gradwatch.models.outputs import Observation
from gradwatch.streams.wire.messages import AlertKind

from ..scorers import SCORERS, CropScores, Parameters
from .change import ChangeDetector
from .false_alarms import CleanEvidence, block_indices, extrapolated_threshold, lasting, statistics_of, window_maxima
from .p_values import NEUTRAL_EVIDENCE, Reference, evidence, p_value, reference

Array = NDArray[np.float64]
Scores = dict[str, Array]

MIN_FRAMES = 100
MIN_REFERENCE = 60  # values of a score below which it gets no p-value and carries no alarm
FOLDS = 5
REACHABLE = 0.9  # of a detector's ceiling: a threshold above it could hardly be crossed by anything
BLOCK_S = 10.0  # bootstrap blocks, or a fifth of the data where that is shorter


class TooFewFramesError(GradwatchError, ValueError):
    """Not enough clean frames to calibrate; the message says how many are missing."""


class CalibrationMismatchError(GradwatchError, ValueError):
    """A calibration made for another model, configuration, source or picture size."""


class CleanFrame(msgspec.Struct, frozen=True):
    """What a calibration needs of one clean frame; `segment` numbers the contiguous drive it belongs to."""

    capture_ns: int
    observation: Observation
    crops: CropScores
    segment: int = 0


class Origin(msgspec.Struct, frozen=True):
    """What a calibration is bound to."""

    source: str
    models_id: str
    configuration_id: str
    width: int
    height: int


class AlarmBudget(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How often false alarms may come, of all alarm-carrying scores together."""

    false_alarms_per_hour: float = 1.0
    bootstrap_hours: int = 40
    seed: int = 0


class CleanFit(msgspec.Struct, frozen=True):
    """What clean frames teach: parameters and references by score, and the evidence of every frame in order."""

    parameters: dict[str, Parameters]
    references: dict[str, Reference]
    evidence: list[dict[str, float]]
    segment: NDArray[np.int64]
    interval_s: float


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
        """One sentence for people: what this calibration can't promise ("" where nothing)."""
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
    """All scores of one frame whose parameters are known; scores that do not apply are absent."""
    scores = {
        name: scorer.score(observation, crops, parameters[name])
        for name, scorer in SCORERS.items()
        if name in parameters
    }
    return {name: values for name, values in scores.items() if len(values)}


def p_values(scores: Scores, references: dict[str, Reference]) -> Scores:
    """Conformal p-values of those scores that have a reference."""
    return {name: p_value(values, references[name]) for name, values in scores.items() if name in references}


def frame_evidence(scores: Scores, references: dict[str, Reference]) -> dict[str, float]:
    """Evidence in nats by score for one frame; of several crops the strongest, corrected for their number."""
    return {
        name: max(0.0, float(evidence(values, references[name]).max()) - float(np.log(len(values))))
        for name, values in scores.items()
        if name in references
    }


def fit_clean(clean: Sequence[CleanFrame]) -> CleanFit:
    """What is learned of clean frames, in the order in which they were taken, whoever may carry alarms.

    Raises:
        TooFewFramesError: fewer than MIN_FRAMES frames.
        ValueError: capture times that do not go on from frame to frame.
    """
    if len(clean) < MIN_FRAMES:
        missing = MIN_FRAMES - len(clean)
        raise TooFewFramesError(f"calibration needs {MIN_FRAMES} clean frames, got {len(clean)}: {missing} are missing")
    interval_s = float(np.median(np.diff([frame.capture_ns for frame in clean]))) / 1e9
    if interval_s <= 0:
        raise ValueError(f"calibration needs frames in order of capture, got a median interval of {interval_s:g} s")
    scored = _cross_fitted(clean)
    pooled = {name: np.concatenate([s[name] for s in scored if name in s] or [np.empty(0)]) for name in SCORERS}
    references = {name: reference(values) for name, values in pooled.items() if len(values) >= MIN_REFERENCE}
    return CleanFit(
        parameters=_fitted(clean),
        references=references,
        evidence=[frame_evidence(s, references) for s in scored],
        segment=np.array([frame.segment for frame in clean]),
        interval_s=interval_s,
    )


def calibrate(
    clean: Sequence[CleanFrame] | CleanFit,
    origin: Origin,
    carriers: dict[AlertKind, tuple[str, ...]],
    detectors: dict[AlertKind, ChangeDetector],
    budget: AlarmBudget | None = None,
    durations_s: dict[AlertKind, float] | None = None,
) -> Calibration:
    """The calibration of a stream from its clean frames.

    Args:
        clean: frames assumed healthy, at least MIN_FRAMES, or what `fit_clean` made of them.
        origin: what the calibration shall be bound to.
        carriers: the scores that may carry an alarm, by alert kind.
        detectors: the change detector of each kind.
        budget: how often false alarms may come.
        durations_s: how long a change must last to be an alarm; 0 where absent.

    Raises:
        TooFewFramesError, ValueError: see `fit_clean`.
    """
    fit = clean if isinstance(clean, CleanFit) else fit_clean(clean)
    budget = budget or AlarmBudget()
    able = {kind: tuple(n for n in names if n in fit.references) for kind, names in carriers.items()}
    ceilings = {name: detectors[kind].ceiling for kind, names in able.items() for name in names}
    watched = {
        kind: CleanEvidence(
            np.array([[row.get(n, NEUTRAL_EVIDENCE) for n in names] for row in fit.evidence]),
            fit.segment,
            fit.interval_s,
        )
        for kind, names in able.items()
        if names
    }
    hours = len(fit.evidence) * fit.interval_s / 3600
    thresholds = _thresholds(watched, able, detectors, budget, durations_s or {})
    calibration = Calibration(
        calibration_id="",
        origin=origin,
        frames=len(fit.evidence),
        interval_s=fit.interval_s,
        false_alarms_per_hour=budget.false_alarms_per_hour,
        supported_per_hour=1 / hours,
        parameters=fit.parameters,
        references=fit.references,
        thresholds={n: t for n, t in thresholds.items() if t < REACHABLE * ceilings[n]},
        silent=sorted({n for names in carriers.values() for n in names} - thresholds.keys())
        + sorted(n for n, t in thresholds.items() if t >= REACHABLE * ceilings[n]),
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
    """What every score needs to know of the clean frames."""
    observations, crops = [frame.observation for frame in clean], [frame.crops for frame in clean]
    return {name: scorer.fit(observations, crops) for name, scorer in SCORERS.items()}


def _folds(clean: Sequence[CleanFrame]) -> list[NDArray[np.int64]]:
    """At least FOLDS contiguous blocks of frames, none of which cuts through a drive where there are enough."""
    drives = np.unique([frame.segment for frame in clean])
    if len(drives) >= FOLDS:
        groups = np.array_split(drives, FOLDS)
        return [np.flatnonzero(np.isin([frame.segment for frame in clean], group)) for group in groups]
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
    watched: dict[AlertKind, CleanEvidence],
    carriers: dict[AlertKind, tuple[str, ...]],
    detectors: dict[AlertKind, ChangeDetector],
    budget: AlarmBudget,
    durations_s: dict[AlertKind, float],
) -> dict[str, float]:
    """A threshold for every carrier: each alone would give the same rate, all together the asked one."""
    maxima, names = _bootstrap(watched, carriers, detectors, budget, durations_s)
    if not names:
        return {}
    asked, supported = budget.false_alarms_per_hour, 1 / next(iter(watched.values())).hours
    alone = [
        extrapolated_threshold(maxima[..., s], asked, supported, budget.bootstrap_hours) for s in range(len(names))
    ]
    together = (maxima / np.array(alone)).max(axis=-1)
    scale = max(extrapolated_threshold(together, asked, supported, budget.bootstrap_hours), 1.0)
    return {name: scale * threshold for name, threshold in zip(names, alone, strict=True)}


def _bootstrap(
    watched: dict[AlertKind, CleanEvidence],
    carriers: dict[AlertKind, tuple[str, ...]],
    detectors: dict[AlertKind, ChangeDetector],
    budget: AlarmBudget,
    durations_s: dict[AlertKind, float],
) -> tuple[Array, list[str]]:
    """Window maxima (windows, hours, S) of the statistics of all carriers over the same bootstrapped hours."""
    maxima: list[Array] = []
    names: list[str] = []
    for kind, clean in watched.items():
        block = max(2, round(min(BLOCK_S / clean.interval_s, len(clean.evidence) / FOLDS)))
        length = round(3600 / clean.interval_s)
        index = block_indices(clean.segment, block, length, budget.bootstrap_hours, budget.seed)
        statistic = statistics_of(detectors[kind], clean.evidence[index], clean.interval_s)
        lasted = lasting(statistic, durations_s.get(kind, 0.0), clean.interval_s)
        maxima.append(window_maxima(lasted, clean.interval_s))
        names += carriers[kind]
    return (np.concatenate(maxima, axis=-1) if maxima else np.empty((0, 0, 0))), names


def _content_hash(calibration: Calibration) -> str:
    digest = hashlib.sha256(repr(calibration.origin).encode())
    for name, ref in sorted(calibration.references.items()):
        digest.update(name.encode() + ref.values.tobytes())
    for name, threshold in sorted(calibration.thresholds.items()):
        digest.update(f"{name}={threshold!r}".encode())
    return digest.hexdigest()[:12]
