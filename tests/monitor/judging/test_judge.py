"""The judge on observations drawn at random: dependent in time, but no network is needed."""

from __future__ import annotations

from dataclasses import replace as with_field

import numpy as np
import pytest
from msgspec.structs import replace

from gradwatch.models.outputs import Detections, Head, Observation, Tiles
from gradwatch.monitor.alarms.calibration import AlarmBudget, TooFewFramesError
from gradwatch.monitor.judging.corrections import ScheduledCorrection
from gradwatch.monitor.judging.judge import Judge
from gradwatch.monitor.judging.settings import JudgeSettings
from gradwatch.monitor.judging.state import JudgeState, new_run
from gradwatch.monitor.worker.stored_state import dump, load
from gradwatch.streams.wire.messages import (
    AlertKind,
    AlertState,
    ClassOverride,
    FrameIdentity,
    FrameStamp,
    Outcome,
    RegionMute,
    StreamState,
    alert_id,
)
from gradwatch.streams.wire.outputs import encode_alert, encode_report

CLASSES = ("stop", "yield", "parking", "no_entry", "hump")
WIDTH = 24  # features of a crop
CLEAN = 150  # frames that calibrate
HEAD = Head(np.zeros((5, WIDTH), np.float32), np.zeros(5, np.float32), "softmax", CLASSES)
SETTINGS = JudgeSettings(calibration_frames=CLEAN, alarms=AlarmBudget(bootstrap_hours=4))


@pytest.fixture(scope="module")
def judge():
    return Judge({"signs": HEAD}, "models", SETTINGS)


STEP_NS = 200_000_000


def stamp(seq, run="run", traceparent=None):
    """5 frames a second; offsets as if other streams shared the partition."""
    identity = FrameIdentity("town", run, seq)
    time_ns = seq * STEP_NS
    return FrameStamp(identity, time_ns, time_ns + 5, "media", traceparent, partition=2, offset=50 + 3 * seq)


def judged(judge, seen, state=None, first=0, run="run"):
    """The judgement of every observation, in order."""
    state = state or new_run(None, "town", run)
    result = []
    for i, observation in enumerate(seen):
        result.append(judge(stamp(first + i, run), observation, state))
        state = result[-1].state
    return result


def as_bytes(judgements):
    return [(encode_report(j.report), [encode_alert(a) for a in j.alerts]) for j in judgements]


def read_as(generator, label, count=1):
    """Logits and features of `count` crops that the head reads as class `label`, not quite surely."""
    logits = generator.normal(size=(count, 5))
    logits[:, label] += 6
    return logits, np.abs(1 + 0.2 * generator.normal(size=(count, WIDTH)))


@pytest.fixture(scope="module")
def sign_drive(observations, crops_added):
    """A sign that is always in view, read as `before` and from frame `flip` on as `after`."""

    def make(frames, seed, flip=None, before=0, after=3):
        generator = np.random.default_rng(seed)
        seen = []
        for t, observation in enumerate(observations(frames, seed)):
            label = after if flip is not None and t >= flip else before
            x, y = 300 + 40 * np.sin(t / 40), 200 + 20 * np.cos(t / 30)
            seen.append(crops_added(observation, *read_as(generator, label), np.array([[x, y, x + 36, y + 36]])))
        return seen

    return make


@pytest.fixture(scope="module")
def shifted(judge, observations):
    """Calibration, 60 clean frames, then a shift of six deviations."""
    return judged(judge, observations(CLEAN + 100, seed=5, shift=6.0, shifted_from=CLEAN + 60))


GRADCON = ("gradcon", "gradcon_direction", "gradcon_vector")


