"""Every decoder by hand at one location, and on none; `instrumentation/test_boxes.py` runs them on whole networks."""

from __future__ import annotations

import math

import numpy as np
import pytest

from gradwatch.models.decoders import DECODERS
from gradwatch.models.manifest import Level

LEVEL = Level(rows=4, columns=6, stride_px=16, anchor_px=(30, 60))
SIZE = (96, 64)
WIDTHS = {"distance_bins": 32, "distance_bins_at_corners": 32}
# Location 9 of six columns: row 1, column 3.
LOCATION, ROW, COLUMN = 9, 1, 3


def decode(name, regression):
    return DECODERS[name](np.array([regression], np.float32), np.array([LOCATION]), LEVEL, SIZE)[0]


@pytest.mark.parametrize("name", DECODERS)
def test_nothing_in_nothing_out(name):
    boxes = DECODERS[name](np.zeros((0, WIDTHS.get(name, 4)), np.float32), np.zeros(0, np.int64), LEVEL, SIZE)
    assert boxes.shape == (0, 4)


@pytest.mark.parametrize("name", DECODERS)
def test_locations_are_independent(name):
    rng = np.random.default_rng(0)
    regression = rng.random((24, WIDTHS.get(name, 4))).astype(np.float32)
    locations = rng.permutation(24)
    together = DECODERS[name](regression, locations, LEVEL, SIZE)
    alone = [DECODERS[name](regression[i : i + 1], locations[i : i + 1], LEVEL, SIZE)[0] for i in range(24)]
    np.testing.assert_allclose(together, alone, rtol=1e-5)


@pytest.mark.parametrize(("name", "offset"), [("distance_bins", 0.5), ("distance_bins_at_corners", 0.0)])
def test_distance_bins(name, offset):
    """One bin for each side: distances of 1, 2, 3 and 4 strides; a side split between bins 0 and 2 has distance 1."""
    bins = np.full((4, 8), -50.0)
    bins[np.arange(4), [1, 2, 3, 4]] = 50
    x, y = (COLUMN + offset) * 16, (ROW + offset) * 16
    np.testing.assert_allclose(decode(name, bins.ravel()), [x - 16, y - 32, x + 48, y + 64], atol=1e-3)
    bins[0] = -50
    bins[0, [0, 2]] = 50
    np.testing.assert_allclose(decode(name, bins.ravel())[0], x - 16, atol=1e-3)


def test_anchor_boxes():
    """Logits of 0 give the anchor itself, at the center of the cell; large ones the limits of the form."""
    x, y = (COLUMN + 0.5) * 16, (ROW + 0.5) * 16
    np.testing.assert_allclose(decode("anchor_boxes", [0, 0, 0, 0]), [x - 15, y - 30, x + 15, y + 30])
    x, y = (COLUMN + 1.5) * 16, (ROW - 0.5) * 16
    np.testing.assert_allclose(decode("anchor_boxes", [99, -99, 99, -99]), [x - 60, y, x + 60, y], atol=1e-3)


def test_anchor_boxes_need_an_anchor():
    level = Level(rows=1, columns=1, stride_px=8)
    with pytest.raises(ValueError, match="expected levels with an anchor"):
        DECODERS["anchor_boxes"](np.zeros((1, 4), np.float32), np.zeros(1, np.int64), level, SIZE)


def test_center_offsets():
    x, y = (COLUMN + 0.25) * 16, (ROW - 1) * 16
    found = decode("center_offsets", [0.25, -1, math.log(2), math.log(0.5)])
    np.testing.assert_allclose(found, [x - 16, y - 4, x + 16, y + 4], rtol=1e-5)
    assert np.isfinite(decode("center_offsets", [0, 0, 1e9, 1e9])).all()


def test_queries():
    np.testing.assert_allclose(decode("queries", [0.5, 0.25, 0.5, 0.5]), [24, 0, 72, 32], rtol=1e-6)
