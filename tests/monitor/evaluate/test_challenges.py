"""Our challenges are as severe as those of CURE-TSD's published grid, and quick enough for a stream."""

from __future__ import annotations

from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest

from gradwatch import MissingFileError
from gradwatch.monitor.evaluate import challenges
from gradwatch.monitor.evaluate.challenges import EXCEPTIONS, STATISTICS, Miss, misses
from gradwatch.monitor.evaluate.curetsd_grid import (
    CELL_PX,
    GRID,
    REFERENCE,
    SHOWN_PX,
    GridError,
    Statistics,
    cell,
    cell_of,
    clean_cell,
    frame_of,
    read_grid,
    statistics_of,
    trimmed,
)
from gradwatch.streams.challenges.table import CHALLENGES, LEVELS, apply_challenge


@pytest.fixture(scope="module")
def grid(shared: Path) -> np.ndarray:
    if not (shared / GRID).is_file():
        pytest.skip(f"CURE-TSD's grid of challenges not found at {shared / GRID}")
    return read_grid(shared / GRID)


@pytest.fixture(scope="module")
def sample() -> np.ndarray:
    return challenges.sample_frame()


def test_the_committed_figures_are_those_of_the_picture(grid: np.ndarray) -> None:
    for name, rows in REFERENCE.items():
        for level, committed in zip(LEVELS, rows, strict=True):
            measured = statistics_of(trimmed(cell(grid, name, level)))
            np.testing.assert_allclose(
                msgspec.structs.astuple(committed), msgspec.structs.astuple(measured), atol=0.051, err_msg=name
            )


def test_only_argued_bars_are_missed(grid: np.ndarray) -> None:
    assert set(misses(challenges.compare(clean_cell(grid)))) <= set(EXCEPTIONS)


def test_other_pictures_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match="no file"):
        read_grid(tmp_path / "grid.png")
    cv2.imwrite(str(tmp_path / "grid.png"), np.zeros((10, 10, 3), np.uint8))
    with pytest.raises(GridError, match="expected a picture of 792 x 1000 px"):
        read_grid(tmp_path / "grid.png")


def test_shadow_gives_the_clean_frame(grid: np.ndarray) -> None:
    clean = clean_cell(grid).astype(float)
    # Darkening by the published stop is a second, independent way to the same frame.
    darkened = cell(grid, "darkening", 1) / 2 ** (-1 / 2.2)
    apart = np.abs(clean - darkened)[3:-3, 3:-3]
    assert apart.mean() < 1.5


def test_bars_of_shadow_give_the_size_of_a_cell_pixel(grid: np.ndarray) -> None:
    clean, shaded = clean_cell(grid).astype(float), cell(grid, "shadow", 3).astype(float)
    share = 1 - shaded.sum(axis=(0, 2)) / clean.sum(axis=(0, 2))  # of the light that a column loses
    half = share.max() / 2
    rising = np.flatnonzero((share[:-1] < half) & (share[1:] >= half))
    edges = rising + (half - share[rising]) / (share[rising + 1] - share[rising])
    assert np.diff(edges).mean() * SHOWN_PX[0] / CELL_PX[0] == pytest.approx(142, rel=0.01)


def test_an_enlarged_cell_shrinks_to_itself() -> None:
    rng = np.random.default_rng(1)
    clean = np.clip(rng.normal(120, 40, (CELL_PX[1], CELL_PX[0], 3)), 20, 235).astype(np.uint8)
    frame = frame_of(clean)
    assert frame.shape == (594, 1628, 3)
    assert np.abs(cell_of(frame).astype(int) - clean).mean() < 1.0


def test_statistics_worked_out_by_hand() -> None:
    image = np.zeros((4, 6, 3), np.uint8)
    image[:, ::2] = (200, 0, 0)
    red_green, yellow_blue = 200.0, 100.0  # of every other column: mean and spread are half of it
    colorfulness = np.hypot(red_green / 2, yellow_blue / 2) * 1.3
    found = statistics_of(image)
    assert found.luma == pytest.approx(30, abs=0.5)  # 0.299 * 200 / 2
    assert found.contrast == pytest.approx(30, abs=0.5)
    assert found.colorfulness == pytest.approx(colorfulness)
    assert found.laplacian == pytest.approx((2 * 60) ** 2, rel=0.02)  # +-120 in every other column


def test_levels_are_ordered_as_in_the_grid_on_a_drive_too(sample: np.ndarray) -> None:
    """Runs without the grid, by its committed figures; statistics that a scene's own light turns are left out."""
    turned = []
    for name, statistic in (
        ("decolorization", "colorfulness"),
        ("lens_blur", "laplacian"),
        ("darkening", "luma"),
        ("darkening", "contrast"),
        ("darkening", "laplacian"),
        ("exposure", "luma"),
        ("gaussian_blur", "laplacian"),
        ("noise", "contrast"),
        ("rain", "contrast"),
        ("shadow", "luma"),
        ("snow", "luma"),
        ("haze", "luma"),
    ):
        asked = challenges.direction([getattr(row, statistic) for row in REFERENCE[name]])
        drawn = [statistics_of(cell_of(apply_challenge(sample, name, level, 1, 3))) for level in LEVELS]
        if not asked or challenges.direction([getattr(row, statistic) for row in drawn]) != asked:
            turned.append((name, statistic))
    assert turned == []


def test_a_miss_is_found_and_named() -> None:
    ours = dict(REFERENCE)
    first, *rest = REFERENCE["darkening"]
    ours["darkening"] = (Statistics(first.luma * 1.2, first.contrast / 1.6, 0.0, first.laplacian), *rest)
    assert misses(REFERENCE) == []
    assert misses(ours) == [
        Miss("darkening", "luma", "1"),
        Miss("darkening", "contrast", "1"),
        Miss("darkening", "colorfulness", "order"),
    ]


def test_every_challenge_is_timed(sample: np.ndarray) -> None:
    """The report judges the times, which are those of the machine."""
    times = challenges.frame_times_ms(sample, rounds=1, calls=1, levels=(5,))
    assert set(times) == set(CHALLENGES)
    assert min(min(ms) for ms in times.values()) > 0


def test_report_has_every_cell_and_argues_every_miss() -> None:
    missed = next(iter(EXCEPTIONS))
    figures = {
        "cells": {
            name: [
                {
                    "level": level,
                    "reference": msgspec.structs.asdict(REFERENCE[name][level - 1]),
                    "ours": msgspec.structs.asdict(REFERENCE[name][level - 1]),
                    "ms": 1.25,
                }
                for level in LEVELS
            ]
            for name in CHALLENGES
        },
        "misses": [list(missed)],
        "enlargement_bias": [1.0] * 5,
    }
    report = challenges.challenges_report(figures)
    assert EXCEPTIONS[missed] in report
    for name in CHALLENGES:
        for level in LEVELS:
            assert f"| {name} {level} |" in report
    assert "59 of 60 cells" in report
    assert all(statistic in report for statistic in STATISTICS)
