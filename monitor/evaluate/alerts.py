"""`gradwatch evaluate alerts`: false alarms an hour on clean drives, and the delay to the first alert.

Calibration seeds, clean seeds and challenged seeds are three sets. Everything is observed once and judged from
the stored observations. Detection: a drive's clean lead-in, then the challenge; the shipped calibration.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from gradwatch.streams.wire.messages import AlertKind, AlertState

from ..alarms.calibration import Calibration, CleanFrame, fit_clean, frame_evidence_nats, score
from ..alarms.change import CHANGE_DETECTORS
from ..alarms.false_alarms import alarms_per_hour, block_indices, run_detector, sustained, window_maxima
from ..alarms.p_values import NEUTRAL_EVIDENCE_NATS
from ..alarms.policy import POLICY
from ..judging.judge import Judge
from ..judging.offline import Observed, clean_frames, judge_all, offline_stamp
from ..judging.settings import JudgeSettings
from ..judging.state import JudgeState, new_run
from ..scorers import SCORERS
from . import store
from .drives import (
    AFTER,
    CALIBRATION_SEEDS,
    CHALLENGE_SEEDS,
    CHALLENGES,
    CLEAN_FRAMES,
    CLEAN_SEEDS,
    LEAD_IN,
    LEVELS,
    RATE_HZ,
    SIZE,
    Unit,
)
from .metrics import auroc, median_delay
from .observing import observe_unit

Array = NDArray[np.float64]

ALONE = ("gradcon_vector", "gradcon_direction", "gradcon", "reconstruction_error", "image_statistics")
WITHIN = 20  # frames after the onset
HOURS = 1000
SHIFT = AlertKind.DISTRIBUTION_SHIFT


class Outcome(msgspec.Struct, frozen=True):
    """What one challenged drive gave: frames from onset to the first alert, None where there was none."""

    seed: int
    challenge: str
    level: int
    delay: int | None
    early: bool  # an alert before the onset
    carried_by: list[str]


def units() -> dict[str, list[Unit]]:
    """Everything that must be observed, by purpose."""
    return {
        "calibration": [Unit(seed, 0, CLEAN_FRAMES) for seed in CALIBRATION_SEEDS],
        "clean": [Unit(seed, 0, CLEAN_FRAMES) for seed in CLEAN_SEEDS],
        "lead_in": [Unit(seed, 0, LEAD_IN) for seed in CHALLENGE_SEEDS],
        "challenged": [
            Unit(seed, LEAD_IN, LEAD_IN + AFTER, challenge, level)
            for seed in CHALLENGE_SEEDS
            for challenge in CHALLENGES
            for level in LEVELS
        ],
    }


def observe(folder: Path, purposes: Iterable[str] = ("calibration", "clean", "lead_in", "challenged")) -> None:
    """Observes what is missing in `folder`."""
    wanted = units()
    store.run_units(observe_unit, [folder / unit.name for purpose in purposes for unit in wanted[purpose]])


def clean_of(folder: Path, judge: Judge, purpose: str) -> list[CleanFrame]:
    """The clean frames of a purpose, a segment a drive."""
    result: list[CleanFrame] = []
    for segment, unit in enumerate(units()[purpose]):
        result += clean_frames(_seen(folder, unit), judge, segment)
    return result


def evaluate_alerts(folder: Path, judge: Judge, calibration: Calibration) -> dict[str, Any]:
    """All figures of the report."""
    calibrating, clean = clean_of(folder, judge, "calibration"), clean_of(folder, judge, "clean")
    outcomes = _challenged(folder, judge, calibration)
    fit = fit_clean(calibrating)
    alone = {}
    for name in ALONE:
        lone = _judge_of(judge, {SHIFT: (name,)})
        bound = lone.calibrate(fit, "synthetic", SIZE)
        alone[name] = {
            "threshold": bound.thresholds[name],
            "false_alarms_per_hour": bootstrapped_rate(clean, bound, lone.settings),
            "detected": _table(_challenged(folder, lone, bound)),
        }
    return {
        "calibration_id": calibration.calibration_id,
        "calibration_hours": calibration.frames * calibration.interval_s / 3600,
        "clean_hours": len(clean) / RATE_HZ / 3600,
        "false_alarms_per_hour": bootstrapped_rate(clean, calibration, judge.settings),
        "clean_drives_with_an_alarm": _drives_with_alarm(folder, judge, calibration),
        "detected": _table(outcomes),
        "drives_with_an_early_alert": len({outcome.seed for outcome in outcomes if outcome.early}),
        "carried_by": _carriers(outcomes),
        "alone": alone,
        "auroc": _auroc(folder, judge, calibration, clean),
    }


def bootstrapped_rate(clean: list[CleanFrame], calibration: Calibration, settings: JudgeSettings) -> float:
    """Alarms an hour over HOURS block-bootstrapped hours of clean frames' evidence."""
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
        for seed in range(HOURS // 50):
            index = block_indices(segment, round(10 / interval_s), round(3600 / interval_s), 50, seed)
            ratio = run_detector(CHANGE_DETECTORS[policy.detector], nats[index], interval_s) / limits
            lasted = sustained(ratio.max(axis=-1), policy.min_duration_s, interval_s)
            maxima.append(window_maxima(lasted, interval_s))
        together.append(np.concatenate(maxima, axis=1))
    return alarms_per_hour(np.max(together, axis=0), 1.0, HOURS)


def _judge_of(judge: Judge, carriers: dict[AlertKind, tuple[str, ...]]) -> Judge:
    """The same judge with other scores carrying its alarms."""
    policy = {kind: replace(POLICY[kind], carriers=names) for kind, names in carriers.items()}
    return Judge(judge.heads, judge.models_id, replace(judge.settings, policy=policy))


def _challenged(folder: Path, judge: Judge, calibration: Calibration) -> list[Outcome]:
    """Every challenged stretch, judged from where its drive's lead-in left the state."""
    led_in = {unit.seed: _led_in(folder, unit, judge, calibration) for unit in units()["lead_in"]}
    return [_outcome(folder, unit, judge, *led_in[unit.seed]) for unit in units()["challenged"]]


def _led_in(folder: Path, unit: Unit, judge: Judge, calibration: Calibration) -> tuple[JudgeState, bool]:
    """The state after a clean lead-in, and whether it raised an alert."""
    state = replace(new_run(None, "evaluation", "offline"), calibration=calibration)
    early = False
    for judgement in judge_all(_seen(folder, unit), judge, state):
        state, early = judgement.state, early or bool(judgement.alerts)
    return state, early


def _outcome(folder: Path, unit: Unit, judge: Judge, state: JudgeState, early: bool) -> Outcome:
    for judgement in judge_all(_seen(folder, unit), judge, state):
        for alert in judgement.alerts:
            if alert.state == AlertState.OPEN and alert.revision == 1 and alert.kind == SHIFT:
                delay = judgement.report.identity.seq - LEAD_IN
                return Outcome(unit.seed, unit.challenge, unit.level, delay, early, alert.carried_by)
    return Outcome(unit.seed, unit.challenge, unit.level, None, early, [])


def _seen(folder: Path, unit: Unit) -> list[Observed]:
    return [(offline_stamp("evaluation", f.seq, f.capture_ns), f.observation) for f in store.load(folder / unit.name)]


def _table(outcomes: list[Outcome]) -> dict[str, dict[str, dict[str, Any]]]:
    """challenge -> level -> share alerted within WITHIN frames, median and worst delay."""
    table: dict[str, dict[str, dict[str, Any]]] = {}
    for challenge in CHALLENGES:
        for level in LEVELS:
            mine = [o for o in outcomes if (o.challenge, o.level) == (challenge, level)]
            delays = [o.delay for o in mine if o.delay is not None and o.delay <= WITHIN]
            table.setdefault(challenge, {})[str(level)] = {
                "share": len(delays) / len(mine),
                "median": median_delay([o.delay for o in mine], WITHIN),
                "worst": max(delays) if len(delays) == len(mine) else None,
            }
    return table


def _carriers(outcomes: list[Outcome]) -> dict[str, dict[str, int]]:
    """challenge and level -> which scores carried the first alert, and in how many drives."""
    result: dict[str, dict[str, int]] = {}
    for challenge in CHALLENGES:
        for level in LEVELS:
            mine = [o for o in outcomes if (o.challenge, o.level) == (challenge, level) and o.carried_by]
            result[f"{challenge} {level}"] = dict(Counter(" + ".join(sorted(o.carried_by)) for o in mine).most_common())
    return result


def _drives_with_alarm(folder: Path, judge: Judge, calibration: Calibration) -> int:
    """Clean drives, judged as they are, that raise any alarm."""
    count = 0
    for unit in units()["clean"]:
        state = replace(new_run(None, "clean", "offline"), calibration=calibration)
        count += any(judgement.alerts for judgement in judge_all(_seen(folder, unit), judge, state))
    return count


def _auroc(
    folder: Path, judge: Judge, calibration: Calibration, clean: list[CleanFrame]
) -> dict[str, dict[str, dict[str, float]]]:
    """score -> challenge -> level -> AUROC of single frames against clean frames of *other* drives."""
    normal = [score(f.observation, f.crops, calibration.parameters) for f in clean]
    reference = {name: np.concatenate([s[name] for s in normal if name in s] or [np.empty(0)]) for name in SCORERS}
    result: dict[str, dict[str, dict[str, float]]] = {name: {} for name in SCORERS}
    for challenge in CHALLENGES:
        for level in LEVELS:
            frames = [
                frame
                for unit in units()["challenged"]
                if (unit.challenge, unit.level) == (challenge, level)
                for frame in _scored(_seen(folder, unit), judge, calibration)
            ]
            for name in SCORERS:
                values = np.concatenate([f[name] for f in frames if name in f] or [np.empty(0)])
                result[name].setdefault(challenge, {})[str(level)] = auroc(reference[name], values)
    return result


def _scored(seen: list[Observed], judge: Judge, calibration: Calibration) -> list[dict[str, Array]]:
    return [score(f.observation, f.crops, calibration.parameters) for f in clean_frames(seen, judge)]