def test_calibrates_on_its_own_start_and_then_watches(shifted):
    states = [j.report.state for j in shifted]
    assert states[:CLEAN] == [StreamState.CALIBRATING] * CLEAN
    assert states[CLEAN : CLEAN + 60] == [StreamState.WATCHING] * 60
    before, after = shifted[CLEAN - 1].report, shifted[CLEAN].report
    assert (before.p_values, before.change, before.calibration_id) == ({}, {}, "")
    assert set(after.p_values) == {"image_statistics", "reconstruction_error", *GRADCON}
    assert set(after.change) == {"image_statistics", "reconstruction_error", "gradcon_direction"}
    assert after.calibration_id == shifted[-1].state.calibration.calibration_id
    assert shifted[CLEAN].state.clean == ()


def test_a_shift_alarms_within_20_frames_and_clean_frames_do_not(shifted):
    alerts = [a for j in shifted for a in j.alerts]
    first = alerts[0]
    assert CLEAN + 60 <= first.onset_seq <= first.last_seq < CLEAN + 80
    assert (first.kind, first.state, first.revision) == (AlertKind.DISTRIBUTION_SHIFT, AlertState.OPEN, 1)
    assert first.calibration_note.startswith("provisional: 150 clean frames (30 s)")
    assert first.mean_time_between_false_alarms_s == 3600
    assert {a.alert_id for a in alerts} == {alert_id("town", "run", AlertKind.DISTRIBUTION_SHIFT, first.onset_seq)}
    report = shifted[-1].report
    assert (report.state, report.alert_ids) == (StreamState.ALERTING, [first.alert_id])
    assert all(report.change[name] >= 1 for name in alerts[-1].carried_by)


def test_the_end_of_a_shift_closes_its_alert(judge, observations, shifted):
    clean_again = observations(120, seed=5 + 1)
    judgements = judged(judge, clean_again, shifted[-1].state, first=CLEAN + 100)
    closed = [a for j in judgements for a in j.alerts][-1]
    opened = [a for j in shifted for a in j.alerts]
    assert closed.state == AlertState.CLOSED
    assert closed.alert_id == opened[0].alert_id
    assert closed.revision == opened[-1].revision + 1
    assert judgements[-1].report.state == StreamState.WATCHING
    assert judgements[-1].report.alert_ids == []


def test_fresh_clean_frames_stay_quiet(judge, observations):
    """So short a start only extrapolates one false alarm an hour; over two minutes one may come, not more."""
    judgements = [j for seed in range(20, 22) for j in judged(judge, observations(CLEAN + 300, seed))]
    assert sum(a.state == AlertState.OPEN and a.revision == 1 for j in judgements for a in j.alerts) <= 1


def test_deterministic_and_leaves_its_arguments_alone(judge, observations):
    seen = observations(CLEAN + 20, seed=6, shift=6.0, shifted_from=CLEAN + 5)
    start = new_run(None, "town", "run")
    before = dump(start)
    first = judged(judge, seen, start)
    other = Judge({"signs": HEAD}, "models", SETTINGS)  # a judge keeps nothing of any stream
    assert as_bytes(judged(other, seen, start)) == as_bytes(first)
    assert dump(start) == before


@pytest.mark.parametrize("kind", ["shift", "flip"])
def test_continues_equally_from_a_stored_state_after_any_frame(judge, observations, sign_drive, kind):
    """At any frame the stored state gives what the live one gives, so by induction any later frame too."""
    if kind == "shift":
        seen = observations(CLEAN + 80, seed=5, shift=6.0, shifted_from=CLEAN + 20)[: CLEAN + 60]
    else:
        seen = sign_drive(CLEAN + 40, seed=8, flip=CLEAN + 10)
    state = new_run(None, "town", "run")
    alerts = 0
    for seq, observation in enumerate(seen):
        live = judge(stamp(seq), observation, state)
        if seq < CLEAN - 3 and seq % 20:  # while it only gathers, some frames will do
            state = live.state
            continue
        stored = judge(stamp(seq), observation, load(dump(state), JudgeState))
        assert as_bytes([stored]) == as_bytes([live]), f"frame {seq}"
        assert dump(stored.state) == dump(live.state), f"frame {seq}"
        state, alerts = live.state, alerts + len(live.alerts)
    assert alerts > 0


