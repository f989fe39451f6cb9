"""Bags of every storage and encoding, written by the usual libraries, and damaged bags."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rosbags", reason="bags need the extra 'bags'")
pytest.importorskip("mcap", reason="bags need the extra 'bags'")

from mcap.reader import make_reader

from gradwatch.streams.observability.metrics import SOURCE_FRAMES
from gradwatch.streams.recordings.bags.bag import bag
from gradwatch.streams.recordings.bags.files import BagError
from gradwatch.streams.recordings.damage import RecordingError
from gradwatch.streams.recordings.played import ChallengeOnset, Playback
from gradwatch.streams.wire.pixels import decode_picture

from .written_bags import (
    CAMERA,
    COMPRESSED,
    LOG_DELAY_NS,
    PICTURES,
    RAW,
    START_NS,
    STEP_NS,
    FoxgloveProtobuf,
    compressed,
    foxglove_json,
    pictures_as,
    raw,
    stamps,
    write_mcap,
    write_ros_bag,
)


def undecodable(stream_id: str) -> float:
    return SOURCE_FRAMES.labels(stream_id, "dropped", "undecodable")._value.get()


def write(kind: str, folder: Path) -> Path:
    """PICTURES as a bag of this kind."""
    if kind in ("sqlite3", "mcap"):
        return write_ros_bag(folder / "drive", {CAMERA: (COMPRESSED, pictures_as(compressed))}, kind)
    if kind == "db3":
        return next(write("sqlite3", folder).glob("*.db3"))
    path = folder / "drive.mcap"
    if kind == "cdr":
        return write_mcap(path, pictures_as(compressed))
    if kind == "json":
        schema = ("foxglove.CompressedImage", "jsonschema", b"{}")
        return write_mcap(path, pictures_as(foxglove_json), schema, "json")
    protobuf = FoxgloveProtobuf()
    schema = ("foxglove.CompressedImage", "protobuf", protobuf.descriptors)
    return write_mcap(path, pictures_as(protobuf), schema, "protobuf")


@pytest.mark.parametrize("kind", ["sqlite3", "mcap", "db3", "cdr", "json", "protobuf"])
def test_every_storage_yields_its_bytes_unchanged_at_the_stamps_of_the_headers(kind: str, tmp_path: Path) -> None:
    source = bag(write(kind, tmp_path))
    for _ in range(2):  # a second pass gives the same
        frames = list(source)
        assert [frame.content for frame in frames] == PICTURES
        assert [frame.capture_ns for frame in frames] == stamps(5)
        assert {(frame.clock, frame.encoding) for frame in frames} == {("utc", "image/jpeg")}
    assert source.name == "drive"


@pytest.mark.parametrize("options", [{"use_chunking": False}, {"repeat_channels": False}, {"chunk_size": 1}])
def test_mcap_without_chunks_or_summary_is_read(options: dict, tmp_path: Path) -> None:
    source = bag(write_mcap(tmp_path / "drive.mcap", pictures_as(compressed), **options))
    assert [frame.content for frame in source] == PICTURES


def test_a_bag_in_several_files_is_one_recording(tmp_path: Path) -> None:
    messages = pictures_as(compressed)
    folder = write_ros_bag(tmp_path / "drive", {CAMERA: (COMPRESSED, messages[:2])}, "mcap")
    write_mcap(folder / "drive_1.mcap", messages[2:])
    metadata = (folder / "metadata.yaml").read_text()
    first = next(path.name for path in folder.glob("*.mcap") if path.name != "drive_1.mcap")
    (folder / "metadata.yaml").write_text(metadata.replace(f"- {first}", f"- {first}\n  - drive_1.mcap", 1))
    assert [frame.content for frame in bag(folder)] == PICTURES


@pytest.mark.parametrize("mode", ["FILE", "MESSAGE"])
@pytest.mark.parametrize("storage", ["sqlite3", "mcap"])
def test_compressed_bags_are_read(mode: str, storage: str, tmp_path: Path) -> None:
    path = write_ros_bag(tmp_path / "drive", {CAMERA: (COMPRESSED, pictures_as(compressed))}, storage, mode)
    assert [frame.content for frame in bag(path)] == PICTURES


@pytest.mark.parametrize("encoding", ["rgb8", "bgr8", "mono8"])
@pytest.mark.parametrize("padding", [0, 5])
def test_raw_images_become_jpeg(encoding: str, padding: int, tmp_path: Path) -> None:
    image = np.zeros((16, 24, 3), np.uint8)
    image[:8, :, 0], image[8:, :, 2] = 200, 100  # red above, blue below
    pixels = {"rgb8": image, "bgr8": image[:, :, ::-1], "mono8": image[:, :, :1] + image[:, :, 2:]}[encoding]
    rows = np.pad(pixels.reshape(16, -1), ((0, 0), (0, padding)), constant_values=255)
    path = write_ros_bag(tmp_path / "drive", {CAMERA: (RAW, [(START_NS, raw(rows, 24, encoding, START_NS))])})
    (frame,) = bag(path, Playback(jpeg_quality=95))
    assert frame.encoding == "image/jpeg"
    expected = np.repeat(pixels, 3, axis=2) if encoding == "mono8" else image
    assert np.abs(decode_picture(frame.content)[2:6, 4:20].astype(int) - expected[2:6, 4:20]).max() < 12
    assert np.abs(decode_picture(frame.content)[10:14, 4:20].astype(int) - expected[10:14, 4:20]).max() < 12


def test_without_a_stamp_the_log_time_counts(tmp_path: Path) -> None:
    messages = [(ns, compressed(PICTURES[0], stamp_ns)) for ns, stamp_ns in zip(stamps(3), (0, -5, 0), strict=True)]
    assert [frame.capture_ns for frame in bag(write_mcap(tmp_path / "a.mcap", messages))] == stamps(3)


def test_capture_times_never_decrease(tmp_path: Path) -> None:
    order = [0, 2, 1, 3]
    messages = [(START_NS + i, compressed(PICTURES[k], stamps(5)[k])) for i, k in enumerate(order)]
    frames = list(bag(write_mcap(tmp_path / "a.mcap", messages)))
    assert [PICTURES.index(frame.content) for frame in frames] == order
    assert [(frame.capture_ns - START_NS) // STEP_NS for frame in frames] == [0, 0, 1, 3]


def test_a_bag_is_played_as_any_recording(tmp_path: Path) -> None:
    path = write("cdr", tmp_path)
    frames = list(bag(path, Playback(rate_hz=5, first=1, last=3), name="front"))
    assert [frame.content for frame in frames] == PICTURES[1:4]
    assert [(frame.capture_ns, frame.clock) for frame in frames] == [(i * 200_000_000, "media") for i in range(3)]
    assert bag(path, name="front").name == "front"
    dark = list(bag(path, Playback(challenge=ChallengeOnset("darkening", 5, onset_seq=4))))
    assert [frame.content for frame in dark[:4]] == PICTURES[:4]
    assert decode_picture(dark[4].content).mean() < decode_picture(PICTURES[4]).mean() / 2
    assert dark[4].capture_ns == stamps(5)[4]


@pytest.mark.parametrize("storage", ["sqlite3", "mcap"])
def test_with_several_topics_of_pictures_one_must_be_named(storage: str, tmp_path: Path) -> None:
    topics = {
        "/front": (COMPRESSED, pictures_as(compressed)),
        "/rear": (COMPRESSED, pictures_as(compressed)[:2]),
        "/imu": ("sensor_msgs/msg/Imu", []),
    }
    path = write_ros_bag(tmp_path / "drive", topics, storage)
    with pytest.raises(BagError, match=r"name one .*: /front \(sensor_msgs/msg/CompressedImage, cdr\), /rear \("):
        bag(path)
    assert len(list(bag(path, topic="/rear"))) == 2
    with pytest.raises(BagError, match=r"expected one of /front .*, /rear .*, got /imu"):
        bag(path, topic="/imu")


def test_a_bag_without_pictures_is_refused_with_its_topics(tmp_path: Path) -> None:
    path = write_ros_bag(tmp_path / "drive", {"/imu": ("sensor_msgs/msg/Imu", [])})
    with pytest.raises(BagError, match=r"expected a topic of pictures .* got /imu \(sensor_msgs/msg/Imu, cdr\)"):
        bag(path)
    with pytest.raises(RecordingError, match="empty: no frame can be played; it has none"):
        list(bag(write_mcap(tmp_path / "empty.mcap", [])))


@pytest.mark.parametrize("chunked", [True, False])
def test_a_cut_off_mcap_ends_with_one_counted_frame(chunked: bool, tmp_path: Path) -> None:
    whole = write_mcap(tmp_path / "whole.mcap", pictures_as(compressed), chunk_size=1, use_chunking=chunked)
    if chunked:  # zstd hides the pictures, so the last chunk is cut
        with whole.open("rb") as file:
            at = max(index.chunk_start_offset for index in make_reader(file).get_summary().chunk_indexes) + 60
    else:
        at = whole.read_bytes().rindex(PICTURES[4][20:60])
    cut = tmp_path / f"cut{int(chunked)}.mcap"
    cut.write_bytes(whole.read_bytes()[:at])
    before = undecodable(cut.stem)
    assert [frame.content for frame in bag(cut)] == PICTURES[:4]
    assert undecodable(cut.stem) - before == 1


@pytest.mark.parametrize("storage", ["sqlite3", "mcap"])
def test_a_last_message_that_is_cut_off_is_counted(storage: str, tmp_path: Path) -> None:
    messages = pictures_as(compressed)
    messages[4] = (messages[4][0], messages[4][1][:200])
    path = write_ros_bag(tmp_path / f"cut-{storage}", {CAMERA: (COMPRESSED, messages)}, storage)
    before = undecodable(path.stem)
    assert [frame.content for frame in bag(path)] == PICTURES[:4]
    assert undecodable(path.stem) - before == 1


@pytest.mark.parametrize("storage", ["sqlite3", "mcap"])
@pytest.mark.parametrize("broken", [0, 2])
def test_messages_without_a_picture_are_counted_and_passed_over(storage: str, broken: int, tmp_path: Path) -> None:
    messages = pictures_as(compressed)
    messages[broken] = (messages[broken][0], messages[broken][1][:200])
    messages[3] = (messages[3][0], compressed(b"", stamps(5)[3]))
    source = bag(write_ros_bag(tmp_path / "drive", {CAMERA: (COMPRESSED, messages)}, storage))
    assert [frame.content for frame in source] == [p for i, p in enumerate(PICTURES) if i not in (broken, 3)]
    assert source.dropped == {"undecodable": 2}


def test_pictures_of_another_format_are_refused(tmp_path: Path) -> None:
    h264 = [(ns, compressed(b"\x00\x00\x00\x01\x67" * 9, ns, "h264")) for ns in stamps(2)]
    with pytest.raises(RecordingError, match=r"message 0 .* expected a JPEG or PNG, got format 'h264'.*; play"):
        list(bag(write_mcap(tmp_path / "a.mcap", h264)))
    deep = [(ns, raw(np.zeros((4, 8), np.uint8), 4, "16UC1", ns)) for ns in stamps(2)]
    with pytest.raises(RecordingError, match=r"expected encoding rgb8, bgr8, .*, got '16UC1'"):
        list(bag(write_ros_bag(tmp_path / "b", {CAMERA: (RAW, deep)})))
    short = [(ns, raw(np.zeros((4, 8), np.uint8), 4, "rgb8", ns)) for ns in stamps(2)]
    with pytest.raises(RecordingError, match=r"expected 4 x 4 px of rgb8 in rows of 8 bytes"):
        list(bag(write_ros_bag(tmp_path / "c", {CAMERA: (RAW, short)})))


def test_a_chunk_with_a_flipped_bit_is_counted_and_passed_over(tmp_path: Path) -> None:
    path = write_mcap(tmp_path / "a.mcap", pictures_as(compressed), chunk_size=1)
    with path.open("rb") as file:
        at = make_reader(file).get_summary().chunk_indexes[2].chunk_start_offset
    content = bytearray(path.read_bytes())
    content[at + 120] ^= 0xFF
    path.write_bytes(content)
    source = bag(path)
    assert [frame.content for frame in source] == [p for i, p in enumerate(PICTURES) if i != 2]
    assert source.dropped == {"undecodable": 1}


@pytest.mark.parametrize("kept", [0.02, 0.5])
def test_a_cut_off_database_is_an_error(kept: float, tmp_path: Path) -> None:
    messages = [(ns, compressed(PICTURES[0] * 20, ns)) for ns in stamps(40)]
    (database,) = write_ros_bag(tmp_path / "drive", {CAMERA: (COMPRESSED, messages)}).glob("*.db3")
    content = database.read_bytes()
    database.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(BagError, match="expected a bag at"):
        list(bag(database))


def test_files_that_are_no_bags_are_refused(tmp_path: Path) -> None:
    for name, content in (("a.mcap", b""), ("b.mcap", b"no bag at all"), ("c.db3", b""), ("d.db3", b"no bag" * 999)):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(BagError, match=name):
            list(bag(tmp_path / name))
    sqlite3.connect(tmp_path / "other.db3").execute("create table notes (text)").connection.close()
    with pytest.raises(BagError, match=r"other\.db3"):
        list(bag(tmp_path / "other.db3"))
    (tmp_path / "old.bag").write_bytes(b"#ROSBAG V2.0\n")
    with pytest.raises(BagError, match="rosbags-convert --src"):
        bag(tmp_path / "old.bag")
    (tmp_path / "folder").mkdir()
    with pytest.raises(BagError, match=r"expected metadata\.yaml, or \.mcap or \.db3 files, in"):
        bag(tmp_path / "folder")
    with pytest.raises(FileNotFoundError, match="expected a bag at"):
        bag(tmp_path / "nothing.mcap")


def test_a_missing_file_of_a_bag_is_named(tmp_path: Path) -> None:
    for storage in ("sqlite3", "mcap"):
        folder = write_ros_bag(tmp_path / storage, {CAMERA: (COMPRESSED, pictures_as(compressed))}, storage)
        (file,) = (path for path in folder.iterdir() if path.name != "metadata.yaml")
        file.unlink()
        with pytest.raises(BagError, match=file.name):
            list(bag(folder))
    (folder / "metadata.yaml").write_text("{]")
    with pytest.raises(BagError, match=r"metadata\.yaml"):
        bag(folder)


def test_log_times_are_later_than_stamps_in_these_bags() -> None:
    """Otherwise a reader that confuses the two would pass."""
    assert LOG_DELAY_NS > 0


@pytest.mark.service
def test_without_the_extra_the_error_names_the_command(tmp_path: Path) -> None:
    path = write("cdr", tmp_path)
    code = (
        "import sys\n"
        "for name in ('rosbags', 'mcap'): sys.modules[name] = None\n"
        "from gradwatch.streams.sources import open_source\n"
        f"open_source({str(path)!r})\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "pip install 'gradwatch[bags]'" in run.stderr.splitlines()[-1]
