"""The start of a stream: it waits while nothing is shown, and calibrates on what it shows afterwards alone."""

from __future__ import annotations

import numpy as np
import pytest
from msgspec.structs import replace

from gradwatch.monitor.alarms.calibration import MIN_THRESHOLD_NATS, AlarmBudget
from gradwatch.monitor.judging.judge import Judge
from gradwatch.monitor.judging.settings import JudgeSettings
from gradwatch.monitor.judging.state import NOTHING_FRAMES, new_run
from gradwatch.monitor.worker.pipeline import Pipeline
from gradwatch.monitor.worker.stored_state import CHUNK, Shelf, StoredState, found_in, parts
from gradwatch.monitor.worker.stream_health import StreamHealth
from gradwatch.streams.sinks import MemorySink
from gradwatch.streams.wire.messages import Disturbance, DisturbanceState, Outcome, StreamState

from ...builders import (
    CONTRAST,
    StubObserver,
    draw_observations,
    draw_tiles,
    encoded_frame,
    frame_record,
    frame_stamp,
    gray_jpeg,
    plain_observation,
)

CLEAN = 100
STEP_NS = 200_000_000


@pytest.fixture(scope="module")
def judge():
    return Judge({}, "models", JudgeSettings(calibration_frames=CLEAN, alarms=AlarmBudget(bootstrap_hours=1)))


@pytest.fixture(scope="module")
def road():
    return draw_observations(160, seed=3)


def tiles(seq):
    """Other tiles are looked at in each frame, also of a picture that stands still."""
    return draw_tiles(np.random.default_rng(seq), 0.0)


def of_one_color(seq):
    return plain_observation(size=(960, 540), tiles=tiles(seq), image_statistics=0 * CONTRAST)


def frozen(seq):
    return plain_observation(size=(960, 540), tiles=tiles(seq), image_statistics=CONTRAST + 7)


def refined(seq):
    """A still picture through an encoder that refines it now and then."""
    return plain_observation(size=(960, 540), tiles=tiles(seq), image_statistics=CONTRAST + 7 + 0.01 * (seq // 8))


def states(judge, seen):
    """The states after each frame, and their names in the reports."""
    state, after, names = new_run(None, "town", "run"), [], []
    for seq, observation in enumerate(seen):
        judgement = judge(frame_stamp("town", seq, capture_ns=seq * STEP_NS), observation, state)
        state = judgement.state
        after.append(state)
        names.append(judgement.report.state)
    return after, names


@pytest.mark.parametrize("show", [of_one_color, frozen, refined])
def test_a_stream_waits_for_a_picture_and_calibrates_on_the_frames_after_it(judge, road, show):
    still = [show(seq) for seq in range(80)]
    after, names = states(judge, still + road)
    began = names.index(StreamState.NO_SIGNAL)
    assert began <= 3 * NOTHING_FRAMES
    assert set(names[:began]) == {StreamState.CALIBRATING}
    assert set(names[began:80]) == {StreamState.NO_SIGNAL}
    assert set(names[80 : 79 + CLEAN]) == {StreamState.CALIBRATING}
    assert names[80 + CLEAN] is StreamState.WATCHING
    alone, _ = states(judge, road)
    assert after[-1].calibration.thresholds == alone[-1].calibration.thresholds  # no slate is among its frames


def test_a_short_slate_at_the_start_is_not_calibrated_on(judge, road):
    after, names = states(judge, [frozen(seq) for seq in range(5)] + road)
    assert StreamState.NO_SIGNAL not in names
    alone, _ = states(judge, road)
    assert after[-1].calibration.thresholds == alone[-1].calibration.thresholds


def test_a_stream_that_freezes_while_it_gathers_begins_again(judge, road):
    after, names = states(judge, road[:50] + [frozen(seq) for seq in range(40)] + road[50:])
    assert names[49 + 40] is StreamState.NO_SIGNAL
    assert len(after[49 + 50].clean) == 10
    assert after[-1].calibration is not None


def test_repeated_frames_of_a_moving_picture_only_take_longer(judge, road):
    _, names = states(judge, [one for one in road for _ in range(3)])
    assert names.index(StreamState.WATCHING) == 3 * CLEAN + 1  # without the first picture: it might be a slate
    assert StreamState.NO_SIGNAL not in names


def test_frames_gathered_again_are_stored_under_other_keys(judge, road):
    """Chunks are written once each: those of frames given up must not pass for the new ones."""
    after, _ = states(judge, road[:40] + [frozen(seq) for seq in range(40)] + road[40:])
    topic, shelf = {}, Shelf()
    for state in (after[39], after[99]):
        stored = StoredState(1, 1, "models", "configuration", "", len(state.clean), state)
        written, shelf = parts(stored, shelf)
        topic |= {part.key: part.value for part in written}
    (found,) = found_in(topic)
    assert len(after[99].clean) > CHUNK
    assert [f.capture_ns for f in found.stored.state.clean] == [f.capture_ns for f in after[99].clean]


def test_thresholds_and_ratios_are_finite_whatever_the_clean_frames_were(judge, road):
    """Image statistics alone vary; all other scores are constant, and jump afterwards."""
    fixed = draw_tiles(np.random.default_rng(0), 0.0)
    dull = [plain_observation(size=one.size, tiles=fixed, image_statistics=one.image_statistics) for one in road]
    state = states(judge, dull)[0][-1]
    assert min(state.calibration.thresholds.values()) >= MIN_THRESHOLD_NATS
    seen = plain_observation(
        size=(960, 540), tiles=draw_tiles(np.random.default_rng(1), 1e3), image_statistics=1e6 + CONTRAST
    )
    judgement = judge(frame_stamp("town", 500, capture_ns=500 * STEP_NS), seen, state)
    assert np.isfinite(list(judgement.report.change.values())).all()


def test_the_wait_is_told_on_the_health_topic(judge, road):
    records, sink = [], MemorySink()
    seen = [of_one_color(seq) for seq in range(30)] + road[:10]
    pipeline = Pipeline(StubObserver(seen), judge, sink, None, health=StreamHealth(records.append))
    for seq in range(40):
        frame = encoded_frame("town", seq, capture_ns=seq * STEP_NS, content=gray_jpeg())
        pipeline.step(frame_record(frame, offset=seq))
    assert {report.outcome for report in sink.reports} == {Outcome.JUDGED}
    assert [(r.disturbance, r.state, r.last_seq) for r in records] == [
        (Disturbance.NO_SIGNAL, DisturbanceState.BEGIN, NOTHING_FRAMES - 1),
        (Disturbance.NO_SIGNAL, DisturbanceState.END, 30),
    ]
    assert records[0].detail.startswith("black")
    dropped = replace(pipeline.states["town"], idle_frames=NOTHING_FRAMES)
    pipeline.states["town"] = dropped
    assert pipeline._state_name(frame_stamp("town", 41)) is StreamState.NO_SIGNAL
