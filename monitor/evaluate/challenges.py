"""`gradwatch evaluate challenges`: our challenges beside the published picture of CURE-TSD's own, cell by cell.

Both are compared on the same frame at the same resolution; see `curetsd_grid.py`. A missed bar must be argued in
`EXCEPTIONS`; a test fails for any other.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import pairwise, product
from typing import NamedTuple

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

from gradwatch.streams.challenges.table import CHALLENGES, LEVELS, apply_challenge
from gradwatch.streams.world.drive import Drive
from gradwatch.streams.world.ego_motion import SETTINGS

from .curetsd_grid import REFERENCE, Statistics, cell_of, frame_of, statistics_of, trimmed
from .drives import CLEAN_FRAMES, RATE_HZ
from .reports import Figures, render, table

Image = NDArray[np.uint8]
Compared = dict[str, tuple[Statistics, ...]]

SEED, SEQS = 1, (1, 5, 9)  # statistics are means over the seqs
STATISTICS = Statistics.__struct_fields__
NEAR = {"luma": (0.85, 1.15), "contrast": (1 / 1.5, 1.5), "laplacian": (1 / 1.5, 1.5)}  # of ours over the reference
ORDERED_FROM = 0.05  # relative change in total from which on the reference orders the levels
BAR_MS = 30.0

SAMPLE_SIZE = (1024, 576)
SAMPLE = ("motorway", 3004, 25)  # setting, seed and seq of the frame that is timed and drawn: a sign like the grid's
BIAS_SEEDS, BIAS_SEQ = (3001, 3002, 3004), 20


class Miss(NamedTuple):
    """A missed bar of a statistic of a challenge: of a level, or of the `order` of the levels."""

    challenge: str
    statistic: str
    bar: str


_TEXTURE = (
    "clipping is not linear. Branches before a white sky that a cell pixel averages to gray stay below white where "
    "they are seen one by one, but the gray clips. So the comparison overstates this Laplacian, see below"
)
EXCEPTIONS = {
    Miss("codec_error", "laplacian", "2"): (
        "only in this published cell do both halves of the torn sign stand large and over each other; the cells "
        "beside it have 0.58 and 0.65 of its Laplacian"
    ),
    Miss("exposure", "laplacian", "4"): _TEXTURE,
    Miss("exposure", "laplacian", "5"): _TEXTURE,
    Miss("exposure", "laplacian", "order"): _TEXTURE,
    Miss("noise", "colorfulness", "order"): (
        "level 2 is more colorful than level 1 by a tenth of a gray value; every other bar is met, and the published "
        "filter says nothing that would make its grain less colored"
    ),
}
"""Bars that are missed, each with its reason."""


def compare(clean: Image) -> Compared:
    """Statistics of our challenges on the clean cell (72, 122, 3), by name, levels 1 to 5."""
    frame = frame_of(clean)
    return {name: tuple(_mean_statistics(frame, name, level) for level in LEVELS) for name in CHALLENGES}


def _mean_statistics(frame: Image, name: str, level: int) -> Statistics:
    cells = [trimmed(cell_of(apply_challenge(frame, name, level, SEED, seq))) for seq in SEQS]
    rows = [msgspec.structs.astuple(statistics_of(cell)) for cell in cells]
    return Statistics(*(float(value) for value in np.mean(rows, axis=0)))


def misses(ours: Compared) -> list[Miss]:
    """Every bar that `ours` misses, in the order of challenges, statistics and levels."""
    found = []
    for name, statistic in product(REFERENCE, STATISTICS):
        theirs, mine = _by_level(REFERENCE[name], statistic), _by_level(ours[name], statistic)
        if statistic in NEAR:
            low, high = NEAR[statistic]
            for level, expected, got in zip(LEVELS, theirs, mine, strict=True):
                if not low <= got / expected <= high:
                    found.append(Miss(name, statistic, str(level)))
        if direction(theirs) and _trend(mine) != direction(theirs):
            found.append(Miss(name, statistic, "order"))
    return found


def _by_level(rows: Sequence[Statistics], statistic: str) -> list[float]:
    return [getattr(row, statistic) for row in rows]


def direction(values: Sequence[float]) -> int:
    """1 if values rise over the levels and -1 if they fall, by `ORDERED_FROM` or more in total; else 0."""
    change = abs(values[-1] - values[0]) / max(abs(values[0]), abs(values[-1]), 1e-9)
    return _trend(values) if change >= ORDERED_FROM else 0


def _trend(values: Sequence[float]) -> int:
    signs = {int(np.sign(later - earlier)) for earlier, later in pairwise(values)}
    return signs.pop() if len(signs) == 1 else 0


def sample_frame() -> Image:
    """The frame of a synthetic drive that is timed and drawn, (576, 1024, 3)."""
    setting, seed, seq = SAMPLE
    return Drive(setting, seed, CLEAN_FRAMES, RATE_HZ, SAMPLE_SIZE).image(seq)


def enlargement_bias() -> tuple[float, ...]:
    """Factor by which enlarging a cell overstates exposure's Laplacian, levels 1 to 5: medians over synthetic frames.

    A frame is challenged and shrunk, or shrunk, enlarged by `frame_of`, challenged and shrunk again.
    """
    ratios = []
    for setting in SETTINGS:
        for seed in BIAS_SEEDS:
            sharp = Drive(setting, seed, CLEAN_FRAMES, RATE_HZ, SAMPLE_SIZE).image(BIAS_SEQ)
            enlarged = frame_of(cell_of(sharp))
            ratios.append([_laplacian(enlarged, level) / _laplacian(sharp, level) for level in LEVELS])
    return tuple(float(ratio) for ratio in np.median(ratios, axis=0))


def _laplacian(frame: Image, level: int) -> float:
    return statistics_of(trimmed(cell_of(apply_challenge(frame, "exposure", level, SEED, 0)))).laplacian


def frame_times_ms(
    image: Image, rounds: int = 5, calls: int = 5, levels: Sequence[int] = LEVELS
) -> dict[str, tuple[float, ...]]:
    """Median processor time per frame on one core, by name, for each of `levels`.

    Every round measures all challenges and levels in turn. The first call of each is not counted: layers that stay
    are drawn once per stream.
    """
    taken: dict[tuple[str, int], list[float]] = {}
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        for _, name, level in product(range(rounds), CHALLENGES, levels):
            apply_challenge(image, name, level, SEED, 0)
            taken.setdefault((name, level), []).extend(_timed_ms(image, name, level, calls))
    finally:
        cv2.setNumThreads(threads)
    return {name: tuple(float(np.median(taken[name, level])) for level in levels) for name in CHALLENGES}


def _timed_ms(image: Image, name: str, level: int, calls: int) -> list[float]:
    times = []
    for seq in range(1, calls + 1):
        start = time.process_time()
        apply_challenge(image, name, level, SEED, seq)
        times.append((time.process_time() - start) * 1e3)
    return times


def evaluate_challenges(clean: Image) -> Figures:
    """All figures of the report."""
    ours, times = compare(clean), frame_times_ms(sample_frame())
    return {
        "clean": msgspec.structs.asdict(statistics_of(trimmed(clean))),
        "cells": {
            name: [
                {
                    "level": level,
                    "reference": msgspec.structs.asdict(REFERENCE[name][level - 1]),
                    "ours": msgspec.structs.asdict(ours[name][level - 1]),
                    "ms": times[name][level - 1],
                }
                for level in LEVELS
            ]
            for name in CHALLENGES
        },
        "misses": [list(miss) for miss in misses(ours)],
        "enlargement_bias": enlargement_bias(),
    }


def challenges_report(figures: Figures) -> str:
    """The report of `gradwatch evaluate challenges`."""
    missed = [Miss(*miss) for miss in figures["misses"]]
    slowest = max(cell["ms"] for cells in figures["cells"].values() for cell in cells)
    header = ["challenge, level", *STATISTICS, "ms", "missed"]
    rows = [_row(name, cell, missed) for name, cells in figures["cells"].items() for cell in cells]
    return render(
        "The twelve challenges beside the published grid",
        "gradwatch evaluate challenges",
        *METHOD,
        "![Twelve challenges in five levels on a synthetic drive](../pictures/challenges.jpg)",
        "## Bars",
        _bars(missed, slowest),
        "## Exceptions",
        "\n".join(_argued(missed)),
        _bias(figures),
        "## Cell by cell: reference | ours",
        table(header, rows),
    )


METHOD = (
    "The README of olivesgatech/CURE-TSD shows one real frame under twelve challenges and five levels, in cells of "
    "122 x 72 px. It has no challenge-free cell; shadow of opacity o leaves (1 - o) of the light, so a straight line "
    "through the shadow cells of levels 1 to 3 gives every pixel at opacity 0. One cell pixel is 8.25 px of a CURE-TSD "
    "frame, because shadow's bars, published as 142 px wide, repeat every 17.2 cell pixels. So the clean cell is "
    "enlarged to 1007 x 594 px, made the right part of a frame 1628 px wide, put under our challenge and shrunk again "
    f"by averaging. Statistics of ours are means over seqs {', '.join(map(str, SEQS))} of seed {SEED}. Gaussian blur's "
    "first cell is blurred more than its second; they are exchanged in the picture, and read so.",
    "Luma is its mean, contrast its standard deviation, colorfulness that of Hasler and Süsstrunk (2003), Laplacian "
    "the variance of luma's. Our severities were fitted on this same grid: it is the only statement of the data "
    "set's severities, so this report shows how well they are met, not how well they generalize.",
    "ms is the median processor time of 25 calls in 5 rounds, one thread; layers that stay are drawn once per stream "
    "and not counted. A bar on the order of levels holds for a statistic that the reference changes by 5 % or more "
    "from level 1 to 5 without turning back.",
)


def _bars(missed: list[Miss], slowest: float) -> list[str]:
    def count(statistic: str) -> int:
        return sum(miss.statistic == statistic and miss.bar != "order" for miss in missed)

    ordered = [
        (name, statistic)
        for name, statistic in product(REFERENCE, STATISTICS)
        if direction(_by_level(REFERENCE[name], statistic))
    ]
    turned = sum(miss.bar == "order" for miss in missed)
    cells = len(CHALLENGES) * len(LEVELS)
    return table(
        ["bar", "met"],
        [
            ["luma within 15 %", f"{cells - count('luma')} of {cells} cells"],
            ["contrast within a factor of 1.5", f"{cells - count('contrast')} of {cells} cells"],
            ["Laplacian within a factor of 1.5", f"{cells - count('laplacian')} of {cells} cells"],
            ["levels in the reference's order", f"{len(ordered) - turned} of {len(ordered)} ordered statistics"],
            [f"at most {BAR_MS:g} ms a frame of 1024 x 576 px on one core", f"slowest {slowest:.1f} ms"],
        ],
    )


def _argued(missed: list[Miss]) -> list[str]:
    """The reasons, each once, with the missed bars."""
    reasons: dict[str, list[str]] = {}
    for miss in missed:
        reasons.setdefault(EXCEPTIONS.get(miss, "not argued"), []).append(_words(miss))
    return [f"- **{'; '.join(bars)}**: {reason}." for reason, bars in reasons.items()]


def _bias(figures: Figures) -> str:
    bias = figures["enlargement_bias"]
    cells = [(cell["ours"]["laplacian"], cell["reference"]["laplacian"]) for cell in figures["cells"]["exposure"]]
    corrected = [ours / theirs / factor for (ours, theirs), factor in zip(cells, bias, strict=True)]
    return (
        f"Factor by which enlarging a cell overstates exposure's Laplacian, levels 1 to 5: {_list(bias)} (medians over "
        f"{len(SETTINGS) * len(BIAS_SEEDS)} synthetic frames that are sharp to begin with). Divided by that, ours is "
        f"{_list(corrected)} of the reference."
    )


def _list(values: Sequence[float]) -> str:
    return ", ".join(f"{value:.2f}" for value in values)


def _words(miss: Miss) -> str:
    where = "order of the levels" if miss.bar == "order" else f"level {miss.bar}"
    return f"{miss.challenge}, {miss.statistic}, {where}"


def _row(name: str, cell: Figures, missed: list[Miss]) -> list[str]:
    level = str(cell["level"])
    pairs = [f"{cell['reference'][statistic]:.1f} \\| {cell['ours'][statistic]:.1f}" for statistic in STATISTICS]
    here = [miss.statistic for miss in missed if miss.challenge == name and miss.bar == level]
    return [f"{name} {level}", *pairs, f"{cell['ms']:.1f}", ", ".join(here) or "-"]
