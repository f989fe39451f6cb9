"""The contract of every entry of CHANGE_DETECTORS, and that its thresholds keep the stated rate of false alarms."""

from __future__ import annotations

import numpy as np
import pytest

from gradwatch.monitor.alarms.change import CHANGE_DETECTORS
from gradwatch.monitor.alarms.false_alarms import (
    alarms_per_hour,
    block_indices,
    run_detector,
    threshold_for,
    window_maxima,
)
from gradwatch.monitor.alarms.p_values import MAX_EVIDENCE_NATS, NEUTRAL_EVIDENCE_NATS, evidence_nats, reference

DT_S = 0.2


@pytest.fixture(params=CHANGE_DETECTORS, ids=list(CHANGE_DETECTORS))
def detector(request):
    return CHANGE_DETECTORS[request.param]


def ar1(shape, seed, rho=0.9):
    """Standard normal values (T, …) that depend on each other over about ten frames."""
    innovations = np.random.default_rng(seed).normal(size=shape)
    values = np.empty(shape)
    values[0] = innovations[0]
    for t in range(1, len(values)):
        values[t] = rho * values[t - 1] + np.sqrt(1 - rho * rho) * innovations[t]
    return values


def run(detector, rows, dt_s=DT_S):
    return run_detector(detector, np.asarray(rows, dtype=np.float64), dt_s)


def test_bounded_under_the_strongest_evidence(detector):
    statistic = run(detector, np.full(5000, MAX_EVIDENCE_NATS), 1.0)
    assert np.isfinite(statistic).all()
    assert statistic[-1] == statistic[-100]  # it has reached its ceiling
    assert statistic.max() <= 2 * MAX_EVIDENCE_NATS


def test_never_negative(detector):
    assert run(detector, np.zeros(500)).min() >= 0


def test_elementwise(detector):
    rows = np.random.default_rng(0).exponential(size=(50, 4, 3))
    together = run(detector, rows)
    np.testing.assert_array_equal(together[:, 2, 1], run(detector, rows[:, 2, 1]))


def test_idle_on_neutral_evidence(detector):
    statistic = run(detector, np.full(1000, NEUTRAL_EVIDENCE_NATS))
    np.testing.assert_allclose(statistic, detector.start)


def test_rises_with_evidence_and_recovers(detector):
    rows = np.concatenate([np.full(50, MAX_EVIDENCE_NATS), np.full(300, NEUTRAL_EVIDENCE_NATS)])
    statistic = run(detector, rows)
    assert (np.diff(statistic[:50]) >= 0).all()
    assert statistic[49] > 10 * max(detector.start, 1.0)
    assert statistic[-1] < detector.start + 0.1  # a minute after the cap


def test_more_evidence_never_gives_less(detector):
    weak = np.random.default_rng(1).exponential(size=200)
    assert (run(detector, weak + 0.5) >= run(detector, weak)).all()


@pytest.mark.parametrize("dt_s", [0.0, -0.2, -3600.0])
def test_time_that_stands_or_jumps_back_changes_nothing(detector, dt_s):
    before = np.array([detector.start, 5.0])
    np.testing.assert_array_equal(detector.step(before, np.array([MAX_EVIDENCE_NATS, 0.0]), dt_s), before)


def test_a_gap_is_bounded(detector):
    after = detector.step(np.array(detector.start), np.array(MAX_EVIDENCE_NATS), 1e6)
    assert 0 <= float(after) <= MAX_EVIDENCE_NATS


def test_half_the_frame_rate_gives_the_same_statistic(detector):
    """On capture time: a stream at half the rate has about the same statistic."""
    fast, slow = run(detector, np.full(40, 8.0), 0.1)[-1], run(detector, np.full(20, 8.0), 0.2)[-1]
    assert fast == pytest.approx(slow, rel=1e-6)


@pytest.mark.parametrize("per_hour", [6.0, 20.0])
def test_false_alarms_on_fresh_clean_frames_are_as_stated(detector, per_hour):
    """Calibrated on 4 hours of dependent clean values, judged on 24 fresh hours of the same kind."""
    hours = 24
    clean, fresh = ar1(4 * 18_000, seed=1), ar1((18_000, hours), seed=2)
    ref = reference(clean)
    index = block_indices(np.zeros(len(clean), np.int64), 50, 18_000, 40, seed=0)
    bootstrapped = run_detector(detector, evidence_nats(clean, ref)[index], DT_S)
    threshold = threshold_for(window_maxima(bootstrapped, DT_S), per_hour, 40)
    statistic = run_detector(detector, evidence_nats(fresh.ravel(), ref).reshape(fresh.shape), DT_S)
    rate = alarms_per_hour(window_maxima(statistic, DT_S), threshold, hours)
    assert per_hour / 3 <= rate <= 3 * per_hour


def test_shuffled_frames_would_alarm_too_often(detector):
    """Why the bootstrap uses blocks: thresholds of independent draws alarm far more often than stated."""
    clean, fresh = ar1(36_000, seed=1), ar1((18_000, 12), seed=2)
    ref = reference(clean)
    index = block_indices(np.zeros(len(clean), np.int64), 1, 18_000, 40, seed=0)
    bootstrapped = run_detector(detector, evidence_nats(clean, ref)[index], DT_S)
    threshold = threshold_for(window_maxima(bootstrapped, DT_S), 6.0, 40)
    statistic = run_detector(detector, evidence_nats(fresh.ravel(), ref).reshape(fresh.shape), DT_S)
    assert alarms_per_hour(window_maxima(statistic, DT_S), threshold, 12) > 3 * 6.0
