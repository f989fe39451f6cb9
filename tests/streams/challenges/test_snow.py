"""Snow whitens what is bright, and its flakes fall from one seq to the next."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from gradwatch.streams.challenges import snow
from gradwatch.streams.challenges.table import LEVELS, apply_challenge

Image = NDArray[np.uint8]
SHAPE = (240, 814)  # half of CURE-TSD's width: flakes go half as far


def falling(level: int, seq: int) -> NDArray[np.float64]:
    return apply_challenge(np.zeros((*SHAPE, 3), np.uint8), "snow", level, 1, seq)[:, :, 0].astype(np.float64)


@pytest.mark.parametrize(("right_px", "down_px"), [flake[1:] for flake in snow.FLAKES])
def test_flakes_are_found_again_where_they_have_fallen_to(right_px: float, down_px: float) -> None:
    now, later = falling(2, 10), falling(2, 12)
    moved = np.roll(now, (round(down_px), round(right_px)), axis=(0, 1))  # two frames at half the width

    def likeness(one: NDArray[np.float64]) -> float:
        return float(np.corrcoef(one.ravel(), later.ravel())[0, 1])

    assert likeness(moved) > likeness(now) + 0.2


def test_flakes_hide_the_share_that_was_asked_for() -> None:
    for level in LEVELS:
        hidden = np.mean([falling(level, seq).mean() for seq in range(4)]) / 255
        asked = (snow.FLAKE_COVER_TOP[level - 1] + snow.FLAKE_COVER_BOTTOM[level - 1]) / 2
        assert hidden == pytest.approx(asked, rel=0.15, abs=0.004)


def test_bright_turns_white_and_dark_stays_dark() -> None:
    def drawn(value: int, level: int) -> float:
        return float(apply_challenge(np.full((*SHAPE, 3), value, np.uint8), "snow", level, 1, 0).mean())

    assert drawn(140, 4) > 240  # the road of the reference grid
    assert drawn(30, 3) < 50  # its trees
    for value in (30, 90, 140, 200):
        levels = [drawn(value, level) for level in LEVELS]
        assert levels == sorted(levels)


def test_the_glow_spreads_sideways_only() -> None:
    image = np.full((40, 1628, 3), 40, np.uint8)
    image[20, 800] = 255
    whitened = apply_challenge(image, "snow", 4, 1, 0).astype(int) - apply_challenge(
        np.full_like(image, 40), "snow", 4, 1, 0
    )
    rows, columns = np.flatnonzero(whitened.any(axis=(1, 2))), np.flatnonzero(whitened.any(axis=(0, 2)))
    assert list(rows) == [20]
    assert 5 <= len(columns) <= 11