def test_a_new_run_keeps_the_calibration_alone(judge, sign_drive):
    last = judged(judge, sign_drive(CLEAN + 30, seed=8, flip=CLEAN + 10))[-1].state
    assert len(last.tracks.track_id) == 1
    assert last.episodes
    fresh = new_run(last, "town", "next")
    (judgement,) = judged(judge, sign_drive(1, seed=9), fresh, run="next")
    assert judgement.report.state == StreamState.WATCHING
    assert judgement.report.calibration_id == last.calibration.calibration_id
    assert (judgement.alerts, judgement.report.alert_ids) == ([], [])
    assert judgement.state.tracks.track_id.tolist() == [0]
    assert judgement.state.expectations["sign"].crops.tolist() == [1]
    assert max(judgement.report.change.values()) < 1


def test_a_sign_that_changes_its_class_is_a_mismatch(judge, sign_drive):
    flip = CLEAN + 40
    judgements = judged(judge, sign_drive(CLEAN + 60, seed=8, flip=flip))
    alerts = [a for j in judgements for a in j.alerts]
    first = alerts[0]
    assert first.kind == AlertKind.EXPECTANCY_MISMATCH
    assert flip <= first.onset_seq < flip + 10
    assert (first.track_id, first.expected, first.observed) == (0, "stop", "no_entry")
    assert first.carried_by == ["expectancy_gradient"]
    assert {a.kind for a in alerts} == {AlertKind.EXPECTANCY_MISMATCH}  # the picture as a whole is as before


def test_a_sign_that_keeps_its_class_is_no_mismatch(judge, sign_drive):
    judgements = judged(judge, sign_drive(CLEAN + 100, seed=12))
    assert [a for j in judgements for a in j.alerts if a.kind == AlertKind.EXPECTANCY_MISMATCH] == []
    assert judgements[-1].report.tracks.expected == ["stop"]
    assert "expectancy_gradient" in judgements[-1].report.p_values


def test_a_new_sign_of_another_class_is_no_mismatch(judge, sign_drive, crops_added):
    """Another class is no contradiction as long as it is another object."""
    seen = sign_drive(CLEAN + 60, seed=13)
    generator = np.random.default_rng(1)
    for t in range(CLEAN + 20, CLEAN + 60):
        own, other = seen[t].heads["signs"], read_as(generator, 3)
        xyxy = np.concatenate([seen[t].detections.xyxy, [[700, 100, 740, 140]]])
        logits, features = np.concatenate([own.logits, other[0]]), np.concatenate([own.features, other[1]])
        seen[t] = crops_added(seen[t], logits, features, xyxy)
    judgements = judged(judge, seen)
    assert [a for j in judgements for a in j.alerts] == []
    first = judgements[CLEAN + 20].report.scores  # nothing is expected of the new one yet
    assert {name: len(values) for name, values in first.items() if name.startswith("expectancy")} == {
        "expectancy_gradient": 1,
        "expectancy_surprisal": 1,
    }
    assert len(first["msp"]) == 2
    assert judgements[-1].report.tracks.expected == ["stop", "no_entry"]


def test_the_report_has_identity_times_and_labels(judge, sign_drive):
    observation = with_field(sign_drive(1, seed=1)[0], latency_ms={"tiles": 3.0})
    trace = "00-" + "1" * 32 + "-" + "2" * 16 + "-01"
    report = judge(stamp(7, traceparent=trace), observation, new_run(None, "town", "run")).report
    assert report.identity == FrameIdentity("town", "run", 7)
    assert (report.partition, report.offset, report.capture_ns) == (2, 71, 1_400_000_000)
    assert (report.published_ns, report.clock, report.traceparent) == (1_400_000_005, "media", trace)
    assert (report.outcome, report.cause) == (Outcome.JUDGED, None)
    assert (report.width, report.height) == (960, 540)
    assert (report.detections.kind, report.detections.label) == (["sign"], ["stop"])
    assert (report.models_id, report.configuration_id) == ("models", SETTINGS.configuration_id)
    assert report.latency_ms == {"tiles": 3.0}


