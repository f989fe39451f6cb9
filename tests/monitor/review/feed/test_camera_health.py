"""What lasts of a camera's disturbances, and what has ended without a word."""

from __future__ import annotations

import pytest

from gradwatch.monitor.review.feed.camera_health import MAX_EVENTS, CameraHealth
from gradwatch.streams.wire.messages import Disturbance, DisturbanceState

from ..builders import RAISED_NS, RUN, health_record

NEXT_RUN = "01JE0000000000000000000000"


def lasting(health: CameraHealth) -> list[tuple[str, str]]:
    return [(record.reporter, str(record.disturbance)) for record in health.lasting]


def begun(*disturbances: Disturbance) -> CameraHealth:
    health = CameraHealth()
    for at, disturbance in enumerate(disturbances):
        health.put(health_record(disturbance, since_ns=RAISED_NS + at))
    return health


def test_several_disturbances_of_source_and_worker_last_side_by_side() -> None:
    health = begun(Disturbance.DISCONNECTED, Disturbance.BLACK)
    health.put(health_record(Disturbance.CLOCK_STOPPED, reporter="worker", since_ns=RAISED_NS + 5))
    health.put(health_record(Disturbance.CLOCK_JUMP, DisturbanceState.MOMENT, reporter="worker"))
    health.put(health_record(Disturbance.BLACK, DisturbanceState.END))
    assert lasting(health) == [("worker", "clock_stopped"), ("source", "disconnected")]
    assert [str(event.disturbance) for event in health.events][:2] == ["black", "clock_jump"]


@pytest.mark.parametrize("reporter", ["source", "worker"])
def test_a_new_run_ends_what_its_reporter_said_of_the_last(reporter: str) -> None:
    health = begun(Disturbance.DISCONNECTED)
    health.put(health_record(Disturbance.NO_SIGNAL, reporter="worker"))
    health.put(health_record(Disturbance.GAP, DisturbanceState.MOMENT, NEXT_RUN, reporter=reporter))
    assert [one for one, _ in lasting(health)] == ["worker" if reporter == "source" else "source"]


def test_a_judged_frame_of_a_later_run_ends_what_was_said_before_it() -> None:
    health = begun(Disturbance.DISCONNECTED)
    health.put(health_record(Disturbance.FROZEN, run_id=RUN, at_ns=RAISED_NS + 10))
    health.judged(RUN, RAISED_NS + 100)
    health.judged(NEXT_RUN, RAISED_NS - 1)
    assert len(health.lasting) == 2
    health.judged(NEXT_RUN, RAISED_NS + 5)
    assert lasting(health) == [("source", "frozen")]


def test_nothing_of_a_source_lasts_beyond_its_end() -> None:
    health = begun(Disturbance.DISCONNECTED, Disturbance.FROZEN)
    health.put(health_record(Disturbance.ENDED, DisturbanceState.MOMENT))
    assert lasting(health) == []


def test_the_number_of_events_is_bounded() -> None:
    health = CameraHealth()
    for seq in range(100):
        health.put(health_record(Disturbance.GAP, DisturbanceState.MOMENT, last_seq=seq))
    assert [event.last_seq for event in health.events] == list(range(99, 99 - MAX_EVENTS, -1))
