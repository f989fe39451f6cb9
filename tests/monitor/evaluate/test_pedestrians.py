"""The figures of `gradwatch evaluate pedestrians`, on scenes whose figures are worked out by hand."""

from __future__ import annotations

from dataclasses import replace as with_field

import numpy as np
import pytest
from msgspec.structs import replace

from gradwatch import MissingFileError
from gradwatch.models.outputs import PEDESTRIAN, Detections, Head, HeadOutputs
from gradwatch.monitor.evaluate import store
from gradwatch.monitor.evaluate.drives import drive_of
from gradwatch.monitor.evaluate.pedestrians import recording as pedestrians
from gradwatch.monitor.evaluate.pedestrians import scores as person_scores
from gradwatch.monitor.evaluate.pedestrians.forecast_errors import forecast_figures
from gradwatch.monitor.evaluate.pedestrians.recording import drive_figures, read_annotation, without_excused
from gradwatch.monitor.evaluate.pedestrians.report import pedestrians_report
from gradwatch.monitor.evaluate.pedestrians.scores import score_figures
from gradwatch.monitor.evaluate.pedestrians.tracks import (
    Labeled,
    Scored,
    byte_track,
    found_boxes,
    match,
    reported_tracks,
    track_figures,
)
from gradwatch.monitor.evaluate.replaying import broker_figures
from gradwatch.monitor.judging.judge import Judge
from gradwatch.monitor.judging.offline import judge_all, offline_stamp
from gradwatch.monitor.judging.settings import JudgeSettings
from gradwatch.monitor.judging.state import new_run

LATENCY_MS = {"decode": 1.0, "observe": 2.0, "judge": 3.0}
BOX = np.array([100.0, 100, 140, 200])
RIGHT = np.array([1.0, 0, 1, 0])


def frame(**people):
    """People by identity: `a` is 0, `b` is 1, …"""
    ids = np.array([ord(name) - ord("a") for name in people], np.int64)
    return Labeled(ids, np.array(list(people.values()), np.float64).reshape(-1, 4))


# -- tracks ----------------------------------------------------------------------------------------------------


def test_perfect_tracks():
    truth = [frame(a=BOX + t * RIGHT, b=BOX + 300 * RIGHT) for t in range(10)]
    tracks = [Labeled(t.identity + 7, t.xyxy) for t in truth]
    figures = track_figures(truth, tracks)
    assert {name: figures[name] for name in ("idf1", "mota", "recall", "precision")} == dict.fromkeys(
        ("idf1", "mota", "recall", "precision"), 1.0
    )
    assert (figures["id_switches"], figures["tracks"], figures["mostly_tracked"]) == (0, 2, 2)


def test_two_identities_that_are_swapped():
    """10 frames of two people, swapped after the fourth: 12 of 20 boxes have the identity that fits most often."""
    truth = [frame(a=BOX, b=BOX + 300 * RIGHT)] * 10
    tracks = [frame(a=BOX, b=BOX + 300 * RIGHT)] * 4 + [frame(b=BOX, a=BOX + 300 * RIGHT)] * 6
    figures = track_figures(truth, tracks)
    assert figures["id_switches"] == 2
    assert figures["mota"] == pytest.approx(1 - 2 / 20)
    assert figures["idf1"] == pytest.approx(12 / 20)
    assert figures["recall"] == figures["precision"] == 1


def test_what_is_missed_and_what_is_not_there():
    """Of 10 boxes 2 are missed and 3 more are invented, one of them by fitting too badly."""
    shifted = BOX + 25 * RIGHT  # IoU 15 / 65
    truth = [frame(a=BOX)] * 10
    tracks = [frame(a=BOX)] * 7 + [frame(a=shifted), frame(), frame(a=BOX, c=BOX + 200 * RIGHT)]
    figures = track_figures(truth, tracks)
    assert figures["recall"] == pytest.approx(8 / 10)
    assert figures["precision"] == pytest.approx(8 / 10)
    assert figures["mota"] == pytest.approx(1 - (2 + 2) / 10)


def test_frames_must_be_as_many():
    with pytest.raises(ValueError, match="expected tracks of 2 frames, got 1"):
        track_figures([frame(), frame()], [frame()])


def test_matching_takes_the_best_overlap_first_and_each_person_once():
    boxes = np.array([BOX + 6 * RIGHT, BOX + 2 * RIGHT, BOX + 300 * RIGHT, BOX + 25 * RIGHT])
    assert match(boxes, np.array([BOX, BOX + 298 * RIGHT])).tolist() == [-1, 0, 1, -1]
    assert match(np.empty((0, 4)), boxes).tolist() == []
    assert match(boxes, np.empty((0, 4))).tolist() == [-1] * 4


