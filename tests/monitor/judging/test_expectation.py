from __future__ import annotations

import numpy as np
import pytest

from gradwatch.monitor.judging.expectation import Expectations, ExpectationSettings, expected, learn

SETTINGS = ExpectationSettings()
STOP, YIELD = np.eye(3)[0], np.eye(3)[1]


def learned(crops, track=7, side_px=30.0, before=None, alive=None):
    """Expectations after `crops` (n, C) of one track, one a frame."""
    known = before or Expectations.none(3)
    for p in crops:
        alive_now = np.array([track]) if alive is None else np.array(alive)
        known = learn(known, np.array([track]), np.array([side_px]), np.atleast_2d(p), alive_now, SETTINGS)
    return known


def q_of(known, track=7, side_px=30.0):
    return expected(known, np.array([track]), np.array([side_px]), SETTINGS)[0]


def test_expects_nothing_before_the_least_number_of_crops():
    assert np.isnan(q_of(learned([STOP] * 2))).all()
    np.testing.assert_allclose(q_of(learned([STOP] * 3)), STOP)


def test_other_tracks_and_no_track_expect_nothing():
    known = learned([STOP] * 5)
    assert np.isnan(q_of(known, track=8)).all()
    assert np.isnan(q_of(known, track=-1)).all()


def test_small_crops_neither_teach_nor_contradict():
    assert np.isnan(q_of(learned([STOP] * 9, side_px=SETTINGS.learn_side_px - 0.1))).all()
    known = learned([STOP] * 5)
    assert np.isnan(q_of(known, side_px=SETTINGS.judge_side_px - 0.1)).all()
    np.testing.assert_allclose(q_of(learned([STOP] * 9, side_px=SETTINGS.learn_side_px)), STOP)
    np.testing.assert_array_equal(learned([YIELD] * 20, side_px=5.0, before=known).q, known.q)


def test_crops_without_a_track_teach_nothing():
    known = learn(Expectations.none(3), np.array([-1]), np.array([30.0]), STOP[None], np.array([7]), SETTINGS)
    assert len(known.track_id) == 0


def test_the_mean_of_few_equal_sized_crops():
    np.testing.assert_allclose(learned([STOP, STOP, YIELD, STOP]).q[0], [0.75, 0.25, 0])


def test_q_is_a_distribution():
    crops = np.random.default_rng(0).dirichlet(np.ones(3), size=50)
    q = learned(crops).q[0]
    assert q.sum() == pytest.approx(1)
    assert (q >= 0).all()


def test_a_sure_track_is_contradicted_for_seconds_before_it_adapts():
    known = learned([STOP] * 40)
    after = [learned([YIELD] * n, before=known).q[0] for n in range(1, 81)]
    believed = next(n for n, q in enumerate(after, start=1) if q[1] > q[0])
    assert 15 <= believed <= 50  # three seconds at 5 Hz and more
    assert after[-1][1] > 0.95


def test_an_undecided_track_expects_nothing():
    assert np.isnan(q_of(learned([STOP, STOP, YIELD, YIELD]))).all()
    np.testing.assert_allclose(q_of(learned([STOP, STOP, STOP])), STOP)


def test_near_crops_count_more_than_far_ones():
    far_then_near = learned([YIELD], side_px=60.0, before=learned([STOP] * 2, side_px=15.0))
    assert far_then_near.q[0].argmax() == 1
    near_then_far = learned([YIELD] * 3, side_px=15.0, before=learned([STOP] * 3, side_px=60.0))
    assert near_then_far.q[0].argmax() == 0


def test_drops_ended_tracks_and_keeps_unseen_ones():
    known = learned([STOP] * 3, track=1, alive=[1, 2])
    known = learned([YIELD] * 3, track=2, before=known, alive=[1, 2])
    assert sorted(known.track_id) == [1, 2]
    np.testing.assert_allclose(q_of(known, track=1), STOP)
    known = learned([YIELD], track=2, before=known, alive=[2])
    assert known.track_id.tolist() == [2]
    nothing = np.empty(0)
    gone = learn(known, nothing.astype(np.int64), nothing, np.empty((0, 3)), nothing.astype(np.int64), SETTINGS)
    assert (len(gone.track_id), gone.q.shape) == (0, (0, 3))


def test_no_crops_are_legal():
    nothing = np.empty(0)
    assert expected(Expectations.none(3), nothing.astype(np.int64), nothing, SETTINGS).shape == (0, 3)


def test_arguments_are_not_changed():
    known = learned([STOP] * 4)
    before = known.q.copy()
    learned([YIELD] * 4, before=known)
    np.testing.assert_array_equal(known.q, before)
