from __future__ import annotations

import pytest

from gradwatch.streams.observability.health import Condition, Health

from ...waiting import StoppedClock


@pytest.fixture
def clock() -> StoppedClock:
    return StoppedClock()


@pytest.fixture
def health(clock: StoppedClock) -> Health:
    return Health(limit_s=30.0, clock=clock)


def lines(checks) -> dict[str, tuple[bool, float, str]]:
    return {check.name: (check.ok, check.age_s, check.reason) for check in checks}


def test_what_has_just_begun_is_healthy_and_not_ready(health: Health, clock: StoppedClock) -> None:
    clock.now_s += 2.0
    assert health.liveness() == []
    assert lines(health.readiness()) == {"start": (False, 2.0, "starting")}


def test_a_thread_at_work_must_give_a_beat_in_time(health: Health, clock: StoppedClock) -> None:
    health.beat("model")
    clock.now_s += 30.0
    assert lines(health.liveness()) == {"model": (True, 30.0, "at work")}
    clock.now_s += 0.5
    expected = "at work without a sign of life for more than 30 s"
    assert lines(health.liveness()) == {"model": (False, 30.5, expected)}
    health.beat("model")
    assert lines(health.liveness()) == {"model": (True, 0.0, "at work")}


def test_one_that_waits_for_work_may_be_silent(health: Health, clock: StoppedClock) -> None:
    health.rest("judge")
    clock.now_s += 3600.0
    assert lines(health.liveness()) == {"judge": (True, 3600.0, "waits for work")}


def test_a_failure_stays_and_shows_no_credential(health: Health, clock: StoppedClock) -> None:
    health.fail("model", "ValueError: {'password': 'hunter2'}")
    clock.now_s += 5.0
    health.beat("model")
    health.rest("model")
    assert lines(health.liveness()) == {"model": (False, 5.0, "ValueError: {'password': ***}")}


def test_a_condition_is_asked_when_somebody_looks(health: Health, clock: StoppedClock) -> None:
    health.require("group", lambda: Condition(clock.now_s >= 110.0, "joined" if clock.now_s >= 110.0 else "not yet"))
    assert lines(health.readiness()) == {"group": (False, 0.0, "not yet")}
    clock.now_s += 4.0
    assert lines(health.readiness()) == {"group": (False, 4.0, "not yet")}
    clock.now_s += 8.0
    assert lines(health.readiness()) == {"group": (True, 0.0, "joined")}
    clock.now_s += 2.0
    assert lines(health.readiness()) == {"group": (True, 2.0, "joined")}
    assert health.liveness() == []


def test_a_condition_that_can_not_be_told_is_not_met(health: Health) -> None:
    def broken() -> Condition:
        raise ConnectionError("kafka://me:hunter2@host is closed")

    health.require("group", broken)
    assert lines(health.readiness()) == {"group": (False, 0.0, "ConnectionError: kafka://***@host is closed")}


def test_what_is_required_anew_replaces_what_was(health: Health) -> None:
    health.require("models", lambda: Condition(False, "loading"))
    health.require("models", lambda: Condition(True, "loaded"))
    assert lines(health.readiness()) == {"models": (True, 0.0, "loaded")}


def test_what_is_not_alive_is_not_ready(health: Health) -> None:
    health.require("models", lambda: Condition(True, "loaded"))
    health.fail("judge", "out of memory")
    assert lines(health.readiness()) == {"judge": (False, 0.0, "out of memory"), "models": (True, 0.0, "loaded")}
