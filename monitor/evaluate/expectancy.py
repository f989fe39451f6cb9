"""`gradwatch evaluate expectancy`: a sign becomes another one in mid-track; is it noticed, and when?

The gradient towards the expected class and its plain twin, -log p[expected], are each calibrated to the same
rate of false alarms on the same clean drives and judged on the same swapped ones.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from gradwatch.streams.wire.messages import AlertKind
from gradwatch.streams.world.drive import Swap
from gradwatch.streams.world.signs import SIGN_LABELS

from ..alarms.calibration import Calibration, fit_clean
from ..alarms.policy import POLICY
from ..judging.judge import Judge
from ..judging.offline import judge_all, offline_stamp
from ..judging.state import new_run
from . import store
from .alerts import bootstrapped_rate, clean_of
from .drives import CLEAN_FRAMES, RATE_HZ, SIZE, SWAP_SEEDS, Unit, drive_of
from .metrics import median_delay
from .observing import observe

MISMATCH = AlertKind.EXPECTANCY_MISMATCH
CARRIERS = ("expectancy_gradient", "expectancy_surprisal")
WITHIN = 10  # frames after the swap
BEFORE = 30


class Swapped(Struct, frozen=True):
    """One drive with its swap."""

    unit: Unit
    swap: Swap
    before: str  # what the sign showed until then

    @property
    def name(self) -> str:
        """The file of its observations."""
        return f"{self.unit.name.removesuffix('.frames')}-{self.swap.identity}-{self.swap.at_seq}.swapped"


def swapped_drive(seed: int) -> Swapped:
    """The drive of `seed` with the class of one of its signs swapped, chosen by the seed."""
    while True:  # a seed whose drive has no sign long enough in view passes the turn to another one
        generator = np.random.default_rng(seed)
        drive = drive_of(seed)
        candidates = drive.swap_candidates()
        if candidates:
            identity, at_seq = candidates[int(generator.integers(len(candidates)))]
            before = next(box.label for box in drive.truth(at_seq) if box.identity == identity and box.kind == "sign")
            label = str(generator.choice([name for name in SIGN_LABELS if name != before]))
            first, last = max(0, at_seq - BEFORE), min(at_seq + WITHIN + 1, CLEAN_FRAMES)
            return Swapped(Unit(seed, first, last), Swap(identity, at_seq, label), before)
        seed += 100


def observe_swap(path: Path) -> None:
    """Observes the swapped drive that the file name says."""
    mine = swapped_drive(int(path.name.split("-")[0]))
    observe(path, mine.unit, mine.swap)


def evaluate_expectancy(folder: Path, judge: Judge) -> dict[str, Any]:
    """Recall within WITHIN frames, delays and false alarms of each of CARRIERS alone."""
    drives = [swapped_drive(seed) for seed in SWAP_SEEDS]
    store.run_units(observe_swap, [folder / drive.name for drive in drives])
    calibrating, clean = clean_of(folder, judge, "calibration"), clean_of(folder, judge, "clean")
    fit = fit_clean(calibrating)
    result: dict[str, Any] = {"drives": len(drives), "calibration_hours": len(calibrating) / RATE_HZ / 3600}
    for name in CARRIERS:
        policy = {MISMATCH: replace(POLICY[MISMATCH], carriers=(name,))}
        lone = Judge(judge.heads, judge.models_id, replace(judge.settings, policy=policy))
        bound = lone.calibrate(fit, "synthetic", SIZE)
        delays = [_delay(folder, drive, lone, bound) for drive in drives]
        noticed = [delay for delay in delays if delay is not None and delay <= WITHIN]
        result[name] = {
            "threshold": bound.thresholds.get(name),
            "false_alarms_per_hour": bootstrapped_rate(clean, bound, lone.settings),
            "recall": len(noticed) / len(drives),
            "median_delay": median_delay(delays, WITHIN),
            "worst_delay": max(noticed) if len(noticed) == len(drives) else None,
            "delays": dict(zip([drive.unit.seed for drive in drives], delays, strict=True)),
        }
    return result


def _delay(folder: Path, drive: Swapped, judge: Judge, calibration: Calibration) -> int | None:
    """Frames from the swap to the first alert that says what the sign had led to expect."""
    state = replace(new_run(None, "swapped", "offline"), calibration=calibration)
    frames = store.load(folder / drive.name)
    seen = [(offline_stamp("swapped", f.seq, f.capture_ns), f.observation) for f in frames]
    for judgement in judge_all(seen, judge, state):
        hit = any(alert.revision == 1 and alert.expected == drive.before for alert in judgement.alerts)
        if hit and judgement.report.identity.seq >= drive.swap.at_seq:
            return judgement.report.identity.seq - drive.swap.at_seq
    return None