def test_rows_of_tracks_and_forecasts_agree(judge, sign_drive):
    report = judged(judge, sign_drive(6, seed=1))[-1].report
    assert report.tracks.track_id == [0]
    assert report.tracks.detection_index.tolist() == [0]
    assert report.forecasts.mean.shape == (1, len(SETTINGS.horizon_s), 2)
    assert report.forecasts.radius.shape == (1, len(SETTINGS.horizon_s))
    center = (report.detections.xyxy[0, :2] + report.detections.xyxy[0, 2:]) / 2
    assert np.linalg.norm(report.forecasts.mean[0, 0] - center) < 20


def nothing_of(observation):
    """A frame in which nothing was found and no tile looked at."""
    boxes = Detections(np.empty((0, 4), np.float32), np.empty(0, np.float32), np.empty(0, np.int32))
    tiles = Tiles(np.empty((0, 2), np.int32), np.empty(0, np.float32), np.empty((0, 4), np.float32))
    return Observation(observation.size, boxes, {}, tiles, observation.image_statistics)


def test_frames_without_boxes_and_tiles_are_legal(judge, observations, crops_added):
    """A stream without boxes and tiles calibrates and is watched; so is one with a head that has no crops."""
    none = np.empty((0, 4))
    seen = [nothing_of(o) for o in observations(CLEAN + 20, seed=3)]
    seen[::2] = [crops_added(o, np.empty((0, 5)), np.empty((0, WIDTH)), none) for o in seen[::2]]
    judgements = judged(judge, seen)
    assert set(judgements[-1].report.scores) == {"image_statistics"}
    assert set(judgements[-1].report.change) == {"image_statistics"}
    assert judgements[-1].report.tracks.xyxy.shape == (0, 4)
    as_bytes(judgements)


def test_an_empty_frame_counts_as_neutral(judge, observations, sign_drive):
    state = judged(judge, sign_drive(CLEAN + 5, seed=3))[-1].state
    judgements = judged(judge, [nothing_of(o) for o in observations(10, seed=4)], state, first=CLEAN + 5)
    assert "reconstruction_error" not in judgements[-1].report.scores
    assert "expectancy_gradient" in judgements[-1].report.change  # what is absent counts as neutral
    assert max(ratio for j in judgements for ratio in j.report.change.values()) < 1
    assert [a for j in judgements for a in j.alerts] == []


HOUR_NS = 3600 * 10**9
CLOCKS = {
    "an hour ahead, once": lambda time_ns, seq: time_ns + (HOUR_NS if seq == CLEAN + 12 else 0),
    "an hour ahead, from one frame on": lambda time_ns, seq: time_ns + (HOUR_NS if seq >= CLEAN + 12 else 0),
    "an hour back": lambda time_ns, seq: HOUR_NS + time_ns - (HOUR_NS if seq >= CLEAN + 12 else 0),
    "first 0": lambda time_ns, seq: time_ns + HOUR_NS if seq else 0,
    "constant": lambda time_ns, seq: 5,
    "seconds": lambda time_ns, seq: time_ns // 10**9,
    "whole seconds": lambda time_ns, seq: time_ns // 10**9 * 10**9,
    "backwards": lambda time_ns, seq: HOUR_NS - time_ns,
    "stopped when the change began": lambda time_ns, seq: min(time_ns, (CLEAN + 10) * STEP_NS),
}


