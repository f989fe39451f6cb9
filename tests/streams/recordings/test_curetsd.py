"""CURE-TSD's names and annotations, and our own drives written as CURE-TSD files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradwatch.streams.recordings.curetsd import (
    ANNOTATION_HEADER,
    CHALLENGE_NAMES,
    TEST_SEQUENCES,
    AnnotationError,
    RecordingName,
    RecordingNameError,
    RecordingTruth,
    SignBox,
    open_recording,
    parse_annotation,
    read_annotation,
    write_annotation,
    write_recording,
)
from gradwatch.streams.world.signs import SIGN_LABELS

CHALLENGED = st.tuples(st.integers(1, 12), st.integers(1, 5)) | st.just((0, 0))
NAMES = st.builds(
    lambda kind, number, challenge: RecordingName(kind, number, *challenge),
    st.integers(1, 2),
    st.integers(1, 49),
    CHALLENGED,
)


@dataclass(frozen=True)
class Box:
    kind: str
    label: str
    xyxy: tuple[float, float, float, float]


@given(NAMES)
def test_names_survive_the_round_trip(name: RecordingName) -> None:
    assert RecordingName.parse(str(name)) == name
    assert RecordingName.parse(name.file_name) == name
    assert len(str(name)) == 14
    assert name.with_challenge(name.challenge, name.level) == name


@given(NAMES)
def test_the_clean_twin_is_the_same_drive_without_challenge(name: RecordingName) -> None:
    twin = name.clean_twin()
    assert str(twin) == f"{name.sequence_type:02d}_{name.sequence_number:02d}_00_00_00"
    assert twin.annotation_name == name.annotation_name
    assert twin.split == name.split


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
def test_other_names_are_refused_with_the_pattern(text: str) -> None:
    with pytest.raises(RecordingNameError, match="sequenceType_sequenceNumber_challengeSourceType"):
        RecordingName.parse(text)


@pytest.mark.parametrize(
    "text", ["01_04_00_09_03.mp4", "01_04_01_00_00.mp4", "01_04_01_13_01.mp4", "01_00_00_00_00.mp4", "01_04_01_09_00"]
)
def test_contradictory_names_are_refused(text: str) -> None:
    with pytest.raises(RecordingNameError):
        RecordingName.parse(text)


def test_official_split_has_30_percent_of_the_sequences() -> None:
    assert [len(TEST_SEQUENCES[kind]) for kind in (1, 2)] == [15, 15]
    real_test = [number for number in range(1, 50) if RecordingName(1, number).split == "test"]
    assert real_test == [4, 5, 6, 7, 8, 18, 19, 21, 24, 26, 31, 38, 39, 41, 47]
    assert RecordingName(2, 36).split == "test"
    assert RecordingName(2, 4).split == "test"
    assert RecordingName(2, 5).split == "train"


def test_challenge_and_sign_names_stand_at_their_numbers() -> None:
    assert [CHALLENGE_NAMES.index(name) for name in ("none", "darkening", "noise", "rain", "haze")] == [0, 4, 8, 9, 12]
    assert (SIGN_LABELS[6 - 1], SIGN_LABELS[10 - 1], SIGN_LABELS[13 - 1]) == ("stop", "no_right", "yield")
    with pytest.raises(RecordingNameError, match="challenge must be one of"):
        RecordingName(1, 1).with_challenge("drizzle", 1)


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
    truth = read_annotation(path)
    assert truth.at(0) == (SignBox(9, "no_left", (942, 593, 958, 608)),)
    assert truth.at(60) == (SignBox(5, "no_parking", (1288, 241, 1307, 262)),)
    assert truth.at(239) == (SignBox(14, "parking", (1033, 214, 1095, 293)), SignBox(6, "stop", (1, 2, 3, 4)))
    assert truth.at(1) == ()


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
def test_broken_files_are_refused_whatever_is_in_them(content: bytes) -> None:
    with pytest.raises(AnnotationError, match=r"a\.txt.*: expected") as caught:
        parse_annotation(content, "a.txt")
    assert len(str(caught.value)) < 400


BOXES = st.tuples(st.integers(1, 14), *[st.integers(0, 800)] * 4).map(
    lambda v: SignBox(v[0], SIGN_LABELS[v[0] - 1], (v[1], v[2], v[1] + v[3], v[2] + v[4]))
)


@given(boxes=st.dictionaries(st.integers(0, 1500), st.lists(BOXES, min_size=1, max_size=3).map(tuple), max_size=5))
def test_annotations_survive_the_round_trip(
    tmp_path_factory: pytest.TempPathFactory, boxes: dict[int, tuple[SignBox, ...]]
) -> None:
    path = tmp_path_factory.getbasetemp() / "02_01.txt"
    write_annotation(path, RecordingTruth(boxes))
    assert read_annotation(path).boxes == boxes


def test_a_written_row_is_the_published_one(tmp_path: Path) -> None:
    path = tmp_path / "01_01.txt"
    write_annotation(path, RecordingTruth({239: (SignBox(14, "parking", (1033.2, 213.9, 1095, 293)),)}))
    assert path.read_text() == f"{ANNOTATION_HEADER}\n240_14_1033_214_1095_214_1033_293_1095_293\n"


def test_a_drive_becomes_a_recording(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    images = [np.full((64, 96, 3), rng.integers(0, 256, 3), np.uint8) for _ in range(4)]

    def truth(seq: int) -> list[Box]:
        walker = Box("pedestrian", "pedestrian", (1, 2, 10, 30))
        return [walker, Box("sign", "yield", (10.0 + seq, 5, 30.4 + seq, 25))] if seq else [walker]

    name = RecordingName(2, 3).with_challenge("haze", 2)
    recording = write_recording(tmp_path / "drives", name, iter(images), truth)
    assert recording.path.name == "02_03_01_12_02.mp4"
    again = open_recording(recording.path)
    frames = list(again.frames())
    assert [frame.time_ns for frame in frames] == [0, 100_000_000, 200_000_000, 300_000_000]
    assert max(np.abs(frame.image.astype(int) - image).max() for frame, image in zip(frames, images, strict=True)) <= 4
    assert again.truth().at(0) == ()
    assert again.truth().at(2) == (SignBox(13, "yield", (12, 5, 32, 25)),)


def test_recordings_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="expected a recording at"):
        open_recording(tmp_path / "01_01_00_00_00.mp4")
    with pytest.raises(FileNotFoundError, match="expected an annotation at"):
        read_annotation(tmp_path / "01_01.txt")
    with pytest.raises(ValueError, match="label of a sign must be one of"):
        write_recording(
            tmp_path,
            RecordingName(2, 1),
            [np.zeros((16, 16, 3), np.uint8)],
            lambda seq: [Box("sign", "moose", (0, 0, 1, 1))],
        )
