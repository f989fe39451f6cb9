"""The table of splits is consistent, agrees with the data, and refuses unknown data."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gradwatch.models.training.splits import (
    SAME_SCENE_BITS,
    SplitError,
    SplitRow,
    check_splits,
    content_hash,
    near_duplicate_groups,
    parse_splits,
    read_splits,
    use_of,
)

ROW = SplitRow("videos/a.mp4", "0" * 16, 0, 9, "train", "a")


def test_the_committed_table_is_consistent() -> None:
    assert len(read_splits()) > 1000
    assert {row.use for row in read_splits()} == {"train", "calibrate", "judge"}


@pytest.mark.parametrize(
    ("path", "frame", "use"),
    [
        ("gtsrb32/train/00.png", None, "train"),
        ("gtsrb32/test_public_0.png", None, "judge"),
        ("videos/solidWhiteRight.mp4", 109, "calibrate"),
        ("videos/solidWhiteRight.mp4", 110, "judge"),
        ("/anywhere/data/videos/people-detection.264", None, "calibrate"),
        ("it_signs/crops.zip", None, "judge"),
        ("sign_artwork/openclipart_roadsigns_svg.zip", None, "train"),
    ],
)
def test_uses(path: str, frame: int | None, use: str) -> None:
    assert use_of(path, frame) == use


@pytest.mark.parametrize(
    "folder", ["it_signs", "real_weather", "kitti", "inria_person", "ood_sets", "road_frames_unlabelled"]
)
def test_data_that_must_not_be_trained_on(folder: str) -> None:
    paths = {row.path for row in read_splits() if row.path.startswith(folder + "/")}
    assert paths
    assert {row.use for row in read_splits() if row.path in paths} <= {"calibrate", "judge"}


def test_unknown_data_and_frames_are_refused() -> None:
    with pytest.raises(SplitError, match=r"nowhere\.jpg is in no row"):
        use_of("road/nowhere.jpg")
    with pytest.raises(SplitError, match="frame 221"):
        use_of("videos/solidWhiteRight.mp4", 221)
    with pytest.raises(SplitError, match="name the frame: frames 0-109 calibrate"):
        use_of("videos/solidWhiteRight.mp4")


def test_overlapping_frames_are_refused() -> None:
    check_splits([ROW, replace(ROW, first=10, last=19)])
    with pytest.raises(SplitError, match=r"frames 0-9 of videos/a\.mp4 \(train\) overlap frames 9-19"):
        check_splits([ROW, replace(ROW, first=9, last=19, use="judge", group="b")])
    copy = replace(ROW, path="copy.mp4", first=None, last=None, use="judge", group="b")
    with pytest.raises(SplitError, match=r"overlap the whole file of copy\.mp4"):
        check_splits([ROW, copy])


@pytest.mark.parametrize("use", ["judge", "calibrate"])
def test_groups_with_another_use_besides_training_are_refused(use: str) -> None:
    with pytest.raises(SplitError, match="group 'a' is trained on"):
        check_splits([ROW, replace(ROW, path="b.jpg", sha256="1" * 16, use=use)])
    check_splits([ROW, replace(ROW, path="b.jpg", sha256="1" * 16, use=use, group="b")])


def test_unknown_uses_and_columns_are_refused() -> None:
    with pytest.raises(SplitError, match=r"one of train, calibrate, judge, got 'test'"):
        check_splits([replace(ROW, use="test")])
    with pytest.raises(SplitError, match="must have the columns"):
        parse_splits("path,use\na,train\n")


def test_near_duplicates_chain_into_one_group() -> None:
    rng = np.random.default_rng(0)
    scene = rng.random(256) < 0.5
    shifted = scene.copy()
    shifted[:SAME_SCENE_BITS] ^= True
    further = shifted.copy()
    further[SAME_SCENE_BITS : 2 * SAME_SCENE_BITS] ^= True
    assert near_duplicate_groups(np.stack([further, rng.random(256) < 0.5, scene, shifted])) == [0, 1, 0, 0]


@pytest.mark.shared
def test_the_data_match_the_table(shared: Path) -> None:
    expected = {row.path: row.sha256 for row in read_splits()}
    assert {path: content_hash(shared / "data" / path) for path in expected} == expected


@pytest.mark.shared
def test_a_renamed_copy_keeps_its_use(shared: Path, tmp_path: Path) -> None:
    copy = tmp_path / "motorway.mp4"
    shutil.copy(shared / "data" / "videos" / "solidWhiteRight.mp4", copy)
    assert use_of(copy, 0) == "calibrate"
    assert use_of(copy, 220) == "judge"
