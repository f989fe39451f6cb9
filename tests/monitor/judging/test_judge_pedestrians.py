"""The judge and a pedestrian detector with a head for each stride, on observations made by hand."""

from __future__ import annotations

from dataclasses import replace as with_field

import numpy as np
import pytest
from msgspec.structs import replace

from gradwatch.models.gradients.head import sigmoid
from gradwatch.models.outputs import PEDESTRIAN, Detections, Head, HeadOutputs
from gradwatch.monitor.alarms.calibration import AlarmBudget
from gradwatch.monitor.alarms.policy import POLICY, Policy
from gradwatch.monitor.judging.expectation import Expectations
from gradwatch.monitor.judging.judge import Judge
from gradwatch.monitor.judging.settings import JudgeSettings
from gradwatch.monitor.judging.state import JudgeState, new_run
from gradwatch.monitor.worker.stored_state import dump, load
from gradwatch.streams.wire.messages import AlertKind

from ...builders import frame_stamp

SIGN_CLASSES, CLASSES = ("stop", "yield", "parking", "no_entry", "hump"), ("person", "bicycle", "dog")
WIDTHS = {"stride_8": 12, "stride_16": 24}  # inputs of each head
SIGNS = {"signs": Head(np.zeros((5, 24), np.float32), np.zeros(5, np.float32), "softmax", SIGN_CLASSES)}
STRIDES = {
    name: Head(np.zeros((3, width), np.float32), np.zeros(3, np.float32), "sigmoid", CLASSES, "pedestrian")
    for name, width in WIDTHS.items()
}
CLEAN = 120
SETTINGS = JudgeSettings(calibration_frames=CLEAN, alarms=AlarmBudget(bootstrap_hours=2))
PERSON, DOG = [1.5, -4, -4], [-1, -4, 2]  # logits
BOX, RIGHT = np.array([100.0, 200, 130, 290]), np.array([1.0, 0, 1, 0])


def person_read(observation, *people):
    """`observation` with further boxes, each (xyxy, stride, logits); features grow with the head's width."""
    before = observation.detections
    count = len(people)
    heads = dict(observation.heads)
    for stride, width in WIDTHS.items():
        rows = [i for i, (_, own, _) in enumerate(people) if own == stride]
        logits = np.array([people[i][2] for i in rows], np.float32).reshape(-1, 3)
        features = np.full((len(rows), width), width / 12, np.float32)
        heads[stride] = HeadOutputs(np.array(rows, np.int32) + len(before), logits, features)
    boxes = np.array([xyxy for xyxy, _, _ in people], np.float32).reshape(-1, 4)
    seen = Detections(
        np.concatenate([before.xyxy, boxes]),
        np.concatenate([before.score, np.full(count, 0.9, np.float32)]),
        np.concatenate([before.class_id, np.full(count, PEDESTRIAN, np.int32)]),
    )
    return with_field(observation, detections=seen, heads=heads)


def judged(judge, seen, state=None, first=0):
    state = state or new_run(None, "town", "run")
    result = []
    for seq, observation in enumerate(seen, start=first):
        stamp = frame_stamp("town", seq, capture_ns=seq * 200_000_000, published_ns=5, clock="media")
        result.append(judge(stamp, observation, state))
        state = result[-1].state
    return result


def judge_of(heads, policy=None):
    return Judge(heads, "models", SETTINGS if policy is None else replace(SETTINGS, policy=policy))


@pytest.fixture(scope="module")
def judge():
    return judge_of(SIGNS | STRIDES)


@pytest.fixture(scope="module")
def drive(observations, crops_added):
    """A sign that becomes another one at `flip`, and two people, one of whom changes from stride to stride."""

    def make(frames, flip=None, seed=8):
        generator = np.random.default_rng(seed)
        seen = []
        for t, observation in enumerate(observations(frames, seed)):
            logits = generator.normal(size=(1, 5))
            logits[0, 3 if flip is not None and t >= flip else 0] += 6
            features = np.abs(1 + 0.2 * generator.normal(size=(1, 24)))
            with_sign = crops_added(observation, logits, features, np.array([[300, 200, 336, 236]]))
            walked = BOX + RIGHT * t / 2
            noise = 0.4 * generator.normal(size=(2, 3))
            near = ("stride_16" if t % 40 < 20 else "stride_8", PERSON + noise[0])
            seen.append(person_read(with_sign, (walked, *near), (walked + 400 * RIGHT, "stride_8", PERSON + noise[1])))
        return seen

    return make


@pytest.fixture(scope="module")
def watched(judge, drive):
    return judged(judge, drive(CLEAN + 60, flip=CLEAN + 30))


@pytest.fixture(scope="module")
def plain(observations):
    return observations(1, seed=0)[0]


def without_pedestrians(values):
    return {name: v.tolist() for name, v in values.items() if not name.startswith("pedestrian_")}


# -- signs are judged as if there were no pedestrians ------------------------------------------------------


