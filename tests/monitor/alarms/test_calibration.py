from __future__ import annotations

from dataclasses import replace as with_field

import numpy as np
import pytest
from msgspec.structs import replace

from gradwatch.monitor.alarms.calibration import (
    MIN_FRAMES,
    MIN_REFERENCE,
    AlarmBudget,
    Calibration,
    CalibrationMismatchError,
    CleanFrame,
    Origin,
    TooFewFramesError,
    calibrate,
    check_origin,
    fit_clean,
    frame_evidence_nats,
    p_values,
    score,
)
from gradwatch.monitor.alarms.p_values import MAX_EVIDENCE_NATS, evidence_nats, p_value, reference
from gradwatch.monitor.alarms.policy import Policy
from gradwatch.monitor.scorers import SCORERS
from gradwatch.monitor.worker.stored_state import dump, load
from gradwatch.streams.wire.messages import AlertKind

from ...builders import closed_form

SHIFT, MISMATCH = AlertKind.DISTRIBUTION_SHIFT, AlertKind.EXPECTANCY_MISMATCH
ORIGIN = Origin("camera", "models", "configuration", 960, 540)
CARRIERS = {SHIFT: ("image_statistics", "reconstruction_error"), MISMATCH: ("expectancy_gradient",)}
QUICK = AlarmBudget(false_alarms_per_hour=60.0, bootstrap_hours=2)


def clean_of(seen, interval_s=1.0, crops=lambda i: {}, segment=lambda i: 0):
    return [CleanFrame(round(i * interval_s * 1e9), o, crops(i), segment(i)) for i, o in enumerate(seen)]


def calibrated(clean, budget=QUICK, carriers=CARRIERS, origin=ORIGIN):
    policy = {kind: Policy(names, "ewma") for kind, names in carriers.items()}
    return calibrate(clean, origin, policy, budget)


@pytest.fixture(scope="module")
def clean(observations):
    return clean_of(observations(200, seed=1))


@pytest.mark.parametrize(("count", "missing"), [(0, 100), (1, 99), (99, 1)])
def test_refuses_too_few_frames_and_says_how_many_are_missing(clean, count, missing):
    with pytest.raises(TooFewFramesError, match=rf"needs 100 clean frames, got {count}: {missing} are missing"):
        calibrated(clean[:count])


def test_the_duration_is_that_of_all_frames(clean):
    assert fit_clean(clean[:180]).hours == 0.05


def test_the_least_number_of_frames_is_enough(clean):
    assert calibrated(clean[:MIN_FRAMES]).frames == MIN_FRAMES


@pytest.mark.parametrize("interval_s", [0.0, -0.2])
def test_refuses_capture_times_that_do_not_increase(observations, interval_s):
    with pytest.raises(ValueError, match="order of capture"):
        calibrated(clean_of(observations(100, seed=1), interval_s))


def test_provisional_until_the_data_can_show_the_asked_rate(clean):
    enough = calibrated(clean, AlarmBudget(18.0, 2))  # 200 frames of 1 s show one alarm in 200 s
    assert enough.supported_per_hour == pytest.approx(18.0)
    assert not enough.provisional
    assert (
        enough.note == "can't raise an alarm (too few clean values): expectancy_gradient"
    )  # these drives have no signs
    short = calibrated(clean, AlarmBudget(1.0, 2))
    assert short.provisional
    assert short.note.startswith(
        "provisional: 200 clean frames (200 s) support one false alarm in 200 s; the asked 1 an hour is extrapolated"
    )


def test_rarer_alarms_need_higher_thresholds(clean):
    rare, often = calibrated(clean, AlarmBudget(1.0, 2)), calibrated(clean, AlarmBudget(60.0, 2))
    assert all(rare.thresholds[name] > often.thresholds[name] for name in often.thresholds)


def test_thresholds_are_higher_for_more_carriers(clean):
    one = calibrated(clean, carriers={SHIFT: ("image_statistics",)}).thresholds["image_statistics"]
    many = {SHIFT: ("image_statistics", "reconstruction_error", "gradcon", "gradcon_direction")}
    assert calibrated(clean, carriers=many).thresholds["image_statistics"] > one


def test_only_carriers_with_a_reference_get_a_threshold(clean):
    calibration = calibrated(clean)
    assert set(calibration.thresholds) == {"image_statistics", "reconstruction_error"}
    assert set(calibration.references) == {
        "image_statistics",
        "reconstruction_error",
        "gradcon",
        "gradcon_direction",
        "gradcon_vector",
    }


def test_few_crops_get_no_reference(observations):
    seen = observations(150, seed=2)
    for count, known in ((MIN_REFERENCE - 1, False), (MIN_REFERENCE, True)):
        clean = clean_of(seen, crops=lambda i, n=count: {"msp": closed_form([0.1 + i / 1e3] * (i < n))})
        assert ("msp" in calibrated(clean).references) == known


def test_no_carrier_at_all_is_legal(clean):
    assert calibrated(clean, carriers={}).thresholds == {}


# -- fitted and calibrated on different frames ------------------------------------------------------------


def share_called_abnormal(parameters, ref, seen, name="image_statistics"):
    values = np.concatenate([SCORERS[name].score(o, {}, parameters) for o in seen])
    return float((p_value(values, ref) <= 0.05).mean())


def test_cross_fitting_keeps_later_clean_frames_normal(observations):
    """Frames that depend on each other: fitted and calibrated on the same 200, half of all later ones stand out."""
    cross, in_sample = [], []
    for seed in range(5):
        drive = observations(500, seed=40 + seed)
        clean, later = clean_of(drive[:200]), drive[250:]
        calibration = calibrated(clean, carriers={})
        parameters = calibration.parameters["image_statistics"]
        cross.append(share_called_abnormal(parameters, calibration.references["image_statistics"], later))
        same = [SCORERS["image_statistics"].score(f.observation, {}, parameters) for f in clean]
        in_sample.append(share_called_abnormal(parameters, reference(np.concatenate(same)), later))
    assert np.mean(in_sample) > 0.4
    assert np.mean(cross) < 0.12  # of values at p <= 0.05


