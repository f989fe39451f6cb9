from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gradwatch.monitor.alarms.change import CHANGE_DETECTORS
from gradwatch.monitor.alarms.false_alarms import (
    alarms_per_hour,
    block_indices,
    extrapolated_threshold,
    run_detector,
    sustained,
    threshold_for,
    window_maxima,
)


def segments(*lengths):
    return np.repeat(np.arange(len(lengths)), lengths)


@given(st.lists(st.integers(1, 40), min_size=1, max_size=6), st.integers(1, 25), st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_a_block_never_crosses_a_segment(lengths, block, seed):
    segment = segments(*lengths)
    index = block_indices(segment, block, 3 * block + 1, 7, seed)
    assert index.shape == (3 * block + 1, 7)
    assert index.min() >= 0
    assert index.max() < len(segment)
    for start in range(0, len(index), block):
        rows = index[start : start + block]
        assert (segment[rows] == segment[rows[0]]).all()
        step = np.diff(rows, axis=0)
        repeats_its_last = np.append(np.diff(segment), 1)[rows[:-1]] != 0
        assert ((step == 1) | ((step == 0) & repeats_its_last)).all()


def test_blocks_start_everywhere_and_repeat_by_seed():
    segment = segments(50, 30)
    index = block_indices(segment, 10, 10, 5000, seed=1)
    assert set(index[0].tolist()) == {*range(41), *range(50, 71)}
    np.testing.assert_array_equal(index, block_indices(segment, 10, 10, 5000, seed=1))
    assert (index != block_indices(segment, 10, 10, 5000, seed=2)).any()


def test_a_short_segment_repeats_its_last_frame():
    np.testing.assert_array_equal(block_indices(segments(3), 5, 5, 1, seed=0)[:, 0], [0, 1, 2, 2, 2])


def test_window_maxima_by_hand():
    statistic = np.array([1.0, 5.0, 2.0, 3.0, 9.0, 0.0, 7.0])  # windows of 10 s hold two frames; a rest is left out
    np.testing.assert_array_equal(window_maxima(statistic, 5.0), [5.0, 3.0, 9.0])
    assert window_maxima(np.zeros((8, 4, 3)), 5.0).shape == (4, 4, 3)


def test_neighboring_windows_are_one_alarm():
    maxima = np.array([[0, 2], [2, 2], [2, 0], [0, 0], [2, 2]], dtype=float)
    assert alarms_per_hour(maxima, 1.0, hours=1.0) == 4
    assert alarms_per_hour(maxima, 1.0, hours=2.0) == 2
    assert alarms_per_hour(maxima, 2.5, hours=1.0) == 0


@given(
    hnp.arrays(np.float64, st.tuples(st.integers(1, 30), st.integers(1, 4)), elements=st.integers(0, 9).map(float)),
    st.floats(0.1, 20.0),
    st.sampled_from([0.5, 1.0, 4.0]),
)
@settings(max_examples=120, deadline=None)
def test_a_threshold_gives_at_most_the_asked_rate(maxima, per_hour, hours):
    assert alarms_per_hour(maxima, threshold_for(maxima, per_hour, hours), hours) <= per_hour


def test_a_threshold_is_no_higher_than_it_must_be():
    maxima = np.random.default_rng(0).exponential(size=(360, 40))
    threshold = threshold_for(maxima, 5.0, 40)
    assert 4.8 <= alarms_per_hour(maxima, threshold, 40) <= 5.0


@pytest.mark.parametrize("per_hour", [1e-3, 1.0, 20.0, 90.0])
def test_constant_maxima_never_alarm(per_hour):
    maxima = np.full((360, 3), 2.0)
    assert threshold_for(maxima, per_hour, 3.0) > 2.0


@pytest.mark.parametrize("per_hour", [0.5, 1.0, 5.0])
def test_a_score_that_mostly_rests_has_its_threshold_above_its_resting_value(per_hour):
    """An endless alarm is no low rate: the score of a rare object must not alarm by being absent."""
    generator = np.random.default_rng(5)
    maxima = np.where(generator.random((360, 40)) < 0.05, 1 + generator.exponential(3.0, (360, 40)), 1.0)
    threshold = threshold_for(maxima, per_hour, 40)
    assert threshold > 1
    assert 0.8 * per_hour <= alarms_per_hour(maxima, threshold, 40) <= per_hour


def test_a_threshold_is_exceeded_by_at_most_half_of_the_windows():
    """Where few windows lie below the resting value, all others joined would count as few alarms."""
    generator = np.random.default_rng(6)
    maxima = generator.choice([0.5, 1.0, 4.0], p=[0.05, 0.9, 0.05], size=(360, 40))
    assert alarms_per_hour(maxima, 1.0, 40) < 90  # the trap
    assert threshold_for(maxima, 90.0, 40) > 1


def test_supported_rates_are_not_extrapolated():
    maxima = np.random.default_rng(1).exponential(size=(360, 40))
    assert extrapolated_threshold(maxima, 5.0, 5.0, 40) == threshold_for(maxima, 5.0, 40)


@pytest.mark.parametrize("minutes", [3, 10])
def test_extrapolation_follows_an_exponential_tail(minutes):
    """Maxima with P(> x) = exp(-x) have thresholds ln(360 / rate); so few data show the rate only up to theirs."""
    supported = 60 / minutes
    generator = np.random.default_rng(2)
    few = generator.exponential(size=6 * minutes)
    bootstrapped = generator.choice(few, size=(360, 40))
    threshold = extrapolated_threshold(bootstrapped, 1.0, supported, 40)
    assert threshold >= threshold_for(bootstrapped, supported, 40)
    assert np.log(360) - 2 < threshold < np.log(360) + 4


def test_rarer_alarms_need_higher_thresholds():
    maxima = np.random.default_rng(3).exponential(size=(360, 40))
    thresholds = [extrapolated_threshold(maxima, rate, 20.0, 40) for rate in (20.0, 5.0, 1.0, 0.1, 0.01)]
    assert (np.diff(thresholds) > 0).all()


def test_statistics_are_the_detectors_steps():
    detector = CHANGE_DETECTORS["ewma"]
    rows = np.random.default_rng(4).exponential(size=(20, 3))
    statistic = np.full(3, detector.start)
    for row, expected in zip(rows, run_detector(detector, rows, 0.2), strict=True):
        statistic = detector.step(statistic, row, 0.2)
        np.testing.assert_array_equal(statistic, expected)


def test_sustained_is_the_lowest_value_of_the_last_moments():
    statistic = np.array([0.0, 5.0, 0.0, 3.0, 4.0, 6.0, 5.0])
    np.testing.assert_array_equal(sustained(statistic, 0.4, 0.2), [0, 0, 0, 0, 0, 3, 4])
    np.testing.assert_array_equal(sustained(statistic, 0.0, 0.2), statistic)
