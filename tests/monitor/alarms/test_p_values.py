from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.stats import binom

from gradwatch.monitor.alarms.p_values import MAX_EVIDENCE_NATS, MAX_REFERENCE, evidence_nats, p_value, reference

finite = st.floats(-1e6, 1e6)
cleans = hnp.arrays(np.float64, st.integers(1, 200), elements=finite)


@pytest.mark.parametrize("share", [0.01, 0.05, 0.2, 0.5])
@pytest.mark.parametrize("draw", ["normal", "standard_cauchy", "exponential"])
def test_p_values_are_super_uniform_on_fresh_exchangeable_values(draw, share):
    """P(p <= a) <= a over calibration and test together: one fresh value for each of 4000 references."""
    generator = np.random.default_rng(5)
    trials, size = 4000, 99
    drawn = getattr(generator, draw)(size=(trials, size + 1))
    p = np.array([p_value(row[-1:], reference(row[:-1]))[0] for row in drawn])
    hits = int((p <= share + 1e-12).sum())
    assert hits <= binom.ppf(0.9999, trials, share)
    assert hits >= binom.ppf(0.0001, trials, share)  # and at (n + 1) a whole it is exact, not just safe


def test_p_values_of_tied_values_stay_safe():
    generator = np.random.default_rng(6)
    drawn = generator.integers(0, 4, size=(2000, 60)).astype(float)
    p = np.array([p_value(row[-1:], reference(row[:-1]))[0] for row in drawn])
    for share in (0.1, 0.3, 0.6):
        assert (p <= share).sum() <= binom.ppf(0.9999, len(p), share)


def test_the_definition_on_four_values():
    ref = reference(np.array([3.0, 1.0, 2.0, 4.0]))
    np.testing.assert_allclose(p_value(np.array([0.0, 1.0, 2.5, 4.0, 9.0]), ref), [1.0, 1.0, 0.6, 0.4, 0.2])


@given(cleans, hnp.arrays(np.float64, st.integers(0, 20), elements=finite))
@settings(max_examples=100, deadline=None)
def test_bounds_whatever_the_values(clean, x):
    ref = reference(clean)
    p, nats = p_value(x, ref), evidence_nats(x, ref)
    assert p.shape == nats.shape == x.shape
    assert ((p > 0) & (p <= 1)).all()
    assert np.isfinite(nats).all()
    assert ((nats >= 0) & (nats <= MAX_EVIDENCE_NATS)).all()


@given(cleans, hnp.arrays(np.float64, 20, elements=finite))
@settings(max_examples=100, deadline=None)
def test_evidence_never_falls_with_the_score(clean, x):
    nats = evidence_nats(np.sort(x), reference(clean))
    assert (np.diff(nats) >= -1e-12).all()


def test_evidence_is_continuous_where_the_tail_begins():
    for size in (60, 300, 5000):
        ref = reference(np.random.default_rng(size).normal(size=size))
        below, above = evidence_nats(ref.tail_start + np.array([0.0, 1e-9]), ref)
        assert 0 <= above - below < 0.2


def test_the_tail_extends_beyond_the_largest_clean_value():
    clean = np.random.default_rng(0).normal(size=500)
    ref = reference(clean)
    near, far = evidence_nats(np.array([1.1, 2.0]) * clean.max(), ref)
    floor = np.log(len(clean) + 1)  # where a p-value alone would end
    assert far > near > floor - 1
    assert far > floor + 1
    assert evidence_nats(np.array([1e9]), ref)[0] == MAX_EVIDENCE_NATS


def test_evidence_of_an_exponential_tail_is_its_logarithm():
    clean = np.random.default_rng(1).exponential(size=20_000)
    x = np.array([3.5, 5.0, 8.0])
    np.testing.assert_allclose(evidence_nats(x, reference(clean)), x, rtol=0.1)


def test_mean_evidence_of_clean_values_is_about_one_nat():
    generator = np.random.default_rng(2)
    nats = evidence_nats(generator.normal(size=20_000), reference(generator.normal(size=2000)))
    assert 0.85 < nats.mean() < 1.15


def test_equal_clean_values_have_a_finite_tail():
    ref = reference(np.full(100, 7.0))
    assert evidence_nats(np.array([6.0, 7.0, 7.1]), ref).tolist() == pytest.approx(
        [0.0, 0.0, MAX_EVIDENCE_NATS], abs=1e-12
    )


@pytest.mark.parametrize("count", [MAX_REFERENCE + 1, 3 * MAX_REFERENCE + 7, 20 * MAX_REFERENCE])
def test_thinned_references_keep_their_p_values(count):
    clean = np.sort(np.random.default_rng(4).normal(size=count))
    ref = reference(clean)
    assert len(ref.values) == MAX_REFERENCE
    x = np.concatenate([np.linspace(-4, 5, 200), clean[:: count // 500]])
    whole = (1 + count - np.searchsorted(clean, x)) / (count + 1)
    thinned = p_value(x, ref)
    assert (thinned >= whole - 1e-12).all()  # coarser, never less safe
    assert (thinned - whole).max() < 2 / MAX_REFERENCE
