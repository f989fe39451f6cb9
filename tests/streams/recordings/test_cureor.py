"""CURE-OR's names, and folders in its form played in order."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradwatch.streams.recordings.cureor import CATEGORY_OF, CHALLENGE_NAMES, OBJECT_PICTURES, ObjectName, twin_path
from gradwatch.streams.recordings.labeled import PictureNameError
from gradwatch.streams.sources import SOURCES
from gradwatch.streams.wire.pixels import encode_jpeg

LEVELS = {1: 0, 10: 0, 2: 4, 11: 4}  # the highest of each type, else 5
CHALLENGED = st.integers(1, 18).flatmap(
    lambda kind: st.tuples(st.just(kind), st.integers(min(1, LEVELS.get(kind, 5)), LEVELS.get(kind, 5)))
)
NAMES = st.builds(
    lambda place, number, challenge: ObjectName(*place, number, *challenge),
    st.tuples(*[st.integers(1, 5)] * 3),
    st.integers(1, 100),
    CHALLENGED,
)
FILES = [
    "01_no_challenge/white/HTC/1_2_3_040_01_0.jpg",
    "10_grayscale_no_challenge/3d1/DSLR_JPG/4_5_5_092_10_0.jpg",
    "18_grayscale_saltpepper/Level_4/3d1/DSLR_JPG/4_5_5_092_18_4.jpg",
    "05_blur/Level_3/white/HTC/1_2_3_040_05_3.jpg",
    "05_blur/Level_1/white/HTC/1_2_3_040_05_1.jpg",
    "05_blur/Level_1/white/HTC/1_2_3_005_05_1.jpg",
]
IN_ORDER = ["1_2_3_040_01_0", "1_2_3_005_05_1", "1_2_3_040_05_1", "1_2_3_040_05_3", "4_5_5_092_10_0", "4_5_5_092_18_4"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for i, name in enumerate(FILES):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode_jpeg(np.full((16, 16, 3), 30 * i, np.uint8)))
    return tmp_path


@given(NAMES)
def test_names_survive_the_round_trip(name: ObjectName) -> None:
    assert ObjectName.parse(str(name)) == ObjectName.parse(name.file_name) == name


@given(NAMES)
def test_the_clean_twin_keeps_view_and_color(name: ObjectName) -> None:
    twin = name.clean_twin()
    assert (twin.challenge, twin.level) == ("grayscale" if name.challenge.startswith("grayscale") else "none", 0)
    assert str(twin)[:9] == str(name)[:9]
    assert twin.clean_twin() == twin


def test_a_published_name() -> None:
    name = ObjectName.parse("4_5_5_092_18_4.jpg")
    assert name.facets == {
        "challenge": "grayscale_salt_and_pepper",
        "level": "4",
        "class": "toy",
        "object": "092",
        "background": "3d_living_room",
        "device": "nikon_d80",
        "orientation": "top",
    }


def test_challenges_and_categories_stand_at_their_numbers() -> None:
    assert len(CHALLENGE_NAMES) == 18
    assert [CHALLENGE_NAMES.index(name) + 1 for name in ("none", "dirty_lens_2", "grayscale", "grayscale_resize")] == [
        *(1, 8, 10, 11)
    ]
    assert Counter(CATEGORY_OF.values()) == {
        "toy": 23,
        "personal": 10,
        "office": 14,
        "household": 27,
        "sports": 10,
        "health": 16,
    }
    assert sorted(CATEGORY_OF) == list(range(1, 101))
    assert [CATEGORY_OF[number] for number in (99, 34, 97, 68, 94)] == [
        *("personal", "office", "household", "sports", "health")
    ]


@pytest.mark.parametrize(
    "text", ["", "1_2_3_40_05_3.jpg", "01_02_03_040_05_03.jpg", "6_2_3_040_05_3.jpg", "1_2_3_040_05_3.bmp"]
)
def test_other_names_are_refused_with_the_pattern(text: str) -> None:
    with pytest.raises(PictureNameError, match="backgroundID_deviceID_objectOrientationID_objectID"):
        ObjectName.parse(text)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("1_2_3_101_05_3", "object_number must be from 1 to 100"),
        ("1_2_3_040_19_3", "challenge_type must be from 1 to 18"),
        ("1_2_3_040_01_1", "level of none must be from 0 to 0"),
        ("1_2_3_040_02_5", "level of resize must be from 1 to 4"),
        ("1_2_3_040_05_0", "level of gaussian_blur must be from 1 to 5"),
    ],
)
def test_numbers_that_the_data_set_does_not_have_are_refused(text: str, why: str) -> None:
    with pytest.raises(PictureNameError, match=why):
        ObjectName.parse(text)


def test_a_folder_is_played_in_order_and_unchanged(folder: Path) -> None:
    read = OBJECT_PICTURES.read(folder)
    assert [str(name) for name in read.names] == IN_ORDER
    frames = list(SOURCES["cureor"](folder))
    assert [frame.content for frame in frames] == [path.read_bytes() for path in read.paths]
    chosen = OBJECT_PICTURES.read(
        folder, {"challenge": ["none", "gaussian_blur"], "object": ["040"], "device": ["htc_one_x"]}
    )
    assert [str(name) for name in chosen.names] == [IN_ORDER[0], *IN_ORDER[2:4]]
    assert len(OBJECT_PICTURES.read(folder, {"class": ["toy"], "level": ["0"]}).names) == 2


@pytest.mark.parametrize("name", FILES[2:5])
def test_the_twin_lies_where_the_data_set_has_it(folder: Path, name: str) -> None:
    twin = twin_path(folder / name)
    assert twin.is_file()
    assert ObjectName.parse(twin.name) == ObjectName.parse(Path(name).name).clean_twin()


def test_in_a_folder_of_ones_own_the_twin_lies_beside() -> None:
    assert twin_path(Path("mine/1_2_3_040_05_3.jpg")) == Path("mine/1_2_3_040_01_0.jpg")
