"""CURE-TSD's names and annotations."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradwatch.streams.recordings.cure_names import CureNameError
from gradwatch.streams.recordings.curetsd import (
    ANNOTATION_HEADER,
    TEST_SEQUENCES,
    AnnotationError,
    RecordingName,
    SignBox,
    parse_annotation,
    read_annotation,
)
from gradwatch.streams.world.signs import SIGN_LABELS

CHALLENGED = st.tuples(st.integers(1, 12), st.integers(1, 5)) | st.just((0, 0))
NAMES = st.builds(
    lambda kind, number, challenge: RecordingName(kind, number, *challenge),
    st.integers(1, 2),
    st.integers(1, 49),
    CHALLENGED,
)


@given(NAMES)
def test_names_survive_the_round_trip(name: RecordingName) -> None:
    assert RecordingName.parse(str(name)) == name
    assert RecordingName.parse(f"{name}.mp4") == name
    assert len(str(name)) == 14


def test_a_published_name() -> None:
    name = RecordingName.parse("01_04_01_09_03.mp4")
    assert (name.challenge, name.level, name.split) == ("rain", 3, "test")
    assert name.annotation_name == "01_04.txt"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "01_٤٥_01_09_03.mp4",
        "1_4_1_9_3.mp4",
        "03_04_01_09_03.mp4",
        "01_04_01_09_06.mp4",
        "01_04_01_09_03.avi",
        "01_04_01_09_03_01.mp4",
    ],
)
def test_another_name_is_refused_with_the_form(text: str) -> None:
    with pytest.raises(CureNameError, match="sequenceType_sequenceNumber_challengeSourceType"):
        RecordingName.parse(text)


@pytest.mark.parametrize(
    "text", ["01_04_00_09_03.mp4", "01_04_01_00_00.mp4", "01_04_01_13_01.mp4", "01_00_00_00_00.mp4", "01_04_01_09_00"]
)
def test_contradictory_names_are_refused(text: str) -> None:
    with pytest.raises(CureNameError):
        RecordingName.parse(text)


def test_the_official_split_has_30_percent_of_the_sequences() -> None:
    assert [len(TEST_SEQUENCES[kind]) for kind in (1, 2)] == [15, 15]
    real_test = [number for number in range(1, 50) if RecordingName(1, number).split == "test"]
    assert real_test == [4, 5, 6, 7, 8, 18, 19, 21, 24, 26, 31, 38, 39, 41, 47]
    assert RecordingName(2, 36).split == "test"
    assert RecordingName(2, 4).split == "test"
    assert RecordingName(2, 5).split == "train"


@pytest.mark.parametrize("header", [True, False])
def test_published_rows(tmp_path: Path, header: bool) -> None:
    rows = [
        "001_09_942_593_958_593_942_608_958_608",
        "061_05_1288_241_1307_241_1288_262_1307_262",
        "240_14_1033_214_1095_214_1033_293_1095_293",
        "240_06_1_2_3_2_1_4_3_4",
    ]
    path = tmp_path / "01_01.txt"
    path.write_text("\n".join([ANNOTATION_HEADER] * header + rows) + "\n")
    assert read_annotation(path) == {
        0: [SignBox(9, "no_left", (942, 593, 958, 608))],
        60: [SignBox(5, "no_parking", (1288, 241, 1307, 262))],
        239: [SignBox(14, "parking", (1033, 214, 1095, 293)), SignBox(6, "stop", (1, 2, 3, 4))],
    }


@pytest.mark.parametrize(
    "row", ["001_09_1_2_3", "000_09_1_2_3_2_1_4_3_4", "001_15_1_2_3_2_1_4_3_4", "001_09_1_2_x_2_1_4_3_4"]
)
def test_broken_rows_name_file_and_line(tmp_path: Path, row: str) -> None:
    path = tmp_path / "01_01.txt"
    path.write_text(f"{ANNOTATION_HEADER}\n{row}\n")
    with pytest.raises(AnnotationError, match=r"01_01\.txt:2: expected"):
        read_annotation(path)


@pytest.mark.parametrize(
    "content",
    [
        b"\xff\xfe\x00binary",
        "001_09_١_2_3_2_1_4_3_4".encode(),  # a digit of another script
        b"001_09_" + b"9" * 5000 + b"_2_3_2_1_4_3_4",  # more digits than int() takes
        b"001_09_" + b"9" * 400 + b"_2_3_2_1_4_3_4",  # more than a float holds
        b"_" * 1_000_000,
    ],
)
def test_any_broken_file_is_refused(content: bytes) -> None:
    with pytest.raises(AnnotationError, match=r"a\.txt.*: expected") as caught:
        parse_annotation(content, "a.txt")
    assert len(str(caught.value)) < 400


BOXES = st.tuples(st.integers(1, 14), *[st.integers(0, 800)] * 4).map(
    lambda v: SignBox(v[0], SIGN_LABELS[v[0] - 1], (v[1], v[2], v[1] + v[3], v[2] + v[4]))
)


@given(boxes=st.dictionaries(st.integers(0, 1500), st.lists(BOXES, min_size=1, max_size=3), max_size=5))
def test_written_boxes_are_read_back(boxes: dict[int, list[SignBox]]) -> None:
    lines = [ANNOTATION_HEADER]
    for seq, found in boxes.items():
        for box in found:
            x1, y1, x2, y2 = box.xyxy
            corners = (x1, y1, x2, y1, x1, y2, x2, y2)  # ll, lr (the top), ul, ur (the bottom)
            lines.append("_".join([f"{seq + 1:03d}", f"{box.sign_type:02d}", *map(str, corners)]))
    assert parse_annotation("\n".join(lines).encode(), "02_01.txt") == boxes


def test_a_missing_annotation_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="expected an annotation at"):
        read_annotation(tmp_path / "01_01.txt")