@pytest.mark.parametrize("clock", CLOCKS)
@pytest.mark.parametrize("kind", ["utc", "media"])
def test_alarms_come_at_the_same_frame_on_a_bad_clock(judge, observations, clock, kind):
    seen = observations(CLEAN + 40, seed=5, shift=6.0, shifted_from=CLEAN + 10)
    opened = []
    for stamped in (lambda time_ns, seq: time_ns, CLOCKS[clock]):
        state = new_run(None, "town", "run")
        for seq, observation in enumerate(seen):
            time_ns = stamped(seq * STEP_NS, seq)
            judgement = judge(replace(stamp(seq), capture_ns=time_ns, clock=kind), observation, state)
            state = judgement.state
            if seq == CLEAN - 1:
                assert state.calibration is not None
                state = replace(state, calibration=judged(judge, seen[:CLEAN])[-1].state.calibration)
            opened += [seq for alert in judgement.alerts if alert.revision == 1]
    good, bad = opened
    assert abs(bad - good) <= 1


def test_gathered_frames_give_the_calibration_of_the_own_start(judge, sign_drive):
    seen = sign_drive(CLEAN, seed=4)
    state, clean = new_run(None, "town", "run"), []
    for seq, observation in enumerate(seen):
        frame, state = judge.gather(stamp(seq), observation, state)
        clean.append(frame)
    own_start = judged(judge, seen)[-1].state.calibration
    assert judge.calibrate(clean, "town", (960, 540)).calibration_id == own_start.calibration_id
    assert own_start.origin == judge.origin("town", (960, 540))


def test_calibrating_refuses_too_few_frames(judge):
    with pytest.raises(TooFewFramesError, match="100 are missing"):
        judge.calibrate((), "town", (960, 540))


def test_a_gap_counts_as_one_frame(judge, observations):
    """One frame after a hole in the stream must not weigh as much as the seconds that nobody saw."""
    seen = observations(CLEAN + 1, seed=4, shift=8.0, shifted_from=CLEAN)
    state = judged(judge, seen[:CLEAN])[-1].state
    soon = judge(stamp(CLEAN), seen[CLEAN], state).report.change
    late = judge(stamp(CLEAN + 50), seen[CLEAN], state).report.change
    assert max(soon.values()) > 0
    assert late == pytest.approx(soon)


WHOLE = [(0.0, 0.0), (960.0, 0.0), (960.0, 540.0), (0.0, 540.0)]


@pytest.mark.parametrize(
    ("correction", "expected"),
    [
        (ClassOverride("v", "town", "ada", 1, "run", 0, "no_entry"), "no_entry"),
        (ClassOverride("v", "town", "ada", 1, "run", 0, "ignore"), ""),
        (RegionMute("v", "town", "ada", 1, WHOLE), "stop"),
    ],
)
def test_a_correction_suppresses_a_contradiction(judge, sign_drive, correction, expected):
    seen = sign_drive(CLEAN + 60, seed=8, flip=CLEAN + 40)
    state = replace(new_run(None, "town", "run"), corrections=(ScheduledCorrection(correction, CLEAN + 30),))
    judgements = judged(judge, seen, state)
    assert [a for j in judgements for a in j.alerts] == []
    assert judgements[CLEAN + 29].report.tracks.expected == ["stop"]
    assert judgements[CLEAN + 45].report.tracks.expected == [expected]
    late = judged(judge, seen, replace(state, corrections=(ScheduledCorrection(correction, CLEAN + 50),)))
    assert {a.kind for j in late for a in j.alerts} == {AlertKind.EXPECTANCY_MISMATCH}


def test_a_correction_does_not_change_distribution_shift(judge, observations):
    seen = observations(CLEAN + 40, seed=5, shift=6.0, shifted_from=CLEAN + 10)
    state = new_run(None, "town", "run")
    mute = RegionMute("v", "town", "ada", 1, WHOLE)
    muted = judged(judge, seen, replace(state, corrections=(ScheduledCorrection(mute, 0),)))
    assert [j.report.change for j in muted] == [j.report.change for j in judged(judge, seen, state)]
    assert [a for j in muted for a in j.alerts]
