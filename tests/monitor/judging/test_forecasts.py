"""Forecasts by constant velocity, their discs, and the ledger of how often the discs held the true center."""

from __future__ import annotations

import csv

import msgspec
import numpy as np
import pytest
from scipy.stats import binom, chi2

from gradwatch.monitor.judging.forecasts import (
    LEDGER_CAPACITY,
    CoverageLedger,
    Regions,
    constant_velocity,
    disc_radius,
    empty_ledger,
    update_ledger,
)
from gradwatch.monitor.judging.tracking import (
    TrackerSettings,
    TrackSet,
    advance,
    confirmed,
    no_tracks,
    predict_tracks,
    select_tracks,
)
from gradwatch.monitor.worker.stored_state import decode_array, encode_array

SETTINGS = TrackerSettings()
HORIZON_S = np.array([0.0, 0.5, 1.0, 2.0])
FRAME_NS = 100_000_000


def discs(tracks: TrackSet, horizon_s, coverage=0.9, settings=SETTINGS) -> Regions:
    horizon_s = np.asarray(horizon_s, float)
    mean, covariance = constant_velocity(tracks, horizon_s, settings)
    return Regions(horizon_s, mean, disc_radius(covariance, coverage))


def walker(capture_ns, tracks, x=100.0, settings=SETTINGS, seen=True):
    boxes = np.array([[x - 15, 60, x + 15, 140]])[: int(seen)]
    return advance(tracks, capture_ns, boxes, [0.9][: int(seen)], [1][: int(seen)], settings)


def two_walkers():
    tracks = no_tracks()
    for i in range(8):
        boxes = [[100 + 6 * i, 50, 130 + 6 * i, 130], [400 - 2 * i, 200 + i, 440 - 2 * i, 300 + i]]
        tracks, _ = advance(tracks, i * 100_000_000, boxes, [0.9, 0.8], [1, 1], SETTINGS)
    return tracks


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


def test_radius_of_a_round_gaussian_is_the_chi_square_quantile():
    r = disc_radius(np.broadcast_to(9.0 * np.eye(2), (2, 3, 2, 2)), 0.9)
    np.testing.assert_allclose(r, np.full((2, 3), 3.0 * np.sqrt(chi2.ppf(0.9, 2))))


def test_radius_covers_at_least_as_asked_when_the_gaussian_is_stretched():
    rng = np.random.default_rng(0)
    covariance = np.array([[9.0, 4.0], [4.0, 3.0]])
    points = rng.multivariate_normal([0, 0], covariance, 20_000)
    r = disc_radius(covariance[None, None], 0.9)[0, 0]
    assert r == pytest.approx(np.sqrt(np.linalg.eigvalsh(covariance)[-1] * chi2.ppf(0.9, 2)))
    assert np.mean(np.hypot(*points.T) <= r) >= 0.9


@pytest.mark.parametrize("coverage", [0.0, 1.0, -1, float("nan")])
def test_impossible_coverages_are_refused(coverage):
    with pytest.raises(ValueError, match="between 0 and 1"):
        disc_radius(np.eye(2)[None, None], coverage)


def fixed(tracks, horizon_s, offset_px, radius_px=1.0) -> Regions:
    """Discs around the present center plus an offset, so that hits and misses are known."""
    mean = tracks.mean[:, None, :2, 0] + np.array([offset_px, 0.0])
    shape = (len(tracks), len(horizon_s))
    return Regions(np.array(horizon_s), np.broadcast_to(mean, (*shape, 2)), np.full(shape, radius_px))


def test_a_forecast_is_checked_once_at_its_due_time():
    ledger, tracks, achieved = empty_ledger(), no_tracks(), []
    assert np.isnan(ledger.coverage_achieved)
    for i in range(4):
        tracks, index = walker(i * FRAME_NS, tracks)
        none = fixed(tracks, [], 0.0)
        given = {0: fixed(tracks, [0.1, 0.2], 0.5), 1: fixed(tracks, [0.1], 5.0)}.get(i, none)
        ledger = update_ledger(ledger, tracks, index, given)
        achieved.append((ledger.checked, ledger.hit, len(ledger.radius)))
    assert achieved == [(0, 0, 2), (1, 1, 2), (3, 2, 0), (3, 2, 0)]
    assert ledger.coverage_achieved == pytest.approx(2 / 3)


@pytest.mark.parametrize(("offset_px", "hit"), [(0.0, 0), (32.0, 1), (48.0, 0)])
def test_a_due_time_between_sightings_is_interpolated(offset_px, hit):
    """Seen at 0.1 and 0.7 s and 48 px apart: due at 0.5 s, the object was two thirds of the way along."""
    exact = msgspec.structs.replace(SETTINGS, measurement=1e-4)  # the filtered center is the detected one
    ledger, tracks = empty_ledger(), no_tracks()
    for i in range(8):
        tracks, index = walker(i * FRAME_NS, tracks, 100.0 + 8.0 * i, exact, seen=i in (0, 1, 7))
        given = fixed(tracks, [0.4], offset_px, 1.0) if i == 1 else fixed(tracks, [], 0.0)
        ledger = update_ledger(ledger, tracks, index, given)
        assert ledger.checked == (i == 7)
    assert ledger.hit == hit


def test_forecasts_that_outlive_their_track_are_lost_and_not_checked():
    ledger, tracks = empty_ledger(), no_tracks()
    for i in range(30):
        tracks, index = walker(i * FRAME_NS, tracks, seen=i < 3)
        ledger = update_ledger(ledger, tracks, index, discs(tracks, [3.0]) if i == 2 else fixed(tracks, [], 0.0))
    assert (ledger.lost, ledger.checked, len(ledger.radius), len(ledger.last_id)) == (1, 0, 0, 0)


