"""`gradwatch evaluate expectancy`: one sign is replaced by another in mid-track; is it noticed, and when?

The gradient towards the expected class and its baseline, -log p[expected], are each calibrated to the same
false-alarm rate on the same clean drives and judged on the same swapped ones.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from msgspec import Struct

from gradwatch.streams.wire.messages import AlertKind
from gradwatch.streams.world.drive import Swap
from gradwatch.streams.world.signs import SIGN_LABELS

from ..alarms.calibration import Calibration, fit_clean
from ..judging.judge import Judge
from . import store
from .alerts import bootstrapped_rate, clean_of, judge_by_one_score
from .drives import CLEAN_FRAMES, RATE_HZ, SWAP_SEEDS, Unit, drive_of
from .metrics import delay_figures
from .observing import judge_calibrated, observe_unit
from .reports import Figures, cell, render, table

CARRIERS = ("expectancy_gradient", "expectancy_surprisal")
WITHIN = 10  # frames after the swap
BEFORE = 30  # frames observed before it


class SwappedDrive(Struct, frozen=True):
    """One drive with its swap."""

    unit: Unit
    swap: Swap
    before: str  # the label that the sign shows until the swap

    @property
    def name(self) -> str:
        """The file of its observations."""
        return f"{self.unit.name.removesuffix('.frames')}-{self.swap.identity}-{self.swap.at_seq}.swapped"


def swapped_drive(seed: int) -> SwappedDrive:
    """The drive of `seed` with the class of one of its signs swapped, chosen by the seed."""
    while True:  # if no sign of the drive is long enough in view, another seed is tried
        generator = np.random.default_rng(seed)
        drive = drive_of(seed)
        candidates = drive.swap_candidates()
        if candidates:
            identity, at_seq = candidates[int(generator.integers(len(candidates)))]
            before = next(box.label for box in drive.truth(at_seq) if box.identity == identity and box.kind == "sign")
            label = str(generator.choice([name for name in SIGN_LABELS if name != before]))
            first, last = max(0, at_seq - BEFORE), min(at_seq + WITHIN + 1, CLEAN_FRAMES)
            return SwappedDrive(Unit(seed, first, last), Swap(identity, at_seq, label), before)
        seed += 100


def evaluate_expectancy(folder: Path, judge: Judge) -> Figures:
    """Recall within `WITHIN` frames, delays and false alarms of each of `CARRIERS` alone."""
    drives = [swapped_drive(seed) for seed in SWAP_SEEDS]
    store.run_units(observe_unit, {folder / drive.name: (drive.unit, drive.swap) for drive in drives})
    calibrating, clean = clean_of(folder, judge, "calibration"), clean_of(folder, judge, "clean")
    fit = fit_clean(calibrating)
    result: Figures = {"drives": len(drives), "calibration_hours": len(calibrating) / RATE_HZ / 3600}
    for name in CARRIERS:
        lone, bound = judge_by_one_score(judge, AlertKind.EXPECTANCY_MISMATCH, name, fit)
        delays = [_delay(folder, drive, lone, bound) for drive in drives]
        within = delay_figures(delays, WITHIN)
        result[name] = {
            "threshold": bound.thresholds.get(name),
            "false_alarms_per_hour": bootstrapped_rate(clean, bound, lone.settings),
            "recall": within["share"],
            "median_delay": within["median"],
            "worst_delay": within["worst"],
            "delays": dict(zip([drive.unit.seed for drive in drives], delays, strict=True)),
        }
    return result


def _delay(folder: Path, drive: SwappedDrive, judge: Judge, calibration: Calibration) -> int | None:
    """Frames from the swap to the first alert that names the old label as expected; None without such an alert."""
    for judgement in judge_calibrated(store.load(folder / drive.name), judge, calibration):
        hit = any(alert.revision == 1 and alert.expected == drive.before for alert in judgement.alerts)
        if hit and judgement.report.identity.seq >= drive.swap.at_seq:
            return judgement.report.identity.seq - drive.swap.at_seq
    return None


def expectancy_report(figures: Figures) -> str:
    """The report of `gradwatch evaluate expectancy`."""
    rows = [
        [
            name,
            f"{figures[name]['recall']:.2f}",
            cell(figures[name]["median_delay"], "g"),
            cell(figures[name]["worst_delay"], "g"),
            f"{figures[name]['false_alarms_per_hour']:.2f}",
        ]
        for name in CARRIERS
    ]
    return render(
        "Expectancy mismatch: a sign becomes another in mid-track",
        "make evaluate-expectancy",
        f"{figures['drives']} drives; each score alone calibrated to one false alarm an hour on "
        f"{figures['calibration_hours']:.2f} h of clean drives of other seeds. A sign is swapped that had at least "
        "8 frames of 12 px or more before and has at least 6 of 18 px or more after, 70 % visible or more; its new "
        "label is any other type with equal probability. A hit is an alert that names the old label as expected; a "
        "missed drive counts as infinitely late in the median.",
        table(["score", f"recall within {WITHIN} frames", "median delay", "worst delay", "false alarms an hour"], rows),
    )
