"""The report of `gradwatch evaluate alerts`, from its figures."""

from __future__ import annotations

from .alerts import ALONE, HOURS, WITHIN
from .drives import CHALLENGE_SEEDS, CHALLENGES, LEVELS
from .reports import Figures, cell, render, table

WHY_NOT_ALL = (
    "Why GradCon alone does not alarm everywhere: the cosines compare directions of gradients with those of "
    "training, and blur and noise change the size of what a tile can't rebuild more than its direction; only with "
    "the loss beside them (`gradcon_vector`) is noise seen. Blur makes tiles *easier* to rebuild, by less than "
    "clean tiles differ among themselves. Image statistics measure sharpness and noise directly and are the better "
    "score for these challenges."
)


def alerts_report(figures: Figures) -> str:
    """The report of `gradwatch evaluate alerts`."""
    return render(
        "Alerts on synthetic drives",
        "make evaluate-alerts",
        f"Calibration {figures['calibration_id']}: {figures['calibration_hours']:.2f} h of clean drives, set to one "
        f"false alarm an hour. Judged on other seeds: {len(CHALLENGE_SEEDS)} drives a challenge and level at 5 Hz, and "
        f"{figures['clean_hours']:.2f} h of clean drives.",
        f"- False alarms: **{figures['false_alarms_per_hour']:.2f} an hour** over {HOURS} block-bootstrapped hours of "
        f"the clean frames (bar: 0.2 to 2); {figures['clean_drives_with_an_alarm']} of the clean drives, judged as "
        "they are, raise one.\n"
        f"- Drives with an alert in their clean lead-in: {figures['drives_with_an_early_alert']} of "
        f"{len(CHALLENGE_SEEDS)}.",
        f"## First alert within {WITHIN} frames: share of seeds, median and worst delay in frames",
        _detection(figures["detected"]),
        "## Which scores carried the first alert (drives)",
        table(["challenge, level", "carried by"], [[k, _carriers(v)] for k, v in figures["carried_by"].items()]),
        *(block for name in ALONE for block in _alone(name, figures["alone"][name])),
        WHY_NOT_ALL,
        "## AUROC of single frames against clean frames of other drives",
        table(["score", *CHALLENGES], [[name, *map(_auroc, by.values())] for name, by in figures["auroc"].items()]),
        "Levels 1 to 5 in each cell. Scores of crops need a sign that is still detected under the challenge.",
    )


def _alone(name: str, alone: Figures) -> list[str | list[str]]:
    return [
        f"## {name} alone, with the whole false-alarm budget",
        f"Threshold {alone['threshold']:.2f}, {alone['false_alarms_per_hour']:.2f} false alarms an hour.",
        _detection(alone["detected"]),
    ]


def _detection(detected: Figures) -> list[str]:
    rows = []
    for challenge, by_level in detected.items():
        cells = [by_level[str(level)] for level in LEVELS]
        shown = (f"{100 * c['share']:.0f} % ({cell(c['median'], 'g')}, {cell(c['worst'], 'g')})" for c in cells)
        rows.append([challenge, *shown])
    return table(["challenge", *(f"level {level}" for level in LEVELS)], rows)


def _auroc(by_level: dict[str, float]) -> str:
    return " ".join(cell(by_level[str(level)], ".2f") for level in LEVELS)


def _carriers(drives: dict[str, int]) -> str:
    return "; ".join(f"{names}: {count}" for names, count in drives.items()) or "no alert"
