"""Reviewers' corrections: when they apply, and that they suppress contradictions and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from gradwatch.monitor.judging.corrections import (
    LEAD_FRAMES,
    Schedule,
    carry_over,
    override_labels,
    points_inside,
    schedule,
    suppressed,
)
from gradwatch.monitor.judging.corrections import ScheduledCorrection as Scheduled
from gradwatch.monitor.worker.stored_state import dump, load
from gradwatch.streams.wire.messages import ClassOverride, RegionMute

RUN = "01JD0000000000000000000000"
SQUARE = [(10.0, 10.0), (50.0, 10.0), (50.0, 50.0), (10.0, 50.0)]
OVERRIDE = ClassOverride("v1", "north", "ada", 1000, RUN, track_id=7, label="yield")
MUTE = RegionMute("v2", "north", "ada", 2000, SQUARE, ["sign"])
NONE = np.empty(0, np.int64)


def box(x: float, y: float) -> list[float]:
    return [x - 2, y - 3, x + 2, y + 3]


# --- the schedule ------------------------------------------------------------------------------------------


def test_a_correction_applies_some_frames_after_it_arrived_and_keeps_its_seq() -> None:
    first = schedule((), [MUTE], RUN, 40)
    assert first == (Scheduled(MUTE, 40 + LEAD_FRAMES),)
    second = schedule(first, [OVERRIDE, MUTE], RUN, 55)
    assert second == (Scheduled(MUTE, 40 + LEAD_FRAMES), Scheduled(OVERRIDE, 55 + LEAD_FRAMES))
    assert schedule(second, [MUTE, OVERRIDE], RUN, 70) == second


def test_one_that_was_withdrawn_or_changed_applies_some_frames_longer() -> None:
    both = schedule((), [MUTE, OVERRIDE], RUN, 0)
    changed = replace(MUTE, object_kinds=[])
    after = schedule(both, [changed], RUN, 100)
    assert after == (
        Scheduled(MUTE, LEAD_FRAMES, 100 + LEAD_FRAMES),
        Scheduled(OVERRIDE, LEAD_FRAMES, 100 + LEAD_FRAMES),
        Scheduled(changed, 100 + LEAD_FRAMES),
    )
    assert schedule(after, [changed], RUN, 99 + LEAD_FRAMES) == after
    assert schedule(after, [changed], RUN, 100 + LEAD_FRAMES) == (Scheduled(changed, 100 + LEAD_FRAMES),)


def test_one_that_was_withdrawn_at_once_never_applies() -> None:
    (entry,) = schedule(schedule((), [MUTE], RUN, 10), [], RUN, 10)
    assert not any(entry.applies_at(seq) for seq in range(200))


def test_overrides_belong_to_one_run_and_mutes_carry_over() -> None:
    assert [entry.correction for entry in schedule((), [OVERRIDE, MUTE], "another", 3)] == [MUTE]
    scheduled = (
        Scheduled(OVERRIDE, 55),
        Scheduled(MUTE, 40),
        Scheduled(MUTE, 90, 95),
        Scheduled(MUTE, 10, 60),
    )
    assert carry_over(scheduled, 70) == (Scheduled(MUTE, 0), Scheduled(MUTE, 20, 25))


def test_a_scheduled_correction_is_read_back_as_it_was() -> None:
    for entry in (Scheduled(OVERRIDE, 55), Scheduled(MUTE, 40)):
        assert load(dump(entry), Scheduled) == entry


@settings(deadline=None)
@given(
    comes=st.integers(0, 150),
    goes=st.integers(0, 150),
    crash=st.integers(0, 200),
    lag=st.integers(0, 2 * LEAD_FRAMES),
    there=st.integers(0, 40),
)
def test_frames_judged_again_are_suppressed_equally(comes: int, goes: int, crash: int, lag: int, there: int) -> None:
    """A worker ends after the frame `crash`; its last stored state is `lag` frames old, and `there` more had arrived.

    Where it judged under a correction, or after one that had ended, the state that says so was stored before.
    """

    def judged(state: Schedule, begin: int, first_new: int, all_known: bool) -> list:
        results = []
        for seq in range(begin, 260):
            if seq >= first_new:
                known = [MUTE] if all_known or comes <= seq < goes else []
                state = schedule(state, known, RUN, seq)
            results.append((suppressed(state, seq, 0, "sign", np.array([3]), np.array([box(30, 30)])).all(), state))
        return results

    reported = judged((), 0, 0, all_known=False)
    resumed = max([crash + 1 - lag, 0, *(seq + 1 for seq in (comes, goes) if seq + LEAD_FRAMES <= crash)])
    state = reported[resumed - 1][1] if resumed else ()
    for all_known in (True, False):  # whatever the next worker knows by then
        again = judged(state, resumed, crash + 1 + there, all_known)
        assert [mute for mute, _ in again][: crash + 1 - resumed] == [mute for mute, _ in reported[resumed : crash + 1]]


# --- the effect ------------------------------------------------------------------------------------------------------


def test_an_overridden_track_contradicts_nothing() -> None:
    scheduled = (Scheduled(OVERRIDE, 55),)
    tracks, boxes = np.array([6, 7, -1, 7]), np.array([box(5, 5)] * 4)
    assert suppressed(scheduled, 55, 0, "sign", tracks, boxes).tolist() == [False, True, False, True]
    assert not suppressed(scheduled, 54, 0, "sign", tracks, boxes).any()


def test_a_muted_region_selects_by_centers_and_kinds() -> None:
    scheduled = (Scheduled(MUTE, 10),)
    tracks, boxes = np.array([1, 2, 3]), np.array([box(30, 30), box(52, 30), box(10, 10)])
    assert suppressed(scheduled, 10, 0, "sign", tracks, boxes).tolist() == [True, False, True]
    assert not suppressed(scheduled, 10, 0, "pedestrian", tracks, boxes).any()
    assert not suppressed(scheduled, 9, 0, "sign", tracks, boxes).any()
    everything = (Scheduled(replace(MUTE, object_kinds=[]), 10),)
    assert suppressed(everything, 10, 0, "pedestrian", tracks, boxes).tolist() == [True, False, True]


def test_a_mute_ends_with_its_time() -> None:
    scheduled = (Scheduled(replace(MUTE, until_ns=500), 0),)
    at = [
        suppressed(scheduled, 1, time_ns, "sign", np.array([1]), np.array([box(30, 30)]))[0] for time_ns in (500, 501)
    ]
    assert at == [True, False]


def test_no_crops_give_an_empty_mask() -> None:
    assert suppressed((), 0, 0, "sign", NONE, np.empty((0, 4))).shape == (0,)
    assert suppressed((Scheduled(MUTE, 0), Scheduled(OVERRIDE, 0)), 9, 0, "sign", NONE, np.empty((0, 4))).shape == (0,)


def test_the_latest_override_of_a_track_wins() -> None:
    later = replace(OVERRIDE, verdict_id="v0", created_ns=3000, label="stop")
    scheduled = (Scheduled(later, 60), Scheduled(OVERRIDE, 55))
    assert override_labels(scheduled, 54) == {}
    assert override_labels(scheduled, 55) == {7: "yield"}
    assert override_labels(scheduled, 60) == {7: "stop"}
    assert override_labels((Scheduled(replace(OVERRIDE, label="ignore"), 0),), 0) == {7: ""}


@pytest.mark.parametrize("polygon", [[], [(0, 0)], [(0, 0), (9, 9)], [(0, 0), (9, float("nan")), (9, 9)]])
def test_a_polygon_of_too_few_or_non_finite_points_contains_nothing(polygon: list[tuple[float, float]]) -> None:
    assert not points_inside(polygon, np.array([[0.0, 0.0], [5.0, 5.0]])).any()


def test_non_finite_points_are_outside() -> None:
    assert points_inside(SQUARE, np.array([[np.nan, 20.0], [20.0, np.inf], [20.0, 20.0]])).tolist() == [
        False,
        False,
        True,
    ]
