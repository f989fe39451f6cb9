"""Folders in the form of CURE-TSR and CURE-OR, chosen and played in order."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from gradwatch.streams.recordings.cure_names import CureNameError
from gradwatch.streams.recordings.damage import RecordingError
from gradwatch.streams.recordings.labeled import CURE_OR, CURE_TSR, LabeledPictures
from gradwatch.streams.recordings.played import Playback
from gradwatch.streams.wire.pixels import decode_picture, encode_jpeg

CROP_FILES = [
    "Real_Train/ChallengeFree/01_06_00_00_0002.bmp",
    "Real_Train/ChallengeFree/01_06_00_00_0001.bmp",
    "Real_Train/ChallengeFree/01_01_00_00_0010.bmp",
    "Real_Train/Rain-2/01_06_09_02_0001.bmp",
    "Real_Train/Rain-1/01_06_09_01_0001.bmp",
    "Real_Test/ChallengeFree/01_06_00_00_0001.bmp",
    "Unreal_Test/DirtyLens-5/02_14_05_05_0001.bmp",
]
CROPS_IN_ORDER = [
    *("01_01_00_00_0010", "01_06_00_00_0001", "01_06_00_00_0001", "01_06_00_00_0002"),
    *("02_14_05_05_0001", "01_06_09_01_0001", "01_06_09_02_0001"),
]
OBJECT_FILES = [
    "01_no_challenge/white/HTC/1_2_3_040_01_0.jpg",
    "10_grayscale_no_challenge/3d1/DSLR_JPG/4_5_5_092_10_0.jpg",
    "18_grayscale_saltpepper/Level_4/3d1/DSLR_JPG/4_5_5_092_18_4.jpg",
    "05_blur/Level_3/white/HTC/1_2_3_040_05_3.jpg",
    "05_blur/Level_1/white/HTC/1_2_3_040_05_1.jpg",
    "05_blur/Level_1/white/HTC/1_2_3_005_05_1.jpg",
]
OBJECTS_IN_ORDER = [
    *("1_2_3_040_01_0", "1_2_3_005_05_1", "1_2_3_040_05_1", "1_2_3_040_05_3", "4_5_5_092_10_0", "4_5_5_092_18_4")
]


@pytest.fixture
def crops(tmp_path: Path) -> Path:
    """Crops of different sizes, each with its own gray level."""
    for i, name in enumerate(CROP_FILES):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(tmp_path / name), np.full((20 + i, 30 - i, 3), 20 * i, np.uint8))
    (tmp_path / "README.txt").write_text("not a crop")
    return tmp_path


@pytest.fixture
def objects(tmp_path: Path) -> Path:
    for i, name in enumerate(OBJECT_FILES):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(encode_jpeg(np.full((16, 16, 3), 30 * i, np.uint8)))
    return tmp_path


def names(data_set: LabeledPictures, folder: Path, only: dict | None = None) -> list[str]:
    return [str(name) for _, name in data_set.read(folder, only)]


def test_crops_are_played_in_order_without_their_labels(crops: Path) -> None:
    assert names(CURE_TSR, crops) == CROPS_IN_ORDER
    frames = list(CURE_TSR.open(crops, Playback(rate_hz=5)))
    assert [frame.capture_ns for frame in frames] == [i * 200_000_000 for i in range(7)]
    for frame, (path, _) in zip(frames, CURE_TSR.read(crops), strict=True):
        assert frame.encoding == "image/png"
        assert np.array_equal(decode_picture(frame.content), cv2.imread(str(path), cv2.IMREAD_COLOR_RGB))
        assert b"stop" not in frame.content
    assert len({decode_picture(frame.content).shape for frame in frames}) == 7
    assert list(CURE_TSR.open(crops)) == list(CURE_TSR.open(crops))


@pytest.mark.parametrize(
    ("only", "expected"),
    [
        ({"challenge": ["rain"]}, CROPS_IN_ORDER[5:]),
        (
            {"challenge": ["none", "rain"], "level": ["0", "2"], "class": ["stop"]},
            [*CROPS_IN_ORDER[1:4], CROPS_IN_ORDER[6]],
        ),
        ({"type": ["unreal"]}, [CROPS_IN_ORDER[4]]),
    ],
)
def test_crops_are_chosen_by_their_labels(crops: Path, only: dict, expected: list[str]) -> None:
    assert names(CURE_TSR, crops, only) == expected
    assert len(list(CURE_TSR.open(crops, only=only))) == len(expected)


def test_an_illegal_choice_is_refused_with_the_legal_ones(crops: Path) -> None:
    with pytest.raises(RecordingError, match=r"expected to choose by challenge, level, class, type, got 'weather'"):
        CURE_TSR.read(crops, {"weather": ["rain"]})
    with pytest.raises(RecordingError, match=r"challenge: expected one of none, .*, got 'drizzle'"):
        CURE_TSR.read(crops, {"challenge": ["drizzle"]})
    with pytest.raises(RecordingError, match=r"got none of challenge snow"):
        CURE_TSR.read(crops, {"challenge": ["snow"]})
    with pytest.raises(FileNotFoundError, match="expected a folder of pictures"):
        CURE_TSR.read(crops / "nothing")
    (crops / "Real_Train" / "photo.bmp").write_bytes(b"")
    with pytest.raises(CureNameError, match=r"photo\.bmp"):
        CURE_TSR.read(crops)


def test_objects_are_played_in_order_and_unchanged(objects: Path) -> None:
    assert names(CURE_OR, objects) == OBJECTS_IN_ORDER
    contents = [path.read_bytes() for path, _ in CURE_OR.read(objects)]
    assert [frame.content for frame in CURE_OR.open(objects)] == contents
    only = {"challenge": ["none", "gaussian_blur"], "object": ["040"], "device": ["htc_one_x"]}
    assert names(CURE_OR, objects, only) == [OBJECTS_IN_ORDER[0], *OBJECTS_IN_ORDER[2:4]]
    assert len(names(CURE_OR, objects, {"class": ["toy"], "level": ["0"]})) == 2