def test_every_frame_is_scored_without_its_block(clean, monkeypatch):
    """An absurd block must not hide in its own fit: its reference values are absurd too."""
    moved = [
        replace(f, observation=with_field(f.observation, image_statistics=f.observation.image_statistics + 50))
        if 80 <= i < 120  # exactly the third of five blocks
        else f
        for i, f in enumerate(clean)
    ]
    values = calibrated(moved).references["image_statistics"].values
    assert (values > 20).sum() == 40


def test_blocks_do_not_cut_through_drives(observations, monkeypatch):
    fitted = []
    scorer = SCORERS["image_statistics"]
    monkeypatch.setitem(SCORERS, "image_statistics", Recording(scorer, fitted))
    drives = [20, 35, 10, 30, 15, 25, 5]
    segment = np.repeat(np.arange(7), drives)
    seen = observations(int(sum(drives)), seed=5)
    clean = clean_of(seen, segment=lambda i: int(segment[i]))
    calibrated(clean)
    number = {id(o): int(s) for o, s in zip(seen, segment, strict=True)}
    *folds, everything = fitted
    assert len(everything) == len(seen)
    assert len(folds) == 5
    left_out = [{number[id(o)] for o in seen} - {number[id(o)] for o in fold} for fold in folds]
    assert sorted(s for out in left_out for s in out) == list(range(7))  # whole drives, each left out once
    assert sum(len(seen) - len(fold) for fold in folds) == len(seen)


class Recording:
    """A scorer that notes what it was fitted on."""

    def __init__(self, scorer, fitted):
        self.family, self.unit, self.score = scorer.family, scorer.unit, scorer.score
        self._fit, self._fitted = scorer.fit, fitted

    def fit(self, observations, crops):
        self._fitted.append(list(observations))
        return self._fit(observations, crops)


# -- using it ---------------------------------------------------------------------------------------------


def test_scores_that_do_not_apply_are_absent(clean):
    calibration = calibrated(clean)
    scores = score(clean[0].observation, {"msp": closed_form([])}, calibration.parameters)
    assert set(scores) == {name for name, scorer in SCORERS.items() if scorer.unit == "frame"}
    assert set(score(clean[0].observation, {}, {"gradcon": calibration.parameters["gradcon"]})) == {"gradcon"}
    p = p_values(scores | {"msp": np.array([0.5])}, calibration.references)
    assert "msp" not in p
    assert all(((values > 0) & (values <= 1)).all() for values in p.values())


def test_evidence_of_many_crops_is_corrected_for_their_number():
    ref = reference(np.random.default_rng(0).normal(size=200))
    scores = {"msp": np.array([0.0, 4.0, 1.0, 0.5])}
    expected = float(evidence_nats(np.array([4.0]), ref)[0]) - np.log(4)
    assert frame_evidence_nats(scores, {"msp": ref}) == {"msp": pytest.approx(expected)}
    assert frame_evidence_nats({"msp": np.full(4, -9.0)}, {"msp": ref}) == {"msp": 0.0}  # never negative
    assert frame_evidence_nats(scores, {}) == {}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("source", "other camera"),
        ("models_id", "other models"),
        ("configuration_id", "other configuration"),
        ("width", 640),
        ("height", 480),
    ],
)
def test_refuses_any_other_origin(clean, field, value):
    calibration = calibrated(clean)
    check_origin(calibration, ORIGIN)
    with pytest.raises(CalibrationMismatchError) as error:
        check_origin(calibration, replace(ORIGIN, **{field: value}))
    assert f"made for {field} {getattr(ORIGIN, field)!r}, got {value!r}" in str(error.value)
    assert "gradwatch calibrate" in str(error.value)


def test_the_id_is_a_hash_of_the_content(clean, observations):
    calibration = calibrated(clean)
    assert calibrated(clean).calibration_id == calibration.calibration_id
    others = [
        calibrated(clean[:150]),
        calibrated(clean, AlarmBudget(30.0, 2)),
        calibrated(clean, origin=replace(ORIGIN, source="other")),
        calibrated(clean_of(observations(200, seed=9))),
    ]
    assert len({calibration.calibration_id, *(other.calibration_id for other in others)}) == 5


def test_a_stored_calibration_scores_equally(clean):
    calibration = calibrated(clean)
    loaded = load(dump(calibration), Calibration)
    assert dump(loaded) == dump(calibration)
    scores = score(clean[3].observation, {}, loaded.parameters)
    before = score(clean[3].observation, {}, calibration.parameters)
    for name, values in before.items():
        np.testing.assert_array_equal(scores[name], values)
        np.testing.assert_array_equal(
            p_values(scores, loaded.references)[name], p_values(before, calibration.references)[name]
        )


def test_a_threshold_out_of_reach_silences_its_score_and_says_so(clean):
    # 200 frames, asked for one false alarm in a year: extrapolated far beyond what the statistic can show
    rare = calibrated(clean, AlarmBudget(1 / 8760, 2))
    usual = calibrated(clean, AlarmBudget(18.0, 2))
    assert set(rare.silent) > set(usual.silent)
    assert all(threshold < 0.9 * MAX_EVIDENCE_NATS for threshold in rare.thresholds.values())
    assert not set(rare.silent) & set(rare.thresholds)
    for name in rare.silent:
        assert name in rare.note
