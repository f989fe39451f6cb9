"""What lies in the state topic: written, found again, and refused where it does not fit."""

from __future__ import annotations

import msgspec
import pytest
from msgspec.structs import replace

from gradwatch.monitor.alarms.calibration import AlarmBudget, CleanFrame, Origin, calibrate
from gradwatch.monitor.alarms.policy import Policy
from gradwatch.monitor.judging.state import JudgeState
from gradwatch.monitor.worker.stored_state import (
    CHUNK,
    FORMAT,
    NO_RUN,
    Shelf,
    StoredState,
    dump,
    found_in,
    parts,
    resumed,
)
from gradwatch.streams.wire.messages import AlertKind

from ...builders import closed_form

SHIFT = AlertKind.DISTRIBUTION_SHIFT
MADE_BY = ("models", "configuration")


@pytest.fixture(scope="module")
def clean(observations):
    return tuple(CleanFrame(i * 10**9, o, {"msp": closed_form([i])}) for i, o in enumerate(observations(110, seed=0)))


def calibration_of(clean, source="town", models_id="models"):
    origin = Origin(source, models_id, "configuration", 960, 540)
    policy = {SHIFT: Policy(("image_statistics",), "ewma")}
    return calibrate(clean, origin, policy, AlarmBudget(bootstrap_hours=1))


@pytest.fixture(scope="module")
def calibration(clean):
    return calibration_of(clean)


def stored(state):
    bound = state.calibration.calibration_id if state.calibration else ""
    return StoredState(41, 99, *MADE_BY, bound, len(state.clean), state)


def written(state, shelf=None, given_id=""):
    """The topic's values once `state` is stored."""
    records, after = parts(stored(state), shelf or Shelf(), given_id)
    return {part.key: part.value for part in records}, after


def found(values):
    (only,) = found_in(values)
    return only


def test_a_calibrated_state_comes_back_and_its_calibration_is_written_once(calibration):
    state = JudgeState("town", "run", next_seq=7, change={"msp": 1 / 3}, calibration=calibration)
    values, shelf = written(state)
    assert sorted(values) == ["town", "town/calibration"]
    assert len(values["town"]) < 2000  # it stays small
    back = found(values)
    assert (back.stored.next_offset, back.stored.version, back.problem) == (41, 99, "")
    state_back, refused = resumed(back, None, *MADE_BY)
    assert refused == ""
    assert dump(state_back) == dump(state)
    again, _ = written(state, shelf)
    assert sorted(again) == ["town"]
    assert back.shelf == shelf


def test_gathered_frames_come_back_bit_for_bit_and_make_the_equal_calibration(clean, calibration):
    values, shelf = written(JudgeState("town", "run", clean=clean[:70]))
    more, shelf = written(JudgeState("town", "run", clean=clean), shelf)
    values |= more
    assert len(more) == 1 + len(clean) // CHUNK + 1 - 70 // CHUNK
    assert max(map(len, values.values())) < 100_000
    state, refused = resumed(found(values), None, *MADE_BY)
    assert refused == ""
    assert dump(state) == dump(JudgeState("town", "run", clean=clean))
    assert dump(calibration_of(state.clean)) == dump(calibration)
    assert shelf.chunks.keys() == values.keys() - {"town"}


def test_chunks_may_be_ahead_of_the_state_but_not_behind(clean):
    values, _ = written(JudgeState("town", "run", clean=clean[:20]))
    ahead, _ = written(JudgeState("town", "run", clean=clean[:23]))
    state, refused = resumed(found(ahead | {"town": values["town"]}), None, *MADE_BY)
    assert (len(state.clean), refused) == (20, "")
    state, refused = resumed(found(values | {"town": ahead["town"]}), None, *MADE_BY)
    assert (state.clean, state.run_id, refused) == ((), NO_RUN, "clean_frames")
    del values["town/clean/run/1"]
    assert resumed(found(values), None, *MADE_BY)[1] == "clean_frames"


def test_chunks_of_another_run_are_known_only_to_be_removed(clean):
    values, old = written(JudgeState("town", "before", clean=clean[:9]))
    more, _ = written(JudgeState("town", "run", clean=clean[:3]))
    back = found(values | more)
    assert [frame.capture_ns for frame in back.stored.state.clean] == [0, 10**9, 2 * 10**9]
    assert set(old.chunks) < set(back.shelf.chunks)


@pytest.mark.parametrize(
    ("made_by", "cause"), [(("other", "configuration"), "models"), (("models", "other"), "configuration")]
)
def test_a_state_of_another_judge_leaves_its_calibration_and_begins_a_run(calibration, made_by, cause):
    values, _ = written(JudgeState("town", "run", next_seq=7, calibration=calibration))
    state, refused = resumed(found(values), None, *made_by)
    assert refused == cause
    assert (state.run_id, state.calibration.calibration_id) == (NO_RUN, calibration.calibration_id)


def test_a_calibration_from_a_file_is_not_stored_and_must_be_the_same(calibration, clean):
    state = JudgeState("town", "run", calibration=calibration)
    values, _ = written(state, given_id=calibration.calibration_id)
    assert sorted(values) == ["town"]
    back, refused = resumed(found(values), calibration, *MADE_BY)
    assert (dump(back), refused) == (dump(state), "")
    assert resumed(found(values), None, *MADE_BY)[1] == "calibration"  # the file is named no more
    assert resumed(found(values), calibration_of(clean[5:]), *MADE_BY)[1] == "calibration"


def test_a_file_for_other_pictures_does_not_refuse_the_streams_own_calibration(calibration):
    values, _ = written(JudgeState("town", "run", calibration=calibration))
    other = replace(calibration, calibration_id="other", origin=replace(calibration.origin, width=64))
    assert resumed(found(values), other, *MADE_BY)[1] == ""


def test_what_can_not_be_read_is_refused_and_the_calibration_kept(calibration):
    values, _ = written(JudgeState("town", "run", calibration=calibration))
    for content in (b"", values["town"][:-3], msgspec.msgpack.encode([FORMAT + 1, "StoredState", {}])):
        back = found(values | {"town": content})
        assert "town: expected" in back.problem
        state, refused = resumed(back, None, *MADE_BY)
        assert (state.calibration.calibration_id, refused) == (calibration.calibration_id, "format")
    back = found(values | {"town/calibration": b"?"})
    assert resumed(back, None, *MADE_BY)[1] == "calibration"


def test_streams_are_told_apart_and_nothing_is_nothing(calibration):
    town, _ = written(JudgeState("town", "run", calibration=calibration))
    gate, _ = written(JudgeState("town-gate", "run"))
    back = found_in(town | gate)
    assert [one.stream_id for one in back] == ["town", "town-gate"]
    assert [one.calibration is None for one in back] == [False, True]
    assert found_in({}) == []
    assert resumed(found({"town/calibration": town["town/calibration"]}), None, *MADE_BY)[1] == ""
