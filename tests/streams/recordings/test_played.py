from __future__ import annotations

import itertools
import re
import unicodedata
from pathlib import Path

import numpy as np
import pytest

from gradwatch.streams.challenges.table import apply_challenge
from gradwatch.streams.recordings.damage import MAX_AT_THE_START, RecordingError
from gradwatch.streams.recordings.pictures import jpegs, pictures
from gradwatch.streams.recordings.played import ChallengeOnset, Playback, legal_stream_id
from gradwatch.streams.recordings.video import video
from gradwatch.streams.wire.messages import check_stream_id
from gradwatch.streams.wire.pixels import decode_picture, encode_jpeg

from ...places import MOTORWAY

PICTURES = [encode_jpeg(np.full((24, 32, 3), 20 * i, np.uint8)) for i in range(6)]


def levels(frames) -> list[int]:
    """Which of PICTURES each frame shows."""
    return [round(float(decode_picture(frame.content).mean()) / 20) for frame in frames]


def test_encoded_pictures_pass_unchanged() -> None:
    frames = list(jpegs(PICTURES))
    assert [frame.content for frame in frames] == PICTURES
    assert [frame.capture_ns for frame in frames] == [i * 100_000_000 for i in range(6)]
    assert {frame.clock for frame in frames} == {"media"}


def test_a_range_includes_both_ends() -> None:
    assert levels(jpegs(PICTURES, Playback(first=2, last=4))) == [2, 3, 4]
    assert levels(jpegs(PICTURES, Playback(first=4))) == [4, 5]
    assert levels(jpegs(PICTURES, Playback(first=1, frames=2))) == [1, 2]


@pytest.mark.parametrize(
    ("first", "last", "expected"),
    [(0, 3, [0, 1, 2, 3, 2, 1, 0, 1, 2]), (2, 3, [2, 3, 2, 3, 2, 3, 2, 3, 2]), (5, 5, [5] * 9)],
)
def test_to_and_fro_repeats_no_end(first: int, last: int, expected: list[int]) -> None:
    source = jpegs(PICTURES, Playback(first=first, last=last, to_and_fro=True, rate_hz=5, frames=9))
    frames = list(source)
    assert levels(frames) == expected
    assert [frame.capture_ns for frame in frames] == [i * 200_000_000 for i in range(9)]


def test_to_and_fro_is_endless() -> None:
    source = jpegs(PICTURES, Playback(to_and_fro=True, rate_hz=5))
    assert len(list(itertools.islice(source, 1000))) == 1000


def test_an_uneven_rate_does_not_drift() -> None:
    frames = list(jpegs(PICTURES, Playback(rate_hz=3)))
    assert frames[3].capture_ns == 1_000_000_000


def test_a_challenge_begins_at_its_onset() -> None:
    challenge = ChallengeOnset("darkening", 3, seed=7, onset_seq=4)
    frames = list(jpegs(PICTURES, Playback(challenge=challenge)))
    assert [frame.content for frame in frames[:4]] == PICTURES[:4]
    for seq in (4, 5):
        expected = apply_challenge(decode_picture(PICTURES[seq]), "darkening", 3, 7, seq)
        assert frames[seq].content == encode_jpeg(expected)
        assert levels([frames[seq]])[0] < seq


@pytest.mark.parametrize("wrong", [{"rate_hz": 0}, {"first": -1}, {"first": 3, "last": 2}, {"to_and_fro": True}])
def test_an_illegal_playback_is_refused(wrong: dict) -> None:
    with pytest.raises(ValueError, match=r"^(rate|last|to-and-fro)\b"):
        Playback(**wrong)


def test_a_video_keeps_its_own_times() -> None:
    frames = list(video(MOTORWAY, Playback(first=10, last=12)))
    assert len(frames) == 3
    steps_ns = np.diff([frame.capture_ns for frame in frames])
    assert abs(steps_ns - 40_000_000).max() < 1_000_000
    assert decode_picture(frames[0].content).shape == (540, 960, 3)
    assert video(MOTORWAY).name == "motorway"


