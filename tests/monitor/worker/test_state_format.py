"""The bytes of stored values: what `dump` writes, `load` gives back bit for bit, and refuses anything else."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from gradwatch.monitor.alarms.calibration import AlarmBudget, Calibration, CleanFrame, Origin, calibrate
from gradwatch.monitor.alarms.episodes import Episode, Moment
from gradwatch.monitor.judging.expectation import Expectations
from gradwatch.monitor.judging.state import JudgeState
from gradwatch.monitor.judging.stream_time import StreamTime
from gradwatch.monitor.judging.tracking import TrackerSettings, advance, no_tracks
from gradwatch.monitor.worker.stored_state import FORMAT, StateFormatError, decode_array, dump, encode_array, load
from gradwatch.streams.wire.messages import AlertKind, FrameIdentity

from ...builders import closed_form


@pytest.fixture(scope="module")
def calibration(observations):
    clean = [CleanFrame(i * 10**9, o, {"msp": closed_form([0.1 + i])}) for i, o in enumerate(observations(100, seed=0))]
    return calibrate(clean, Origin("town", "models", "configuration", 960, 540), {}, AlarmBudget())


@pytest.fixture
def full(calibration, observations):
    """A state with something in every field."""
    tracks, _ = advance(no_tracks(), 5, [[1, 2, 30, 40.5]], [0.9], [0], TrackerSettings())
    now = Moment(FrameIdentity("town", "run", 3), 5, 1, 2, {"gradcon": 1.25}, {"gradcon": 0.125}, 4, "stop", "yield")
    return JudgeState(
        stream_id="town",
        run_id="run",
        next_seq=4,
        time=StreamTime(2**62 + 1, 2**60, 7, (5,), 2, True, "leaped", True),
        tracks=tracks,
        expectations={"sign": Expectations(np.array([4]), np.array([3]), np.array([0.1]), np.array([[0.2, 0.8]]))},
        change={"gradcon": 1 / 3},
        episodes={AlertKind.DISTRIBUTION_SHIFT: Episode(now, now, 1.25, 0.125, ["gradcon"], now, revision=2)},
        clean=(CleanFrame(7, observations(1, seed=1)[0], {"msp": closed_form([0.5])}, 2),),
        calibration=calibration,
    )


def test_a_state_is_read_back_as_it_was(full):
    back = load(dump(full), JudgeState)
    assert dump(back) == dump(full)
    for name in ("stream_id", "run_id", "next_seq", "time", "change", "episodes"):
        assert getattr(back, name) == getattr(full, name)
    np.testing.assert_array_equal(back.tracks.mean, full.tracks.mean)
    np.testing.assert_array_equal(back.expectations["sign"].q, full.expectations["sign"].q)
    observation = back.clean[0].observation
    assert observation.size == (960, 540)
    np.testing.assert_array_equal(observation.tiles.loss, full.clean[0].observation.tiles.loss)
    assert back.clean[0].crops["msp"].values.dtype == np.float32
    assert back.calibration.calibration_id == full.calibration.calibration_id


def test_a_calibration_is_read_back_as_it_was(calibration):
    back = load(dump(calibration), Calibration)
    assert isinstance(back, Calibration)
    assert dump(back) == dump(calibration)


def test_an_empty_state_is_read_back():
    back = load(dump(JudgeState("town", "run")), JudgeState)
    assert len(back.tracks) == 0
    assert (back.time, back.calibration, back.clean) == (None, None, ())


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6, dtype=np.int32).reshape(2, 3),
        np.empty((0, 4, 2)),
        np.array(2.5),
        np.array([True, False]),
        np.arange(10.0)[::3],  # not contiguous
        np.array([np.nan, np.inf, -0.0]),
    ],
)
def test_arrays_keep_type_shape_and_bits(array):
    back = decode_array(np.ndarray, msgspec.msgpack.decode(msgspec.msgpack.encode(encode_array(array))))
    assert (back.dtype, back.shape) == (array.dtype, array.shape)
    assert back.tobytes() == array.tobytes()
    assert encode_array(np.float32([1]))["dtype"] == "<f4"  # with its byte order
    back[...] = 0  # what is loaded may be written to


def test_refuses_values_that_no_state_contains():
    with pytest.raises(TypeError, match="got set"):
        encode_array({1})
    with pytest.raises(TypeError, match="expected an array"):
        decode_array(np.ndarray, [1, 2])


def test_refuses_bytes_of_another_type_or_format(calibration):
    state = dump(JudgeState("town", "run"))
    with pytest.raises(StateFormatError, match="expected JudgeState of format 1, got Calibration"):
        load(dump(calibration), JudgeState)
    with pytest.raises(StateFormatError, match="expected Calibration of format 1, got JudgeState"):
        load(state, Calibration)
    later = msgspec.msgpack.encode([FORMAT + 1, "JudgeState", {"anything": 1}])
    with pytest.raises(StateFormatError, match=f"got JudgeState of format {FORMAT + 1}"):
        load(later, JudgeState)
    for content in (b"", b"\x00", state[:-5], b"not msgpack at all"):
        with pytest.raises(StateFormatError, match="expected JudgeState"):
            load(content, JudgeState)
