from __future__ import annotations

import numpy as np
import pytest

from gradwatch.monitor.judging.forecasts import FORECASTERS, constant_velocity
from gradwatch.monitor.judging.tracking import TrackerSettings, advance, no_tracks, predict_tracks

HORIZON_S = np.array([0.0, 0.5, 1.0, 2.0])
SETTINGS = TrackerSettings()


def two_walkers():
    tracks = no_tracks()
    for i in range(8):
        boxes = [[100 + 6 * i, 50, 130 + 6 * i, 130], [400 - 2 * i, 200 + i, 440 - 2 * i, 300 + i]]
        tracks, _ = advance(tracks, i * 100_000_000, boxes, [0.9, 0.8], [1, 1], SETTINGS)
    return tracks


@pytest.mark.parametrize("forecast", FORECASTERS.values(), ids=FORECASTERS)
class TestEveryForecaster:
    def test_shapes_and_symmetric_covariances(self, forecast):
        mean, covariance = forecast(two_walkers(), HORIZON_S, SETTINGS)
        assert mean.shape == (2, 4, 2)
        assert covariance.shape == (2, 4, 2, 2)
        assert np.isfinite(mean).all()
        np.testing.assert_array_equal(covariance, covariance.swapaxes(-1, -2))
        assert (np.linalg.eigvalsh(covariance) > 0).all()

    def test_uncertainty_grows_with_the_horizon(self, forecast):
        _, covariance = forecast(two_walkers(), HORIZON_S, SETTINGS)
        assert (np.diff(np.linalg.eigvalsh(covariance)[..., -1], axis=1) > 0).all()

    def test_no_tracks_and_no_horizons_are_legal(self, forecast):
        mean, covariance = forecast(no_tracks(), HORIZON_S, SETTINGS)
        assert (mean.shape, covariance.shape) == ((0, 4, 2), (0, 4, 2, 2))
        assert forecast(two_walkers(), [], SETTINGS)[0].shape == (2, 0, 2)

    def test_begins_where_the_tracks_are(self, forecast):
        tracks = two_walkers()
        mean, _ = forecast(tracks, [0.0], SETTINGS)
        np.testing.assert_allclose(mean[:, 0], tracks.mean[:, :2, 0])


def test_constant_velocity_is_the_trackers_own_prediction():
    tracks = two_walkers()
    mean, covariance = constant_velocity(tracks, HORIZON_S, SETTINGS)
    for t, horizon_s in enumerate(HORIZON_S):
        ahead = predict_tracks(tracks, tracks.time_ns + round(horizon_s * 1e9), SETTINGS)
        np.testing.assert_allclose(mean[:, t], ahead.mean[:, :2, 0], rtol=1e-12)
        np.testing.assert_allclose(covariance[:, t, 0, 0], ahead.covariance[:, 0, 0, 0], rtol=1e-12)
        np.testing.assert_allclose(covariance[:, t, 1, 1], ahead.covariance[:, 1, 0, 0], rtol=1e-12)


def test_two_short_predictions_make_one_long_one_at_constant_height():
    tracks = two_walkers()
    tracks.mean[:, 3, 1] = 0.0
    half = predict_tracks(tracks, tracks.time_ns + 500_000_000, SETTINGS)
    for long, short in zip(
        constant_velocity(tracks, [1.0], SETTINGS), constant_velocity(half, [0.5], SETTINGS), strict=True
    ):
        np.testing.assert_allclose(long, short, rtol=1e-12)


@pytest.mark.parametrize("horizon_s", [[-0.1], [np.nan], [[0.5]]])
def test_bad_horizons_are_refused(horizon_s):
    with pytest.raises(ValueError, match="expected horizons"):
        constant_velocity(two_walkers(), horizon_s, SETTINGS)