def test_a_folder_is_played_in_the_order_of_names_and_unchanged(tmp_path: Path) -> None:
    for i in (2, 0, 1):
        (tmp_path / f"{i}.JPG").write_bytes(PICTURES[i])
    (tmp_path / "notes.txt").write_text("no picture")
    assert [frame.content for frame in pictures(tmp_path)] == PICTURES[:3]
    with pytest.raises(FileNotFoundError, match=r"expected pictures \(\.jpg, \.jpeg, \.png\), videos or a bag in"):
        pictures(tmp_path / "empty")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("my clip (1)", r"my-clip-1-[0-9a-f]{6}"),
        ("..x", r"x-[0-9a-f]{6}"),
        ("Été", r"Ete-[0-9a-f]{6}"),
        ("камера", r"source-[0-9a-f]{6}"),
        ("前方カメラ1", r"1-[0-9a-f]{6}"),
        ("", r"source-[0-9a-f]{6}"),
        ("\udcff.mp4", r"mp4-[0-9a-f]{6}"),  # a name on disk that is not UTF-8
        ("a" * 99, r"a{56}-[0-9a-f]{6}"),
        ("north_gate-3.left", r"north_gate-3\.left"),
        ("h:554/live", "h-554-live"),
    ],
)
def test_any_name_becomes_a_legal_stream_id(name: str, expected: str) -> None:
    assert re.fullmatch(expected, legal_stream_id(name))
    assert legal_stream_id(name) == check_stream_id(legal_stream_id(name))


def test_names_that_differ_have_different_stream_ids() -> None:
    names = [
        "камера",
        "видео",
        "前方カメラ1",
        "後方カメラ1",
        "a b",
        "a-b",
        "a  b",
        "a_b",
        "é",
        "e",
        "x" * 63,
        "x" * 64,
        "x" * 65,
    ]
    assert len({legal_stream_id(name) for name in names}) == len(names)
    assert legal_stream_id(unicodedata.normalize("NFD", "Caméra")) == legal_stream_id("Caméra")


def test_a_first_frame_beyond_the_end_is_refused_with_the_length() -> None:
    with pytest.raises(RecordingError, match="first: expected a frame from 0 to 5 of jpegs, got 6"):
        list(jpegs(PICTURES, Playback(first=6)))
    with pytest.raises(RecordingError, match="first: expected a frame from 0 to 5"):
        list(jpegs(PICTURES, Playback(first=9, last=12, rate_hz=5, to_and_fro=True)))


def test_what_lies_about_in_a_folder_is_passed_over(tmp_path: Path) -> None:
    for i, name in enumerate(["f1.jpg", "f10.jpg", "f2.jpg", "f9.jpg"]):
        (tmp_path / name).write_bytes(PICTURES[i])
        (tmp_path / f"._{name}").write_bytes(b"\x00\x05\x16\x07Mac OS X")
    (tmp_path / "f3.jpg").write_bytes(b"")
    (tmp_path / "f4.png").write_bytes(PICTURES[0][:200])
    (tmp_path / "f5.jpg").mkdir()
    source = pictures(tmp_path)
    for _ in range(2):
        assert levels(source) == [0, 2, 3, 1]
        assert source.dropped == {"undecodable": 2}


def test_a_folder_without_one_whole_picture_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"")
    with pytest.raises(RecordingError, match=r"no frame can be played; a\.jpg: expected the bytes of a JPEG"):
        list(pictures(tmp_path))


def test_a_recording_that_begins_with_nothing_but_damage_is_given_up(tmp_path: Path) -> None:
    for i in range(MAX_AT_THE_START + 10):
        (tmp_path / f"{i:04d}.jpg").write_bytes(b"RAW camera file")
    (tmp_path / "9999.jpg").write_bytes(PICTURES[0])
    with pytest.raises(RecordingError, match=rf"none of the first {MAX_AT_THE_START} frames can be played; 0000\.jpg"):
        list(pictures(tmp_path))
