"""The contract of every entry of FORECASTERS."""

from __future__ import annotations

import numpy as np
import pytest

from gradwatch.monitor.judging.forecasts import FORECASTERS
from gradwatch.monitor.judging.tracking import TrackerSettings, advance, no_tracks, select_tracks

HORIZON_S = np.array([0.2, 1.0, 2.0])
SETTINGS = TrackerSettings()


@pytest.fixture(params=FORECASTERS, ids=list(FORECASTERS))
def forecast(request):
    return FORECASTERS[request.param]


def three_objects(frames=10):
    """Three boxes on straight lines at 10 Hz; the first moves 60 px/s to the right."""
    tracks = no_tracks()
    for i in range(frames):
        boxes = [
            [100 + 6 * i, 50, 130 + 6 * i, 130],
            [400 - 2 * i, 200 + i, 440 - 2 * i, 300 + i],
            [700, 300 - 3 * i, 730, 340 - 3 * i],
        ]
        tracks, _ = advance(tracks, i * 100_000_000, boxes, [0.9, 0.8, 0.7], [0, 1, 1], SETTINGS)
    return tracks


def test_shapes_types_and_finite_values(forecast):
    mean, covariance = forecast(three_objects(), HORIZON_S, SETTINGS)
    assert (mean.shape, covariance.shape) == ((3, 3, 2), (3, 3, 2, 2))
    assert mean.dtype == covariance.dtype == np.float64
    assert np.isfinite(mean).all()
    np.testing.assert_array_equal(covariance, covariance.swapaxes(-1, -2))
    assert (np.linalg.eigvalsh(covariance) > 0).all()


def test_starts_at_the_tracks_and_grows_less_certain(forecast):
    tracks = three_objects()
    mean, covariance = forecast(tracks, [0.0, 0.5, 1.0, 2.0], SETTINGS)
    np.testing.assert_allclose(mean[:, 0], tracks.mean[:, :2, 0])
    assert (np.diff(np.linalg.eigvalsh(covariance)[..., -1], axis=1) > 0).all()


def test_no_tracks_or_no_horizons_give_empty_arrays(forecast):
    assert forecast(no_tracks(), HORIZON_S, SETTINGS)[0].shape == (0, 3, 2)
    assert forecast(three_objects(), [], SETTINGS)[1].shape == (3, 0, 2, 2)


def test_deterministic_and_changes_no_track(forecast):
    tracks = three_objects()
    before = tracks.mean.copy()
    for first, second in zip(*(forecast(tracks, HORIZON_S, SETTINGS) for _ in range(2)), strict=True):
        np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(tracks.mean, before)


def test_objects_are_independent_and_in_any_order(forecast):
    tracks = three_objects()
    together = forecast(tracks, HORIZON_S, SETTINGS)
    mixed = forecast(select_tracks(tracks, [2, 0, 1]), HORIZON_S, SETTINGS)
    alone = forecast(select_tracks(tracks, [1]), HORIZON_S, SETTINGS)
    for all_of_them, in_order, one in zip(together, mixed, alone, strict=True):
        np.testing.assert_allclose(in_order, all_of_them[[2, 0, 1]])
        np.testing.assert_allclose(one, all_of_them[[1]])


def test_horizons_are_independent(forecast):
    tracks = three_objects()
    for whole, one in zip(forecast(tracks, HORIZON_S, SETTINGS), forecast(tracks, [1.0], SETTINGS), strict=True):
        np.testing.assert_allclose(one[:, 0], whole[:, 1])


def test_straight_motion_is_continued(forecast):
    mean, covariance = forecast(three_objects(20), [1.0], SETTINGS)
    truth = np.array([115 + 6 * 29, 90])
    assert np.linalg.norm(mean[0, 0] - truth) < 5
    assert np.linalg.norm(mean[0, 0] - truth) < 3 * np.sqrt(covariance[0, 0, 0, 0])


def test_a_new_object_is_less_certain_than_a_known_one(forecast):
    new, known = (forecast(three_objects(n), [1.0], SETTINGS)[1] for n in (2, 20))
    assert (np.linalg.det(new[:, 0]) > np.linalg.det(known[:, 0])).all()


@pytest.mark.parametrize("horizon_s", [[-0.1], [np.nan], [np.inf]])
def test_refuses_negative_and_non_finite_horizons(forecast, horizon_s):
    with pytest.raises(ValueError, match="horizon"):
        forecast(three_objects(), horizon_s, SETTINGS)
