"""Guessing is slow from anywhere, and makes nobody else wait."""

from __future__ import annotations

import pytest

from gradwatch.monitor.review.store.login_limits import DEVICE_LIMIT_S, LoginLimits

from ....waiting import StoppedClock


@pytest.fixture
def clock() -> StoppedClock:
    return StoppedClock()


@pytest.fixture
def limits(clock: StoppedClock) -> LoginLimits:
    return LoginLimits(clock)


def guesses(limits: LoginLimits, clock: StoppedClock, addresses: list[str], seconds: int) -> int:
    """How many wrong passwords these addresses get to try for ada."""
    tried = 0
    for _ in range(seconds):
        tried += sum(limits.attempt(address, "ada") == 0 for address in addresses)
        clock.now_s += 1.0
    return tried


def test_wrong_passwords_are_slowed_and_forgiven(limits: LoginLimits, clock: StoppedClock) -> None:
    assert guesses(limits, clock, ["192.0.2.7"], 300) < 20
    assert limits.attempt("192.0.2.7", "bob") > 0
    clock.now_s += 7200.0
    assert limits.attempt("192.0.2.7", "ada") == 0


def test_many_addresses_lock_nobody_out(limits: LoginLimits, clock: StoppedClock) -> None:
    addresses = [f"198.51.100.{n}" for n in range(25)]
    assert guesses(limits, clock, addresses, 600) < 25 * 20
    assert limits.attempt("192.0.2.7", "ada") == 0  # from an address of which nobody has guessed ...
    assert 0 < limits.attempt("192.0.2.7", "ada") < 5.0  # ... and a mistyped password is a matter of seconds
    assert limits.attempt("198.51.100.1", "ada") > 5.0


def test_a_known_browser_does_not_wait_for_its_neighbors(limits: LoginLimits, clock: StoppedClock) -> None:
    guesses(limits, clock, ["192.0.2.7"], 600)
    assert limits.attempt("192.0.2.7", "ada", "browser") == 0
    limits.succeeded("192.0.2.7", "ada", "browser")
    for _ in range(1000):
        limits.attempt("192.0.2.7", "ada", "browser")
    assert 0 < limits.attempt("192.0.2.7", "ada", "browser") <= DEVICE_LIMIT_S


def test_new_addresses_have_one_guess_while_many_guess(limits: LoginLimits, clock: StoppedClock) -> None:
    guesses(limits, clock, [f"198.51.100.{n}" for n in range(25)], 10)
    assert guesses(limits, clock, [f"203.0.113.{n}" for n in range(100)], 1) == 100
    clock.now_s -= 0.5
    assert guesses(limits, clock, [f"203.0.113.{n}" for n in range(100)], 1) == 0


def test_right_passwords_do_not_count(limits: LoginLimits) -> None:
    for _ in range(100):
        assert limits.attempt("192.0.2.7", "ada") == 0
        limits.succeeded("192.0.2.7", "ada")
