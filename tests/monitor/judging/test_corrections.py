"""What reviewers have decided, and what it changes: contradictions alone, from the seq that is recorded."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from gradwatch.monitor.judging.corrections import (
    LEAD,
    MOST_VERDICTS,
    InForce,
    VerdictBook,
    adopt,
    inside,
    of_new_run,
    overridden,
    silenced,
)
from gradwatch.monitor.judging.state import dump, load
from gradwatch.streams.wire.messages import ClassOverride, Correction, RegionMute
from gradwatch.streams.wire.outputs import encode_correction
from gradwatch.streams.wire.records import Record

RUN = "01JD0000000000000000000000"
SQUARE = [(10.0, 10.0), (50.0, 10.0), (50.0, 50.0), (10.0, 50.0)]
OVERRIDE = ClassOverride("v1", "north", "ada", 1000, RUN, track_id=7, label="yield")
MUTE = RegionMute("v2", "north", "ada", 2000, SQUARE, ["sign"])
NONE = np.empty(0, np.int64)


def box(x: float, y: float) -> list[float]:
    return [x - 2, y - 3, x + 2, y + 3]


def record(verdict: Correction | None, key: str = "", value: bytes | None = None) -> Record:
    if verdict is not None:
        key, value = f"{verdict.stream_id}/{verdict.verdict_id}", encode_correction(verdict)
    return Record("gradwatch.verdicts", 0, 0, 0, key.encode(), value)


# --- the topic -------------------------------------------------------------------------------------------------------


def test_of_one_key_the_last_record_counts() -> None:
    book = VerdictBook()
    for verdict in (OVERRIDE, MUTE, replace(OVERRIDE, label="stop"), replace(MUTE, stream_id="south")):
        book.take(record(verdict))
    assert [one.verdict_id for one in book.of("north")] == ["v2", "v1"]
    assert book.of("north")[1] == replace(OVERRIDE, label="stop")
    book.take(record(None, "north/v1"))
    assert book.of("north") == (MUTE,)
    book.take(record(None, "north/v2"))
    book.take(record(None, "north/v2"))
    assert (book.of("north"), book.of("nobody"), book.refused) == ((), (), 0)
    assert len(book.of("south")) == 1


@pytest.mark.parametrize(
    ("key", "value"),
    [("north/v1", b"no verdict"), ("south/v1", encode_correction(OVERRIDE)), ("north/v9", encode_correction(OVERRIDE))],
)
def test_what_is_no_verdict_of_its_key_changes_nothing(key: str, value: bytes) -> None:
    book = VerdictBook()
    book.take(record(MUTE))
    book.take(record(None, key, value))
    assert (book.of("north"), book.of("south"), book.refused) == ((MUTE,), (), 1)


def test_verdicts_of_a_stream_have_a_bound() -> None:
    book = VerdictBook()
    for number in range(MOST_VERDICTS + 5):
        book.take(record(replace(OVERRIDE, verdict_id=f"v{number}")))
    assert len(book.of("north")) == MOST_VERDICTS
    assert book.of("north")[-1].verdict_id == f"v{MOST_VERDICTS + 4}"


# --- what the state records ------------------------------------------------------------------------------------------


def test_a_verdict_is_in_force_some_frames_after_it_came_and_keeps_its_seq() -> None:
    first = adopt((), [MUTE], RUN, 40)
    assert first == (InForce(MUTE, 40 + LEAD),)
    second = adopt(first, [OVERRIDE, MUTE], RUN, 55)
    assert second == (InForce(MUTE, 40 + LEAD), InForce(OVERRIDE, 55 + LEAD))
    assert adopt(second, [MUTE, OVERRIDE], RUN, 70) == second


def test_one_that_was_taken_back_or_changed_holds_some_frames_longer() -> None:
    both = adopt((), [MUTE, OVERRIDE], RUN, 0)
    changed = replace(MUTE, object_kinds=[])
    after = adopt(both, [changed], RUN, 100)
    assert after == (InForce(MUTE, LEAD, 100 + LEAD), InForce(OVERRIDE, LEAD, 100 + LEAD), InForce(changed, 100 + LEAD))
    assert adopt(after, [changed], RUN, 99 + LEAD) == after
    assert adopt(after, [changed], RUN, 100 + LEAD) == (InForce(changed, 100 + LEAD),)


def test_one_that_came_and_went_at_once_is_never_in_force() -> None:
    (entry,) = adopt(adopt((), [MUTE], RUN, 10), [], RUN, 10)
    assert not any(entry.holds(seq) for seq in range(200))


def test_an_override_is_of_one_run_a_mute_of_all() -> None:
    assert [entry.verdict for entry in adopt((), [OVERRIDE, MUTE], "another", 3)] == [MUTE]
    recorded = (InForce(OVERRIDE, 55), InForce(MUTE, 40), InForce(MUTE, 90, 95), InForce(MUTE, 10, 60))
    assert of_new_run(recorded, 70) == (InForce(MUTE, 0), InForce(MUTE, 20, 25))


def test_what_is_recorded_survives_a_restart() -> None:
    for entry in (InForce(OVERRIDE, 55), InForce(MUTE, 40)):
        assert load(dump(entry), InForce) == entry


@settings(deadline=None)
@given(
    comes=st.integers(0, 150),
    goes=st.integers(0, 150),
    crash=st.integers(0, 200),
    lag=st.integers(0, 2 * LEAD),
    there=st.integers(0, 40),
)
def test_frames_judged_again_say_the_same(comes: int, goes: int, crash: int, lag: int, there: int) -> None:
    """A worker ends after the frame `crash`; its last stored state is `lag` frames old, and `there` more had come.

    Where it judged under a verdict, or after one that had ended, the state that said so was stored before.
    """

    def judged(state: tuple[InForce, ...], begin: int, adopts_from: int, all_known: bool) -> list:
        said = []
        for seq in range(begin, 260):
            if seq >= adopts_from:
                known = [MUTE] if all_known or comes <= seq < goes else []
                state = adopt(state, known, RUN, seq)
            said.append((silenced(state, seq, 0, "sign", np.array([3]), np.array([box(30, 30)])).all(), state))
        return said

    reported = judged((), 0, 0, all_known=False)
    resumed = max([crash + 1 - lag, 0, *(seq + 1 for seq in (comes, goes) if seq + LEAD <= crash)])
    state = reported[resumed - 1][1] if resumed else ()
    for all_known in (True, False):  # whatever the next worker knows by then
        again = judged(state, resumed, crash + 1 + there, all_known)
        assert [mute for mute, _ in again][: crash + 1 - resumed] == [mute for mute, _ in reported[resumed : crash + 1]]


# --- what it changes -------------------------------------------------------------------------------------------------


def test_an_overridden_track_contradicts_nothing() -> None:
    recorded = (InForce(OVERRIDE, 55),)
    tracks, boxes = np.array([6, 7, -1, 7]), np.array([box(5, 5)] * 4)
    assert silenced(recorded, 55, 0, "sign", tracks, boxes).tolist() == [False, True, False, True]
    assert not silenced(recorded, 54, 0, "sign", tracks, boxes).any()


def test_a_muted_region_goes_by_centers_and_kinds() -> None:
    recorded = (InForce(MUTE, 10),)
    tracks, boxes = np.array([1, 2, 3]), np.array([box(30, 30), box(52, 30), box(10, 10)])
    assert silenced(recorded, 10, 0, "sign", tracks, boxes).tolist() == [True, False, True]
    assert not silenced(recorded, 10, 0, "pedestrian", tracks, boxes).any()
    assert not silenced(recorded, 9, 0, "sign", tracks, boxes).any()
    everything = (InForce(replace(MUTE, object_kinds=[]), 10),)
    assert silenced(everything, 10, 0, "pedestrian", tracks, boxes).tolist() == [True, False, True]


def test_a_mute_ends_with_its_time() -> None:
    recorded = (InForce(replace(MUTE, until_ns=500), 0),)
    at = [silenced(recorded, 1, time_ns, "sign", np.array([1]), np.array([box(30, 30)]))[0] for time_ns in (500, 501)]
    assert at == [True, False]


def test_nothing_in_nothing_out() -> None:
    assert silenced((), 0, 0, "sign", NONE, np.empty((0, 4))).shape == (0,)
    assert silenced((InForce(MUTE, 0), InForce(OVERRIDE, 0)), 9, 0, "sign", NONE, np.empty((0, 4))).shape == (0,)


def test_the_last_word_on_a_track_counts() -> None:
    later = replace(OVERRIDE, verdict_id="v0", created_ns=3000, label="stop")
    recorded = (InForce(later, 60), InForce(OVERRIDE, 55))
    assert overridden(recorded, 54) == {}
    assert overridden(recorded, 55) == {7: "yield"}
    assert overridden(recorded, 60) == {7: "stop"}
    assert overridden((InForce(replace(OVERRIDE, label="ignore"), 0),), 0) == {7: ""}


@pytest.mark.parametrize("polygon", [[], [(0, 0)], [(0, 0), (9, 9)], [(0, 0), (9, float("nan")), (9, 9)]])
def test_what_is_no_region_holds_nothing(polygon: list[tuple[float, float]]) -> None:
    assert not inside(polygon, np.array([[0.0, 0.0], [5.0, 5.0]])).any()


def test_points_that_are_not_finite_lie_nowhere() -> None:
    assert inside(SQUARE, np.array([[np.nan, 20.0], [20.0, np.inf], [20.0, 20.0]])).tolist() == [False, False, True]