def test_memory_is_bounded_and_overflow_is_counted():
    ledger, tracks = empty_ledger(), no_tracks()
    horizons = np.linspace(5, 6, LEDGER_CAPACITY // 2 + 1)
    for i in range(3):
        tracks, index = walker(i * FRAME_NS, tracks)
        ledger = update_ledger(ledger, tracks, index, discs(tracks, horizons))
    assert len(ledger.radius) == len(horizons) <= LEDGER_CAPACITY
    assert ledger.skipped == 2 * len(horizons)


def test_regions_of_other_tracks_are_refused():
    tracks, index = walker(0, no_tracks())
    with pytest.raises(ValueError, match="expected regions and detection indices of 1 tracks"):
        update_ledger(empty_ledger(), tracks, index, discs(no_tracks(), [1.0]))


def stored(ledger: CoverageLedger) -> CoverageLedger:
    """The ledger, encoded and decoded."""
    content = msgspec.msgpack.encode(ledger, enc_hook=encode_array)
    return msgspec.msgpack.decode(content, type=CoverageLedger, dec_hook=decode_array)


def test_a_ledger_that_was_stored_continues_equally():
    rng = np.random.default_rng(5)
    a = b = empty_ledger()
    tracks = no_tracks()
    for i in range(40):
        tracks, index = walker(i * FRAME_NS, tracks, 100 + 5 * i + rng.normal(0, 3), seen=rng.random() > 0.3)
        given = discs(tracks, [0.3, 0.75], 0.5)
        a, b = update_ledger(a, tracks, index, given), update_ledger(stored(b), tracks, index, given)
    assert a.checked == b.checked > 20
    assert (a.hit, a.lost) == (b.hit, b.lost)
    np.testing.assert_array_equal(a.mean, b.mean)


@pytest.mark.parametrize("coverage", [0.5, 0.9])
def test_regions_achieve_their_coverage_when_the_model_is_true(coverage):
    """Constant velocity with white acceleration, simulated: hits lie within binomial bounds of 1e-4 each side.

    One forecast an object, so that all are independent; the heights are exact, so that the noise is known.
    """
    n, height_px, settings = 600, 80.0, SETTINGS
    rng = np.random.default_rng(11)
    a, s, r = settings.acceleration[1] * height_px, settings.initial_speed[1] * height_px, settings.measurement
    position = np.stack([np.arange(n) * 5000.0, np.zeros(n)], axis=1)  # far apart: no mistaken identities
    velocity = rng.normal(0, s, (n, 2))
    times_s = np.cumsum(rng.choice([0.1, 0.2, 0.4], 12))
    tracks, half = no_tracks(), np.array([20.0, height_px / 2])

    def move(dt):
        nonlocal position, velocity
        q = a**2 * np.array([[dt**3 / 3, dt**2 / 2], [dt**2 / 2, dt]])
        kick = rng.multivariate_normal([0, 0], q, (n, 2))
        position, velocity = position + dt * velocity + kick[..., 0], velocity + kick[..., 1]

    for i, t in enumerate(times_s):
        if i:
            move(t - times_s[i - 1])
        measured = position + rng.normal(0, r * height_px, (n, 2))
        boxes = np.concatenate([measured - half, measured + half], axis=1)
        tracks, _ = advance(tracks, round(t * 1e9), boxes, np.full(n, 0.9), np.ones(n), settings)
    assert tracks.next_id == n
    order = np.argsort(tracks.mean[:, 0, 0])
    for horizon_s in (0.0, 0.8):
        given = discs(tracks, [horizon_s], coverage)
        move(horizon_s)
        error = position[np.argsort(position[:, 0])] - given.mean[order, 0]
        hits = int((np.hypot(*error.T) <= given.radius[order, 0]).sum())
        assert binom.ppf(1e-4, n, coverage) <= hits <= binom.ppf(1 - 1e-4, n, coverage)


@pytest.mark.shared
@pytest.mark.parametrize("every", [1, 2])
def test_coverage_on_real_walkers(shared, every):
    """Walkers are no white noise; the achieved coverage of the 90 % discs is printed, and only bounded below."""
    path = shared / "data" / "pets09_s2l1" / "pets_a_gt.csv"
    if not path.is_file():
        pytest.skip(f"not found: {path}")
    frames: dict[int, list[list[float]]] = {}
    with path.open() as lines:
        for row in csv.DictReader(lines):
            x, y, w, h = (float(row[k]) for k in "xywh")
            frames.setdefault(int(row["frame"]), []).append([x, y, x + w, y + h])
    horizons = (0.5, 1.0, 2.0)
    ledgers, tracks = dict.fromkeys(horizons, empty_ledger()), no_tracks()
    for frame in sorted(frames)[::every]:
        n = len(frames[frame])
        tracks, index = advance(tracks, frame * FRAME_NS, frames[frame], np.ones(n), np.ones(n), SETTINGS)
        rows = confirmed(tracks, SETTINGS)
        shown = select_tracks(tracks, rows)
        for h in horizons:
            ledgers[h] = update_ledger(ledgers[h], shown, index[rows], discs(shown, [h]))
    for h, ledger in ledgers.items():
        print(
            f"PETS at {10 / every:g} Hz, {h} s ahead: {ledger.coverage_achieved:.4f} of {ledger.checked} "
            f"(lost {ledger.lost}, skipped {ledger.skipped})"
        )
        assert ledger.checked > 500
        assert ledger.skipped == 0
        assert ledger.coverage_achieved > 0.8