def test_byte_track_keeps_two_people_apart():
    frames = [
        Scored(np.array([BOX + 3 * t * RIGHT, BOX + (200 - 2 * t) * RIGHT], np.float32), np.full(2, 0.9, np.float32))
        for t in range(15)
    ]
    empty = Scored(np.empty((0, 4), np.float32), np.empty(0, np.float32))
    tracked = byte_track([*frames, empty], rate_hz=10)
    truth = [Labeled(np.arange(2), seen.xyxy.astype(np.float64)) for seen in frames]
    figures = track_figures(truth, tracked[:-1])
    assert (figures["id_switches"], figures["tracks"]) == (0, 2)
    assert figures["recall"] > 0.9
    assert tracked[-1].xyxy.shape == (0, 4)


# -- a scene of two people, through the judge --------------------------------------------------------------------

HEADS = {
    f"stride_{n}": Head(
        np.zeros((2, 4), np.float32), np.zeros(2, np.float32), "sigmoid", ("person", "dog"), "pedestrian"
    )
    for n in (8, 16)
}
FRAMES, RATE_HZ = 140, 10
SPEED_PX = 2.0  # a frame


@pytest.fixture(scope="module")
def scene(observations):
    """Somebody who walks, and a post that is taken for a pedestrian and read less surely; annotated is the walker."""
    generator = np.random.default_rng(4)
    truth, seen = [], []
    for t, blank in enumerate(observations(FRAMES, seed=2)):
        walker, post = BOX + SPEED_PX * t * RIGHT, BOX + 700 * RIGHT
        logits = np.array([[2.0, -4], [0.2, -3]]) + 0.3 * generator.normal(size=(2, 2))
        rows = {"stride_8": 0, "stride_16": 1} if t % 2 else {"stride_8": 1, "stride_16": 0}
        heads = {
            name: HeadOutputs(np.array([row], np.int32), logits[row : row + 1].astype(np.float32),
                              np.full((1, 4), 1 if name == "stride_8" else 8, np.float32))
            for name, row in rows.items()
        }  # fmt: skip
        boxes = Detections(
            np.array([walker, post], np.float32), np.array([0.9, 0.6], np.float32), np.full(2, PEDESTRIAN, np.int32)
        )
        truth.append(frame(a=walker))
        seen.append((offline_stamp("scene", t, t * 10**9 // RATE_HZ), with_field(blank, detections=boxes, heads=heads)))
    return truth, seen


@pytest.fixture(scope="module")
def judge():
    return Judge(HEADS, "models", JudgeSettings(calibration_frames=100))


@pytest.fixture(scope="module")
def reports(scene, judge):
    return [verdict.report for verdict in judge_all(scene[1][:60], judge, new_run(None, "scene", "offline"))]


def test_tracks_and_boxes_are_read_from_the_reports(scene, reports):
    figures = track_figures(scene[0][:60], [reported_tracks(report, "pedestrian") for report in reports])
    assert figures["recall"] == pytest.approx(59 / 60)  # a track counts from its second sighting on
    assert (figures["id_switches"], figures["tracks"]) == (0, 2)
    assert len(found_boxes(reports[5], "pedestrian").score) == 2
    assert len(found_boxes(reports[5], "sign").score) == 0
    assert len(reported_tracks(reports[0], "pedestrian").identity) == 0


def test_forecasts_of_a_steady_walker_are_right_and_standing_still_is_not(scene, reports):
    figures = forecast_figures(scene[0][:60], reports, "pedestrian")
    last = figures["horizons"][-1]
    assert last["horizon_s"] == pytest.approx(2.0)
    assert last["checked"] == 59 - 20  # the post is no person, and 2 s after the last 20 frames nobody was annotated
    assert last["still_px"] == pytest.approx(20 * SPEED_PX, rel=0.02)
    assert last["error_px"] < 10
    assert last["coverage"] == 1
    assert figures["fde_px"] == pytest.approx([last["error_px"], last["still_px"]])
    assert figures["ade_px"][0] < figures["fde_px"][0]
    gone = [frame()] * 60
    assert forecast_figures(gone, reports, "pedestrian")["horizons"][0]["checked"] == 0


def test_forecasts_that_miss_are_counted(scene, reports):
    away = [Labeled(t.identity, t.xyxy + (300 * RIGHT if i >= 30 else 0)) for i, t in enumerate(scene[0][:60])]
    first = forecast_figures(away, reports, "pedestrian")["horizons"][0]
    assert first["checked"] == 29  # made before the jump: only then is the track on the person
    assert first["coverage"] == pytest.approx(25 / 29)  # the last four fall due after it


def test_scores_tell_the_post_from_the_walker(scene, judge, monkeypatch):
    monkeypatch.setattr(person_scores, "CALIBRATED_ON", 100)
    figures = score_figures(*scene, judge)
    assert figures["frames"] == 40
    assert figures["by_head"] == {"stride_8": 40, "stride_16": 40}
    gradient, norm = (figures["by_score"][f"pedestrian_{n}"] for n in ("head_gradient_predicted", "feature_norm"))
    assert (gradient["people"], gradient["others"]) == (40, 40)
    assert gradient["auroc"] > 0.95
    assert gradient["raw_auroc"] < gradient["auroc"] - 0.1  # one stride's features are eight times the other's
    assert norm["auroc"] == pytest.approx(0.5)
    expectancy = figures["by_score"]["pedestrian_expectancy_gradient"]
    assert 0 < expectancy["others"] <= 40


def test_networks_without_pedestrian_heads_have_no_such_scores(scene):
    truth, seen = scene
    bare = [(f, with_field(o, heads={})) for f, o in seen]
    assert score_figures(truth, bare, Judge({}, "models", JudgeSettings())) == {"by_score": {}}


# -- synthetic drives ----------------------------------------------------------------------------------------------


def test_boxes_on_excused_people_count_for_nothing():
    due, excused = frame(a=BOX), frame(b=BOX + 300 * RIGHT)
    tracked = frame(c=BOX + 2 * RIGHT, d=BOX + 302 * RIGHT, e=BOX + 600 * RIGHT)
    kept = without_excused(tracked, due, excused)
    assert kept.identity.tolist() == [2, 4]  # a box on nobody remains an error
    both = without_excused(tracked, due, frame(b=BOX))
    assert both.identity.tolist() == [2, 3, 4]  # it may be on somebody who must be tracked


def test_people_of_drives_are_tracked(tmp_path, monkeypatch, observations, judge):
    """A detector that finds exactly the people who are there: what is missed are first sightings alone."""
    units = [replace(unit, last=40) for unit in pedestrians.DRIVES[:1]]
    monkeypatch.setattr(pedestrians, "DRIVES", units)
    for unit in units:
        drive, observed = drive_of(unit.seed), []
        for seq, blank in enumerate(observations(unit.last, seed=unit.seed)):
            xyxy = np.array([b.xyxy for b in drive.truth(seq) if b.kind == "pedestrian"], np.float32).reshape(-1, 4)
            count = len(xyxy)
            boxes = Detections(xyxy, np.full(count, 0.9, np.float32), np.full(count, PEDESTRIAN, np.int32))
            observed.append((offline_stamp("drive", seq, seq * 200_000_000), with_field(blank, detections=boxes)))
        store.save(tmp_path / unit.name, observed)
    figures = drive_figures(tmp_path, judge)
    assert (figures["drives"], figures["frames"]) == (1, 40)
    assert figures["people"] > 0
    ours = figures["tracks"]["gradwatch"]
    assert ours["precision"] > 0.9  # filtered boxes lag behind those who pass by at the picture's border
    assert ours["recall"] > 0.8


# -- files and the report ----------------------------------------------------------------------------------------


def test_annotation_is_read_by_frame(tmp_path):
    path = tmp_path / "gt.csv"
    path.write_text("frame,track_id,x,y,w,h\n0,9,1.5,2,10,20\n2,9,3,4,10,20\n2,4,5,6,1,2\n3,4,0,0,1,1\n")
    truth = read_annotation(path, frames=3)
    assert [t.identity.tolist() for t in truth] == [[9], [], [9, 4]]
    assert truth[0].xyxy.tolist() == [[1.5, 2, 11.5, 22]]
    assert truth[1].xyxy.shape == (0, 4)


def test_missing_files_are_named(tmp_path):
    with pytest.raises(MissingFileError, match=r"pets_a\.mp4, .*pets_a_gt\.csv"):
        pedestrians.evaluate_pedestrians(tmp_path, tmp_path, tmp_path, Judge({}, "models", JudgeSettings()))


def test_the_report_has_every_section(scene, judge, reports, monkeypatch):
    monkeypatch.setattr(person_scores, "CALIBRATED_ON", 100)
    truth = scene[0][:60]
    tracks = {name: track_figures(truth, own) for name, own in pedestrians.tracks_by(reports).items()}
    figures = {
        "models_id": "m",
        "broker": broker_figures([replace(r, latency_ms=LATENCY_MS) for r in reports], 60),
        "annotated": {"boxes": 60, "people": 1},
        "tracks": tracks,
        "drives": {"drives": 1, "frames": 60, "boxes": 60, "people": 1, "tracks": tracks, "scores": {"by_score": {}}},
        "forecasts": forecast_figures(truth, reports, "pedestrian"),
        "scores": score_figures(*scene, judge),
    }
    text = pedestrians_report(figures)
    assert "60 reports of 60 frames, one a frame: yes" in text
    assert "| gradwatch | " in text
    assert "| ByteTrack (cjm-byte-track) | " in text
    assert "| `pedestrian_head_gradient_predicted` | gradient | 40 / 40 |" in text
    assert "| 2.0 | 39 |" in text
    assert "synthetic drives" in text
    assert "synthetic drives" not in pedestrians_report(figures | {"drives": None})
    assert "no heads for pedestrians" in pedestrians_report(figures | {"scores": {"by_score": {}}})


def test_the_recording_is_there(shared):
    truth = read_annotation(shared / pedestrians.ANNOTATION, frames=450)
    assert sum(len(t.identity) for t in truth) == 2528
    assert len({int(i) for t in truth for i in t.identity}) == 11