def test_signs_and_frames_are_judged_as_without_pedestrian_heads(watched, drive):
    bare = [
        with_field(o, heads={"signs": o.heads["signs"]}) for o in drive(CLEAN + 60, flip=CLEAN + 30)
    ]  # the same boxes
    alone = judged(judge_of(SIGNS), bare)
    for one, other in zip(watched, alone, strict=True):
        for part in ("scores", "p_values"):
            assert without_pedestrians(getattr(one.report, part)) == without_pedestrians(getattr(other.report, part))
        assert one.report.change == other.report.change
        assert one.report.state == other.report.state
        ids = {"calibration_id": "any"}  # the one calibration holds references of pedestrians too
        assert [replace(a, **ids) for a in one.alerts] == [replace(a, **ids) for a in other.alerts]
    both, signs_only = watched[-1].state.calibration, alone[-1].state.calibration
    assert both.thresholds == signs_only.thresholds
    assert [a.kind for j in alone for a in j.alerts][:1] == [AlertKind.EXPECTANCY_MISMATCH]
    assert any(name.startswith("pedestrian_") for name in watched[-1].report.p_values)
    assert not any(name.startswith("pedestrian_") for name in alone[-1].report.scores)


def test_no_pedestrian_score_carries_an_alarm_unless_asked(watched):
    assert not [n for policy in POLICY.values() for n in policy.carriers if n.startswith("pedestrian_")]
    assert not [n for n in watched[-1].report.change if n.startswith("pedestrian_")]


def test_an_alarm_of_pedestrians_names_no_sign(drive):
    """The strongest contradiction is one of signs, so it is not the object that carries such an alarm."""
    policy = {
        AlertKind.EXPECTANCY_MISMATCH: Policy(("pedestrian_expectancy_gradient",), "ewma_fast", min_duration_s=0.4)
    }
    seen = drive(CLEAN + 30, flip=CLEAN + 5)
    for t in range(CLEAN + 5, CLEAN + 30):
        boxes = seen[t].detections.xyxy[1:].astype(float)
        with_sign = with_field(
            seen[t],
            detections=Detections(*(getattr(seen[t].detections, f)[:1] for f in ("xyxy", "score", "class_id"))),
            heads={"signs": seen[t].heads["signs"]},
        )
        seen[t] = person_read(with_sign, *((box, "stride_8", DOG) for box in boxes))
    alerts = [a for j in judged(judge_of(SIGNS | STRIDES, policy), seen) for a in j.alerts]
    assert alerts[0].carried_by == ["pedestrian_expectancy_gradient"]
    assert (alerts[0].track_id, alerts[0].expected) == (None, "")


# -- one kind of object, several heads ---------------------------------------------------------------------


def raw(judge, seen, state=None):
    """The closed forms of the last of the observations, before any reference."""
    judgements = judged(judge, seen[:-1], state)
    stamp = frame_stamp("town", len(seen), capture_ns=len(seen) * 200_000_000, published_ns=5, clock="media")
    clean, _ = judge.gather(stamp, seen[-1], judgements[-1].state if judgements else new_run(None, "town", "run"))
    return clean.crops


def test_a_track_keeps_what_it_expects_from_stride_to_stride(judge, plain):
    near = [person_read(plain, (BOX, "stride_8", PERSON))] * 3
    grown = raw(judge, [*near, person_read(plain, (BOX, "stride_16", PERSON))])
    stayed = raw(judge, [*near, person_read(plain, (BOX, "stride_8", PERSON))])
    assert grown["pedestrian_msp"].head.tolist() == [2]
    assert stayed["pedestrian_msp"].head.tolist() == [1]
    for crops in (grown, stayed):
        assert crops["pedestrian_expectancy_gradient"].values == pytest.approx([0], abs=1e-5)
        assert crops["pedestrian_expectancy_surprisal"].values == pytest.approx([-np.log(sigmoid(np.array(PERSON))[0])])
    too_early = raw(judge, near[:3])
    assert "pedestrian_expectancy_gradient" not in too_early


@pytest.mark.parametrize("stride", WIDTHS)
def test_a_person_that_changes_its_class_has_a_large_gradient(judge, plain, stride):
    seen = [person_read(plain, (BOX, "stride_8", PERSON))] * 4 + [person_read(plain, (BOX, stride, DOG))]
    crops = raw(judge, seen)
    delta = sigmoid(np.array(DOG)) - sigmoid(np.array(PERSON))
    norm = np.sqrt(WIDTHS[stride]) * WIDTHS[stride] / 12
    assert crops["pedestrian_expectancy_gradient"].values == pytest.approx([np.linalg.norm(delta) * norm / 3], rel=1e-5)


def test_scores_come_in_the_order_of_the_detections(judge, plain):
    boxes = [BOX + 100 * i for i in range(4)]
    logits = [[1 + i, -4, -4] for i in range(4)]
    strides = ["stride_16", "stride_8", "stride_16", "stride_8"]
    seen = person_read(plain, *zip(boxes, strides, logits, strict=True))
    crops = raw(judge, [seen])
    assert crops["pedestrian_msp"].head.tolist() == [2, 1, 2, 1]
    assert crops["pedestrian_msp"].values == pytest.approx(1 - sigmoid(np.arange(1.0, 5)), rel=1e-5)


