"""`gradwatch evaluate alerts`: false alarms per hour on clean drives, and the delay to the first alert.

Calibration seeds, clean seeds and challenged seeds are disjoint. Everything is observed once and judged from the
stored observations. Detection: the clean lead-in of a drive, then the challenge, under the shipped calibration.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import product
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from gradwatch.streams.wire.messages import AlertKind, AlertState

from ..alarms.calibration import (
    Calibration,
    CleanFit,
    CleanFrame,
    fit_clean,
    frame_evidence_nats,
    score,
)
from ..alarms.change import CHANGE_DETECTORS
from ..alarms.false_alarms import alarms_per_hour, block_indices, run_detector, sustained, window_maxima
from ..alarms.p_values import NEUTRAL_EVIDENCE_NATS
from ..alarms.policy import POLICY
from ..judging.judge import Judge
from ..judging.offline import clean_frames, judge_all
from ..judging.settings import JudgeSettings
from ..judging.state import JudgeState
from ..scorers import SCORERS
from . import drives, store
from .drives import CHALLENGES, LEVELS, Unit
from .metrics import auroc, delay_figures
from .observing import judge_calibrated, observe_units
from .reports import Figures

Array = NDArray[np.float64]
Scores = dict[str, Array]

ALONE = ("gradcon_vector", "gradcon_direction", "gradcon", "reconstruction_error", "image_statistics")
WITHIN = 20  # frames after the onset
HOURS = 1000  # bootstrapped, HOURS_AT_ONCE at a time
HOURS_AT_ONCE = 50
SHIFT = AlertKind.DISTRIBUTION_SHIFT


class ChallengedDrive(msgspec.Struct, frozen=True):
    """The result of one challenged drive."""

    seed: int
    challenge: str
    level: int
    delay: int | None  # frames from onset to the first alert
    early: bool  # an alert before the onset
    carried_by: list[str]


def units() -> dict[str, list[Unit]]:
    """Everything that must be observed, by purpose."""
    return {
        "calibration": [Unit(seed, 0, drives.CLEAN_FRAMES) for seed in drives.CALIBRATION_SEEDS],
        "clean": [Unit(seed, 0, drives.CLEAN_FRAMES) for seed in drives.CLEAN_SEEDS],
        "lead_in": [Unit(seed, 0, drives.LEAD_IN) for seed in drives.CHALLENGE_SEEDS],
        "challenged": [
            Unit(seed, drives.LEAD_IN, drives.LEAD_IN + drives.AFTER, challenge, level)
            for seed, challenge, level in product(drives.CHALLENGE_SEEDS, CHALLENGES, LEVELS)
        ],
    }


def observe(folder: Path, purposes: Iterable[str] = ("calibration", "clean", "lead_in", "challenged")) -> None:
    """Observes what is missing in `folder`."""
    wanted = units()
    observe_units(folder, [unit for purpose in purposes for unit in wanted[purpose]])


def clean_of(folder: Path, judge: Judge, purpose: str) -> list[CleanFrame]:
    """The clean frames of a purpose, one segment per drive."""
    result: list[CleanFrame] = []
    for segment, unit in enumerate(units()[purpose]):
        result += clean_frames(store.load(folder / unit.name), judge, segment)
    return result


def evaluate_alerts(folder: Path, judge: Judge, calibration: Calibration) -> Figures:
    """All figures of the report."""
    calibrating, clean = clean_of(folder, judge, "calibration"), clean_of(folder, judge, "clean")
    results = _challenged(folder, judge, calibration)
    fit = fit_clean(calibrating)
    alone = {}
    for name in ALONE:
        lone, bound = judge_by_one_score(judge, SHIFT, name, fit)
        alone[name] = {
            "threshold": bound.thresholds[name],
            "false_alarms_per_hour": bootstrapped_rate(clean, bound, lone.settings),
            "detected": detection(_challenged(folder, lone, bound)),
        }
    return {
        "calibration_id": calibration.calibration_id,
        "calibration_hours": calibration.frames * calibration.interval_s / 3600,
        "clean_hours": len(clean) / drives.RATE_HZ / 3600,
        "false_alarms_per_hour": bootstrapped_rate(clean, calibration, judge.settings),
        "clean_drives_with_an_alarm": _clean_drives_with_alarm(folder, judge, calibration),
        "detected": detection(results),
        "drives_with_an_early_alert": len({one.seed for one in results if one.early}),
        "carried_by": _carriers(results),
        "alone": alone,
        "auroc": _auroc(folder, judge, calibration, clean),
    }


def bootstrapped_rate(clean: list[CleanFrame], calibration: Calibration, settings: JudgeSettings) -> float:
    """Alerts per hour over `HOURS` block-bootstrapped hours of the evidence of clean frames."""
    rows = [
        frame_evidence_nats(score(f.observation, f.crops, calibration.parameters), calibration.references)
        for f in clean
    ]
    segment = np.array([frame.segment for frame in clean])
    interval_s, together = calibration.interval_s, []
    for policy in settings.policy.values():
        names = [name for name in policy.carriers if name in calibration.thresholds]
        if not names:
            continue
        nats = np.array([[row.get(name, NEUTRAL_EVIDENCE_NATS) for name in names] for row in rows])
        limits = np.array([calibration.thresholds[name] for name in names])
        maxima = []
        for seed in range(HOURS // HOURS_AT_ONCE):
            index = block_indices(segment, round(10 / interval_s), round(3600 / interval_s), HOURS_AT_ONCE, seed)
            ratio = run_detector(CHANGE_DETECTORS[policy.detector], nats[index], interval_s) / limits
            lasted = sustained(ratio.max(axis=-1), policy.min_duration_s, interval_s)
            maxima.append(window_maxima(lasted, interval_s))
        together.append(np.concatenate(maxima, axis=1))
    return alarms_per_hour(np.max(together, axis=0), 1.0, HOURS)


def judge_by_one_score(judge: Judge, kind: AlertKind, name: str, fit: CleanFit) -> tuple[Judge, Calibration]:
    """A judge that raises alerts of `kind` by one score, and its calibration: the score has all of the budget."""
    policy = {kind: replace(POLICY[kind], carriers=(name,))}
    lone = Judge(judge.heads, judge.models_id, replace(judge.settings, policy=policy))
    return lone, lone.calibrate(fit, "synthetic", drives.SIZE)


def detection(results: list[ChallengedDrive]) -> dict[str, dict[str, dict[str, Any]]]:
    """challenge -> level -> share alerted within `WITHIN` frames, median and worst delay."""
    return {
        challenge: {
            str(level): delay_figures([one.delay for one in _under(results, challenge, level)], WITHIN)
            for level in LEVELS
        }
        for challenge in CHALLENGES
    }


def _under(results: list[ChallengedDrive], challenge: str, level: int) -> list[ChallengedDrive]:
    return [one for one in results if (one.challenge, one.level) == (challenge, level)]


def _challenged(folder: Path, judge: Judge, calibration: Calibration) -> list[ChallengedDrive]:
    """Every challenged part, judged from the state after the lead-in of its drive."""
    led_in = {unit.seed: _lead_in(folder / unit.name, judge, calibration) for unit in units()["lead_in"]}
    return [_first_alert(folder / unit.name, unit, judge, *led_in[unit.seed]) for unit in units()["challenged"]]


def _lead_in(path: Path, judge: Judge, calibration: Calibration) -> tuple[JudgeState, bool]:
    """The state after a clean lead-in, and whether it raised an alert."""
    judgements = list(judge_calibrated(store.load(path), judge, calibration))
    return judgements[-1].state, any(judgement.alerts for judgement in judgements)


def _first_alert(path: Path, unit: Unit, judge: Judge, state: JudgeState, early: bool) -> ChallengedDrive:
    for judgement in judge_all(store.load(path), judge, state):
        for alert in judgement.alerts:
            if alert.state == AlertState.OPEN and alert.revision == 1 and alert.kind == SHIFT:
                delay = judgement.report.identity.seq - drives.LEAD_IN
                return ChallengedDrive(unit.seed, unit.challenge, unit.level, delay, early, alert.carried_by)
    return ChallengedDrive(unit.seed, unit.challenge, unit.level, None, early, [])


def _carriers(results: list[ChallengedDrive]) -> dict[str, dict[str, int]]:
    """challenge and level -> scores that carried the first alert -> number of drives."""
    return {
        f"{challenge} {level}": dict(
            Counter(
                " + ".join(sorted(one.carried_by)) for one in _under(results, challenge, level) if one.carried_by
            ).most_common()
        )
        for challenge, level in product(CHALLENGES, LEVELS)
    }


def _clean_drives_with_alarm(folder: Path, judge: Judge, calibration: Calibration) -> int:
    """Number of clean drives that raise any alarm."""
    observed = (store.load(folder / unit.name) for unit in units()["clean"])
    return sum(any(one.alerts for one in judge_calibrated(drive, judge, calibration)) for drive in observed)


def _auroc(
    folder: Path, judge: Judge, calibration: Calibration, clean: list[CleanFrame]
) -> dict[str, dict[str, dict[str, float]]]:
    """score -> challenge -> level -> AUROC of single frames against clean frames of *other* drives."""
    reference = _scored(clean, calibration)
    result: dict[str, dict[str, dict[str, float]]] = {name: {} for name in SCORERS}
    for challenge, level in product(CHALLENGES, LEVELS):
        challenged = [
            frame
            for unit in units()["challenged"]
            if (unit.challenge, unit.level) == (challenge, level)
            for frame in clean_frames(store.load(folder / unit.name), judge)
        ]
        for name, values in _scored(challenged, calibration).items():
            result[name].setdefault(challenge, {})[str(level)] = auroc(reference[name], values)
    return result


def _scored(frames: list[CleanFrame], calibration: Calibration) -> Scores:
    """All values of every score."""
    scored = [score(f.observation, f.crops, calibration.parameters) for f in frames]
    return {name: np.concatenate([s[name] for s in scored if name in s] or [np.empty(0)]) for name in SCORERS}
