"""Crops: the tracks that they belong to, and the sides that can be read."""

from __future__ import annotations

import numpy as np

from gradwatch.monitor.judging.crops import crop_tracks, readable_sides


def test_a_cut_off_object_has_no_readable_side(observations, crops_added):
    boxes = np.array(
        [[100, 100, 130, 120], [-1, 100, 29, 130], [930, 5, 959, 60], [100, 500, 140, 540], [3, 3, 23, 43]]
    )
    seen = crops_added(observations(1, seed=0)[0], np.zeros((5, 14)), np.zeros((5, 8)), boxes)
    assert seen.size == (960, 540)
    np.testing.assert_array_equal(readable_sides(seen, seen.heads["signs"]), [20, 0, 0, 0, 20])


def test_crops_find_their_tracks(observations, crops_added):
    boxes = np.array([[10, 10, 30, 30], [50, 50, 70, 70], [90, 90, 99, 99]])
    seen = crops_added(observations(1, seed=0)[0], np.zeros((3, 14)), np.zeros((3, 8)), boxes)
    found = crop_tracks(seen.heads["signs"], np.array([2, -1, 0], np.int32), np.array([7, 8, 9]))
    np.testing.assert_array_equal(found, [9, -1, 7])