def test_only_some_crops_have_an_expectation(judge, plain):
    """One stride reads a known track, the other a new one: the new one has no value and shifts no other's."""
    known = [person_read(plain, (BOX, "stride_16", PERSON))] * 4
    crops = raw(judge, [*known, person_read(plain, (BOX + 300, "stride_8", PERSON), (BOX, "stride_16", DOG))])
    assert crops["pedestrian_expectancy_gradient"].detection_index.tolist() == [1]
    assert crops["pedestrian_msp"].detection_index.tolist() == [0, 1]


@pytest.mark.parametrize("stride", WIDTHS)
def test_one_stride_alone_and_no_pedestrian_are_legal(judge, plain, stride):
    seen = [person_read(plain, (BOX, stride, PERSON))] * 4 + [person_read(plain)]
    judgements = judged(judge, seen)
    assert judgements[3].report.tracks.expected == ["person"]
    assert judgements[3].report.detections.label == ["person"]
    assert raw(judge, seen) == {}


def test_cut_off_and_unclear_pedestrians_have_no_expectancy_scores(judge, plain):
    def last(box, logits):
        return raw(judge, [person_read(plain, (box, "stride_8", logits))] * 5)

    assert "pedestrian_expectancy_gradient" in last(BOX * 0.1 + 10, PERSON)  # 3 x 9 px: small is no excuse
    assert "pedestrian_expectancy_gradient" not in last(np.array([-3.0, 200, 30, 290]), PERSON)
    assert "pedestrian_expectancy_gradient" not in last(BOX, [-0.2, -4, -4])  # a no at least as likely as a yes


def test_scores_are_standardized_and_have_p_values_once_calibrated(watched):
    """Heads of unequal width: raw norms differ by a factor of 2.8, their clean references must not."""
    report = watched[-1].report
    names = {name for name in report.scores if name.startswith("pedestrian_")}
    assert names == {name for name in report.p_values if name.startswith("pedestrian_")}
    assert {"pedestrian_head_gradient_predicted", "pedestrian_expectancy_gradient", "pedestrian_msp"} <= names
    calibrating = watched[CLEAN - 1].report.scores
    assert not [name for name in calibrating if name.startswith("pedestrian_")]  # nothing to be measured by yet
    by_stride = {1: [], 2: []}
    for t, judgement in enumerate(watched[CLEAN:], start=CLEAN):
        values = judgement.report.scores["pedestrian_head_gradient_predicted"]
        for number, value in zip([2, 1] if t % 40 < 20 else [1, 1], values, strict=True):
            by_stride[number].append(value)
    assert abs(np.median(by_stride[1]) - np.median(by_stride[2])) < 0.6


# -- state ---------------------------------------------------------------------------------------------------


def test_continues_equally_from_a_stored_state(judge, drive, watched):
    seen = drive(CLEAN + 60, flip=CLEAN + 30)
    for seq in (10, CLEAN - 1, CLEAN + 33):
        (stored,) = judged(judge, seen[seq + 1 : seq + 2], load(dump(watched[seq].state), JudgeState), first=seq + 1)
        assert dump(stored.state) == dump(watched[seq + 1].state), seq


def test_expectations_stored_by_head_are_dropped_and_learned_anew(judge, drive, watched):
    """Older versions stored them by name of the head: such a state is accepted, and tracks soon expect again."""
    state = watched[CLEAN + 5].state
    old = {"signs": state.expectations["sign"]}
    judgements = judged(
        judge, drive(CLEAN + 12)[CLEAN + 6 :], load(dump(replace(state, expectations=old)), JudgeState), first=CLEAN + 6
    )
    assert set(judgements[0].state.expectations) == {"sign", "pedestrian"}
    assert judgements[0].report.tracks.track_id == watched[CLEAN + 6].report.tracks.track_id
    assert judgements[0].report.tracks.expected == [""] * 3
    assert judgements[-1].report.tracks.expected == ["stop", "person", "person"]


def test_expectations_of_ended_tracks_are_dropped(judge, plain):
    seen = [person_read(plain, (BOX, "stride_8", PERSON))] * 4 + [person_read(plain)] * 12
    left = judged(judge, seen)[-1].state.expectations["pedestrian"]
    assert isinstance(left, Expectations)
    assert left.q.shape == (0, 3)


# -- what can't be judged ------------------------------------------------------------------------------------


def test_heads_of_a_kind_must_agree_on_their_classes():
    other = with_field(STRIDES["stride_8"], classes=("person", "dog", "bicycle"))
    with pytest.raises(ValueError, match=r"heads of kind 'pedestrian': expected the classes .*from 'stride_16'"):
        judge_of(STRIDES | {"stride_16": other})


def test_outputs_of_an_unknown_head_are_refused(plain):
    seen = person_read(plain, (BOX, "stride_8", PERSON))
    with pytest.raises(ValueError, match=r"expected outputs of the heads \['signs'\], got also \['stride_16'"):
        judged(judge_of(SIGNS), [seen])
