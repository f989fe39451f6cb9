from __future__ import annotations

import random

import numpy as np

from gradwatch.streams.cameras.backoff import FIRST_S, LONGEST_S, STEADY_S, Backoff
from gradwatch.streams.wire.messages import Disturbance

LOST = Disturbance.DISCONNECTED


def test_bounds_double_up_to_the_longest_and_pauses_are_uniform_below() -> None:
    pauses = []
    for seed in range(2000):
        backoff = Backoff(random.Random(seed))
        pauses.append([backoff.pause_s(LOST, 0.0) for _ in range(9)])
    bounds = np.minimum(FIRST_S * 2.0 ** np.arange(9), LONGEST_S)
    shares = np.array(pauses) / bounds
    assert shares.min() >= 0
    assert shares.max() <= 1
    assert abs(shares.mean(axis=0) - 0.5).max() < 0.03
    assert abs(np.quantile(shares, 0.9, axis=0) - 0.9).max() < 0.03


def test_only_a_lasting_connection_resets_the_back_off() -> None:
    backoff = Backoff(random.Random(0))
    for _ in range(10):
        backoff.pause_s(LOST, STEADY_S - 1)
    assert backoff.failures == 10
    assert backoff.pause_s(LOST, STEADY_S) <= FIRST_S
    assert backoff.failures == 1


def test_refused_credentials_are_rarely_retried() -> None:
    assert Backoff(random.Random(0)).pause_s(Disturbance.UNAUTHORIZED, 0.0) == LONGEST_S


def test_a_million_failures_do_not_overflow() -> None:
    assert Backoff(random.Random(0), failures=1_000_000).pause_s(LOST, 0.0) <= LONGEST_S
