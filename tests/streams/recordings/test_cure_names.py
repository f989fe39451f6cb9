"""File names of CURE-TSR and CURE-OR."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradwatch.streams.recordings.cure_names import (
    CATEGORY_OF,
    CURE_OR_CHALLENGES,
    CURE_TSD_CHALLENGES,
    CropName,
    CureNameError,
    ObjectName,
)
from gradwatch.streams.world.signs import SIGN_LABELS

CROPS = st.builds(
    lambda kind, sign, challenge, index: CropName(kind, sign, *challenge, index),
    st.integers(1, 2),
    st.integers(1, 14),
    st.tuples(st.integers(1, 12), st.integers(1, 5)) | st.just((0, 0)),
    st.integers(0, 99_999),
)
LEVELS = {1: 0, 10: 0, 2: 4, 11: 4}  # the highest of each type, else 5
OBJECTS = st.builds(
    lambda view, number, challenge: ObjectName(*view, number, *challenge),
    st.tuples(*[st.integers(1, 5)] * 3),
    st.integers(1, 100),
    st.integers(1, 18).flatmap(
        lambda kind: st.tuples(st.just(kind), st.integers(min(1, LEVELS.get(kind, 5)), LEVELS.get(kind, 5)))
    ),
)


@given(CROPS)
def test_crop_names_survive_the_round_trip(name: CropName) -> None:
    assert CropName.parse(str(name)) == CropName.parse(f"{name}.bmp") == name


@given(OBJECTS)
def test_object_names_survive_the_round_trip(name: ObjectName) -> None:
    assert ObjectName.parse(str(name)) == ObjectName.parse(f"{name}.jpg") == name


def test_published_names() -> None:
    crop = CropName.parse("01_06_09_03_0001.bmp")
    assert crop.facets == {"challenge": "rain", "level": "3", "class": "stop", "type": "real"}
    assert crop.index == 1
    assert CropName.parse("02_14_12_05_0430").facets == {
        "challenge": "haze",
        "level": "5",
        "class": "parking",
        "type": "unreal",
    }
    assert ObjectName.parse("4_5_5_092_18_4.jpg").facets == {
        "challenge": "grayscale_salt_and_pepper",
        "level": "4",
        "class": "toy",
        "object": "092",
        "background": "3d_living_room",
        "device": "nikon_d80",
        "orientation": "top",
    }


def test_challenges_signs_and_categories_have_their_numbers() -> None:
    names = ("none", "darkening", "noise", "rain", "haze")
    assert [CURE_TSD_CHALLENGES.index(name) for name in names] == [0, 4, 8, 9, 12]
    assert (SIGN_LABELS[6 - 1], SIGN_LABELS[10 - 1], SIGN_LABELS[13 - 1]) == ("stop", "no_right", "yield")
    assert len(CURE_OR_CHALLENGES) == 18
    names = ("none", "dirty_lens_2", "grayscale", "grayscale_resize")
    assert [CURE_OR_CHALLENGES.index(name) + 1 for name in names] == [1, 8, 10, 11]
    sizes = {"toy": 23, "personal": 10, "office": 14, "household": 27, "sports": 10, "health": 16}
    assert Counter(CATEGORY_OF.values()) == sizes
    assert sorted(CATEGORY_OF) == list(range(1, 101))
    assert [CATEGORY_OF[number] for number in (99, 34, 97, 68, 94)] == [
        *("personal", "office", "household", "sports", "health")
    ]


@pytest.mark.parametrize(
    "text",
    ["", "01_06_09_03.bmp", "1_6_9_3_1.bmp", "01_06_09_03_0001.jpg", "01_06_00_00_00_05_0003.bmp", "03_06_00_00_0001"],
)
def test_another_crop_name_is_refused_with_the_form(text: str) -> None:
    with pytest.raises(CureNameError, match="sequenceType_signType_challengeType_challengeLevel_Index"):
        CropName.parse(text)


@pytest.mark.parametrize(
    "text", ["", "1_2_3_40_05_3.jpg", "01_02_03_040_05_03.jpg", "6_2_3_040_05_3.jpg", "1_2_3_040_05_3.bmp"]
)
def test_another_object_name_is_refused_with_the_form(text: str) -> None:
    with pytest.raises(CureNameError, match="backgroundID_deviceID_objectOrientationID_objectID"):
        ObjectName.parse(text)


@pytest.mark.parametrize("text", ["01_15_00_00_0001", "01_00_00_00_0001", "01_06_13_01_0001", "01_06_00_01_0001"])
def test_numbers_that_cure_tsr_does_not_have_are_refused(text: str) -> None:
    with pytest.raises(CureNameError):
        CropName.parse(text)


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
def test_numbers_that_cure_or_does_not_have_are_refused(text: str, why: str) -> None:
    with pytest.raises(CureNameError, match=why):
        ObjectName.parse(text)
