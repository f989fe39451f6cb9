"""CURE-TSR's names, and folders in its form played in order."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradwatch.streams.recordings.curetsr import CROPS, CropName, split_of, twin_path
from gradwatch.streams.recordings.labeled import PictureNameError
from gradwatch.streams.sources import SOURCES, Playback
from gradwatch.streams.wire.pixels import decode_picture

CHALLENGED = st.tuples(st.integers(1, 12), st.integers(1, 5)) | st.just((0, 0))
NAMES = st.builds(
    lambda kind, sign, challenge, index: CropName(kind, sign, *challenge, index),
    st.integers(1, 2),
    st.integers(1, 14),
    CHALLENGED,
    st.integers(0, 99_999),
)

FILES = {  # folder of the data set -> names
    "Real_Train/ChallengeFree": ["01_06_00_00_0002.bmp", "01_06_00_00_0001.bmp", "01_01_00_00_0010.bmp"],
    "Real_Train/Rain-2": ["01_06_09_02_0001.bmp"],
    "Real_Train/Rain-1": ["01_06_09_01_0001.bmp"],
    "Real_Test/ChallengeFree": ["01_06_00_00_0001.bmp"],
    "Unreal_Test/DirtyLens-5": ["02_14_05_05_0001.bmp"],
}
IN_ORDER = [
    *("01_01_00_00_0010", "01_06_00_00_0001", "01_06_00_00_0001", "01_06_00_00_0002"),
    *("02_14_05_05_0001", "01_06_09_01_0001", "01_06_09_02_0001"),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Crops of different sizes, each of a gray level of its own."""
    for i, path in enumerate(Path(at, name) for at, names in FILES.items() for name in names):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(tmp_path / path), np.full((20 + i, 30 - i, 3), 20 * i, np.uint8))
    (tmp_path / "README.txt").write_text("no crop")
    return tmp_path


@given(NAMES)
def test_names_survive_the_round_trip(name: CropName) -> None:
    assert CropName.parse(str(name)) == CropName.parse(name.file_name) == name


@given(NAMES)
def test_the_clean_twin_is_the_same_crop(name: CropName) -> None:
    twin = name.clean_twin()
    assert (twin.sequence_type, twin.sign_type, twin.index) == (name.sequence_type, name.sign_type, name.index)
    assert (twin.challenge, twin.level) == ("none", 0)


def test_a_published_name() -> None:
    name = CropName.parse("01_06_09_03_0001.bmp")
    assert (name.label, name.challenge, name.level, name.index) == ("stop", "rain", 3, 1)
    assert CropName.parse("02_14_12_05_0430").facets == {
        "challenge": "haze",
        "level": "5",
        "class": "parking",
        "type": "unreal",
    }


@pytest.mark.parametrize(
    "text",
    ["", "01_06_09_03.bmp", "1_6_9_3_1.bmp", "01_06_09_03_0001.jpg", "01_06_00_00_00_05_0003.bmp", "03_06_00_00_0001"],
)
def test_other_names_are_refused_with_the_pattern(text: str) -> None:
    with pytest.raises(PictureNameError, match="sequenceType_signType_challengeType_challengeLevel_Index"):
        CropName.parse(text)


@pytest.mark.parametrize("text", ["01_15_00_00_0001", "01_00_00_00_0001", "01_06_13_01_0001", "01_06_00_01_0001"])
def test_contradictory_names_are_refused(text: str) -> None:
    with pytest.raises(PictureNameError):
        CropName.parse(text)


def test_a_folder_is_played_in_order_and_truth_stands_beside_it(folder: Path) -> None:
    crops = CROPS.read(folder)
    assert [str(name) for name in crops.names] == IN_ORDER
    frames = list(SOURCES["curetsr"](folder, Playback(rate_hz=5)))
    assert [frame.capture_ns for frame in frames] == [i * 200_000_000 for i in range(7)]
    for frame, path in zip(frames, crops.paths, strict=True):
        assert frame.encoding == "image/png"
        assert np.array_equal(decode_picture(frame.content), cv2.imread(str(path), cv2.IMREAD_COLOR_RGB))
        assert b"stop" not in frame.content
    assert len({decode_picture(frame.content).shape for frame in frames}) == 7
    assert list(SOURCES["curetsr"](folder)) == list(SOURCES["curetsr"](folder))


@pytest.mark.parametrize(
    ("only", "expected"),
    [
        ({"challenge": ["rain"]}, IN_ORDER[5:]),
        ({"challenge": ["none", "rain"], "level": ["0", "2"], "class": ["stop"]}, [*IN_ORDER[1:4], IN_ORDER[6]]),
        ({"type": ["unreal"]}, [IN_ORDER[4]]),
    ],
)
def test_crops_are_chosen_by_what_they_show(folder: Path, only: dict, expected: list[str]) -> None:
    assert [str(name) for name in CROPS.read(folder, only).names] == expected
    assert len(list(SOURCES["curetsr"](folder, only=only))) == len(expected)


def test_wrong_choices_say_what_there_is(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(PictureNameError, match=r"expected to choose by challenge, level, class, type, got 'weather'"):
        CROPS.read(folder, {"weather": ["rain"]})
    with pytest.raises(PictureNameError, match=r"challenge: expected one of none, .*, got 'drizzle'"):
        CROPS.read(folder, {"challenge": ["drizzle"]})
    with pytest.raises(PictureNameError, match=r"got none of challenge snow"):
        CROPS.read(folder, {"challenge": ["snow"]})
    with pytest.raises(FileNotFoundError, match="expected a folder of pictures"):
        CROPS.read(folder / "nothing")
    (folder / "Real_Train" / "photo.bmp").write_bytes(b"")
    with pytest.raises(PictureNameError, match=r"photo\.bmp"):
        CROPS.read(folder)


def test_split_and_twin_are_those_of_the_folder(folder: Path) -> None:
    crops = CROPS.read(folder, {"challenge": ["rain"]})
    assert {split_of(path) for path in crops.paths} == {"train"}
    assert twin_path(crops.paths[0]) == folder / "Real_Train" / "ChallengeFree" / "01_06_00_00_0001.bmp"
    assert twin_path(crops.paths[0]).is_file()
    assert split_of(folder / "Real_Test" / "ChallengeFree" / "01_06_00_00_0001.bmp") == "test"
    assert split_of(Path("mine/01_06_09_03_0001.bmp")) is None
    assert twin_path(Path("mine/01_06_09_03_0001.bmp")) == Path("mine/01_06_00_00_0001.bmp")
