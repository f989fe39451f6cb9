"""Figures -> Markdown, with the machine, the date and the command that reprints them."""

from __future__ import annotations

import math
import os
import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from .alerts import ALONE, HOURS, WITHIN
from .drives import CHALLENGE_SEEDS, CHALLENGES, LEVELS

Figures = dict[str, Any]


def heading(title: str, command: str) -> list[str]:
    """The first lines of every report."""
    return [
        f"# {title}",
        "",
        f"Reprinted by `{command}` on {datetime.now(UTC):%Y-%m-%d}, {machine()}.",
        "",
    ]


def machine() -> str:
    """Processor, cores and versions that figures depend on."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        names = [line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        model = names[0] if names else model
    return f"{model}, {os.cpu_count()} cores, Python {platform.python_version()}, {platform.system()}"


def table(header: list[str], rows: list[list[str]]) -> list[str]:
    """A Markdown table."""
    return [
        "| " + " | ".join(header) + " |",
        "|" + "---|" * len(header),
        *("| " + " | ".join(row) + " |" for row in rows),
        "",
    ]


WHY_NOT_ALL = (
    "Why GradCon alone does not alarm everywhere: the cosines compare directions of gradients with those of "
    "training, and blur and noise change the size of what a tile can't rebuild more than its direction; only with "
    "the loss beside them (`gradcon_vector`) is noise seen. Blur makes tiles *easier* to rebuild, by less than "
    "clean tiles differ among themselves. Image statistics measure sharpness and noise directly and are the better "
    "score for these challenges."
)


def alerts_report(figures: Figures) -> str:
    """The report of `gradwatch evaluate alerts`."""
    lines = heading("Alerts on synthetic drives", "make evaluate-alerts")
    lines += [
        f"Calibration {figures['calibration_id']}: {figures['calibration_hours']:.2f} h of clean drives, set to one "
        f"false alarm an hour. Judged on other seeds: {len(CHALLENGE_SEEDS)} drives a challenge and level at 5 Hz, and "
        f"{figures['clean_hours']:.2f} h of clean drives.",
        "",
        f"- False alarms: **{figures['false_alarms_per_hour']:.2f} an hour** over {HOURS} block-bootstrapped hours of "
        f"the clean frames (bar: 0.2 to 2); {figures['clean_drives_with_an_alarm']} of the clean drives, judged as "
        "they are, raise one.",
        f"- Drives with an alert in their clean lead-in: {figures['drives_with_an_early_alert']} of "
        f"{len(CHALLENGE_SEEDS)}.",
        "",
        f"## First alert within {WITHIN} frames: share of seeds, median and worst delay in frames",
        "",
        *_detection(figures["detected"]),
        "## Which scores carried the first alert (drives)",
        "",
        *table(["challenge, level", "carried by"], [[k, _counts(v)] for k, v in figures["carried_by"].items()]),
    ]
    for name in ALONE:
        alone = figures["alone"][name]
        lines += [
            f"## {name} alone, with the whole false-alarm budget",
            "",
            f"Threshold {alone['threshold']:.2f}, {alone['false_alarms_per_hour']:.2f} false alarms an hour.",
            "",
            *_detection(alone["detected"]),
        ]
    lines += [WHY_NOT_ALL, ""]
    lines += ["## AUROC of single frames against clean frames of other drives", ""]
    lines += table(
        ["score", *CHALLENGES],
        [
            [name, *(" ".join(_figure(by[challenge][str(level)]) for level in LEVELS) for challenge in CHALLENGES)]
            for name, by in figures["auroc"].items()
        ],
    )
    lines += ["Levels 1 to 5 in each cell. Scores of crops need a sign that is still detected under the challenge.", ""]
    return "\n".join(lines)


def expectancy_report(figures: Figures) -> str:
    """The report of `gradwatch evaluate expectancy`."""
    lines = heading("Expectancy mismatch: a sign becomes another in mid-track", "make evaluate-expectancy")
    lines += [
        f"{figures['drives']} drives; each score alone calibrated to one false alarm an hour on "
        f"{figures['calibration_hours']:.2f} h of clean drives of other seeds. A sign is swapped that had at least "
        "8 frames of 12 px or more before and has at least 6 of 18 px or more after, 70 % visible or more; its new "
        "label is any other type with equal probability. A hit is an alert that names the old label as expected; a "
        "missed drive counts as infinitely late in the median.",
        "",
        *table(
            ["score", "recall within 10 frames", "median delay", "worst delay", "false alarms an hour"],
            [
                [
                    name,
                    f"{figures[name]['recall']:.2f}",
                    _number(figures[name]["median_delay"]),
                    _number(figures[name]["worst_delay"]),
                    f"{figures[name]['false_alarms_per_hour']:.2f}",
                ]
                for name in ("expectancy_gradient", "expectancy_surprisal")
            ],
        ),
    ]
    return "\n".join(lines)


def _detection(detected: Figures) -> list[str]:
    rows = []
    for challenge, by_level in detected.items():
        cells = [by_level[str(level)] for level in LEVELS]
        rows.append(
            [challenge, *(f"{100 * c['share']:.0f} % ({_number(c['median'])}, {_number(c['worst'])})" for c in cells)]
        )
    return table(["challenge", *(f"level {level}" for level in LEVELS)], rows)


def _counts(counts: dict[str, int]) -> str:
    return "; ".join(f"{names}: {count}" for names, count in counts.items()) or "no alert"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:g}"


def _figure(value: float | None) -> str:
    return "-" if value is None or math.isnan(value) else f"{value:.2f}"
