"""The crops that the sign classifier is trained on: cut out of frames of drives, and composed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gradwatch.models.outputs import SIGN_CLASSES
from gradwatch.models.training.frame_crops import FrameCrops, read_frame_crops
from gradwatch.models.training.sign_crops import HIDDEN_SHARE, compose_crop
from gradwatch.models.training.sign_pictures import NO_SIGN
from gradwatch.models.training.training_pictures import export_crops
from gradwatch.streams.world.signs import draw_sign


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("crops")
    export_crops(folder, [1001], frames_per_drive=5)
    return folder


def test_crops_of_drives_are_read_with_their_labels(folder: Path) -> None:
    crops = read_frame_crops([folder])
    assert crops.pixels.shape == (len(crops), 32, 32, 3)
    assert (crops.class_id != NO_SIGN).any()
    assert (crops.class_id == NO_SIGN).any()
    assert crops.class_id.max() < len(SIGN_CLASSES)
    assert crops.pixels.std(axis=(1, 2, 3)).min() > 0, "a crop without content"


def test_a_folder_without_crops_is_skipped(folder: Path, tmp_path: Path) -> None:
    assert len(read_frame_crops([tmp_path])) == 0
    assert len(read_frame_crops([tmp_path, folder])) == len(read_frame_crops([folder]))


def test_an_unknown_label_is_named(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "crops.csv").write_text("file,row,label\ncrops/1.png,0,no_honking\n")
    with pytest.raises(ValueError, match="no_honking"):
        read_frame_crops([tmp_path])


def test_types_come_equally_often_and_other_crops_apart() -> None:
    pixels = np.zeros((101, 32, 32, 3), np.uint8)
    batches = FrameCrops(pixels, np.array([0] * 90 + [1] * 10 + [NO_SIGN]))
    drawn, class_id = batches.signs(400, np.random.default_rng(0))
    assert drawn.shape == (400, 32, 32, 3)
    assert 150 < np.count_nonzero(class_id == 1) < 250
    assert len(batches.others(24, np.random.default_rng(0))) == 24


def test_without_frames_there_is_nothing_to_draw() -> None:
    nothing = read_frame_crops([])
    assert len(nothing.signs(32, np.random.default_rng(0))[0]) == len(nothing.others(24, np.random.default_rng(0))) == 0


def test_some_composed_signs_are_partly_hidden() -> None:
    """About a share of HIDDEN_SHARE shows less red than the median, and nearly all show some."""
    sign = draw_sign("stop", 64, 0)
    plain = [np.full((288, 512, 3), 90, np.uint8)]
    crops = [compose_crop(sign, True, plain, np.random.default_rng(seed), 40.0) for seed in range(200)]
    red = np.array([np.mean((c[..., 0] > c[..., 1] * 1.4)[6:26, 6:26]) for c in crops])
    hidden = np.mean(red < 0.75 * np.median(red))
    assert 0.3 * HIDDEN_SHARE < hidden < 1.5 * HIDDEN_SHARE
    assert np.mean(red > 0.1) > 0.97
