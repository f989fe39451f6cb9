"""The files of a bag: folders with and without metadata, packed files, and files that were made to fill memory."""

from __future__ import annotations

import resource
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("rosbags", reason="bags need the extra 'bags'")
pytest.importorskip("mcap", reason="bags need the extra 'bags'")

import lz4.frame
import zstandard
from mcap.writer import CompressionType

from gradwatch.streams.recordings.bags import files as bag_files_module
from gradwatch.streams.recordings.bags.bag import bag
from gradwatch.streams.recordings.bags.files import MAX_CHUNK_BYTES, BagError
from gradwatch.streams.recordings.damage import RecordingError
from gradwatch.streams.sources import kind_of

from .written_bags import CAMERA, COMPRESSED, PICTURES, compressed, pictures_as, write_mcap, write_ros_bag

MAGIC = b"\x89MCAP0\r\n"
BOMB_BYTES = 4 << 30
PACKED_BYTES = 512 << 20  # are enough to show that unpacking stops
MEMORY_BYTES = 3 << 30  # of address space: the packages take 1.5 GB of it


def contents(path: Path) -> list[bytes]:
    return [frame.content for frame in bag(path)]


@pytest.mark.parametrize("storage", ["sqlite3", "mcap"])
def test_a_folder_without_metadata_is_played_in_the_order_of_numbers(storage: str, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    for number, part in ((10, slice(3, 5)), (2, slice(0, 3))):
        made = write_ros_bag(tmp_path / str(number), {CAMERA: (COMPRESSED, pictures_as(compressed)[part])}, storage)
        file = next(path for path in made.iterdir() if path.name != "metadata.yaml")
        shutil.copy(file, folder / f"drive_{number}{file.suffix}")
        (folder / f"._drive_{number}{file.suffix}").write_bytes(b"Mac OS X")
    assert kind_of(folder) == "bag"
    assert contents(folder) == PICTURES


@pytest.mark.parametrize("suffix", [".zstd", ".zst"])
@pytest.mark.parametrize("storage", ["sqlite3", "mcap"])
def test_a_single_packed_file_is_unpacked(storage: str, suffix: str, tmp_path: Path) -> None:
    made = write_ros_bag(tmp_path / "drive", {CAMERA: (COMPRESSED, pictures_as(compressed))}, storage)
    file = next(path for path in made.iterdir() if path.name != "metadata.yaml")
    packed = tmp_path / f"drive{file.suffix}{suffix}"
    packed.write_bytes(zstandard.compress(file.read_bytes()))
    assert kind_of(packed) == "bag"
    assert contents(packed) == PICTURES
    assert bag(packed).name == "drive"


def test_a_packed_file_that_is_cut_off_plays_to_its_end(tmp_path: Path) -> None:
    whole = write_mcap(tmp_path / "whole.mcap", pictures_as(compressed), chunk_size=1).read_bytes()
    (tmp_path / "cut.mcap.zst").write_bytes(zstandard.compress(whole[: len(whole) // 2]))
    assert 0 < len(contents(tmp_path / "cut.mcap.zst")) < 5


@pytest.mark.parametrize("packing", [CompressionType.ZSTD, CompressionType.LZ4, CompressionType.NONE])
def test_chunks_are_read_however_they_are_packed(packing: CompressionType, tmp_path: Path) -> None:
    assert contents(write_mcap(tmp_path / "a.mcap", pictures_as(compressed), compression=packing)) == PICTURES


def record(opcode: int, content: bytes, length: int | None = None) -> bytes:
    return struct.pack("<BQ", opcode, len(content) if length is None else length) + content


def text(value: str) -> bytes:
    return struct.pack("<I", len(value)) + value.encode()


def mcap_of(*records: bytes) -> bytes:
    """An MCAP of a header, a channel of pictures and `records`, without a summary."""
    schema = struct.pack("<H", 1) + text(COMPRESSED) + text("ros2msg") + struct.pack("<I", 0)
    channel = struct.pack("<HH", 0, 1) + text(CAMERA) + text("cdr") + struct.pack("<I", 0)
    header = record(1, text("") + text(""))
    return MAGIC + header + record(3, schema) + record(4, channel) + b"".join(records)


def chunk(packed: bytes, size: int, packing: str) -> bytes:
    return record(6, struct.pack("<QQQI", 0, 0, size, 0) + text(packing) + struct.pack("<Q", len(packed)) + packed)


def zeros(size: int, packing: str) -> bytes:
    """`size` zeros packed to a few kilobytes, without taking memory for them."""
    block = bytes(16 << 20)
    if packing == "zstd":
        packer = zstandard.ZstdCompressor().compressobj()
        return b"".join(packer.compress(block) for _ in range(size // len(block))) + packer.flush()
    lz4_packer = lz4.frame.LZ4FrameCompressor()
    parts = [lz4_packer.begin(), *(lz4_packer.compress(block) for _ in range(size // len(block))), lz4_packer.flush()]
    return b"".join(parts)


def stated(packed: bytes, size: int) -> bytes:
    """A frame of zstd whose header says that it unpacks to `size` bytes."""
    return packed[:4] + b"\xe0" + struct.pack("<Q", size) + packed[6:]


@pytest.fixture(scope="module")
def bombs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bombs")
    packed = zeros(PACKED_BYTES, "zstd")
    lied = MAX_CHUNK_BYTES // 4
    small = zstandard.compress(bytes(1000))
    made = {
        "claims.mcap": mcap_of(chunk(packed, BOMB_BYTES, "zstd")),
        "lies.mcap": mcap_of(chunk(packed, lied, "zstd")),
        "lies_in_the_frame.mcap": mcap_of(chunk(stated(small, BOMB_BYTES), lied, "zstd")),
        "lz4.mcap": mcap_of(chunk(zeros(PACKED_BYTES, "lz4"), lied, "lz4")),
        "record.mcap": mcap_of(record(5, b"", 1 << 62)),
        "record_of_a_gigabyte.mcap": mcap_of(record(5, b"x", (1 << 30) - 1)),
        "data.mcap": mcap_of(
            record(6, struct.pack("<QQQI", 0, 0, 9, 0) + text("zstd") + struct.pack("<Q", 1 << 62) + b"x")
        ),
        "packing.mcap": mcap_of(chunk(b"x", 9, "brotli")),
        "file.mcap.zstd": packed,
        "file.db3.zst": packed,
    }
    for name, content in made.items():
        assert len(content) < 8 << 20
        (folder / name).write_bytes(content)
    return folder


@pytest.mark.service
def test_no_bomb_takes_the_memory(bombs: Path) -> None:
    code = (
        "import sys, pathlib\n"
        "from gradwatch import GradwatchError\n"
        "from gradwatch.streams.recordings.bags.bag import bag\n"
        "for path in sorted(pathlib.Path(sys.argv[1]).iterdir()):\n"
        "    try: list(bag(path))\n"
        "    except GradwatchError as error: print(path.name, '|', error)\n"
    )

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))

    run = subprocess.run(
        [sys.executable, "-c", code, str(bombs)], capture_output=True, text=True, check=False, preexec_fn=limit
    )
    assert run.returncode == 0, run.stderr[-2000:]
    said = dict(line.split(" | ", 1) for line in run.stdout.splitlines() if " | " in line)
    assert said.keys() == {path.name for path in bombs.iterdir()}
    assert not any("MemoryError" in message for message in said.values())
    assert "expected at most 256 MiB unpacked, got 4096 MiB" in said["claims.mcap"]
    assert "unpacks to more than 256 MiB" in said["file.mcap.zstd"]


def test_a_packed_message_is_unpacked_within_bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gradwatch.streams.recordings.bags.storage.MAX_CHUNK_BYTES", 1 << 20)
    messages = [(log_ns, content) for log_ns, content in pictures_as(compressed)]
    messages[2] = (messages[2][0], messages[2][1] + bytes(2 << 20))
    source = bag(write_ros_bag(tmp_path / "drive", {CAMERA: (COMPRESSED, messages)}, "sqlite3", "MESSAGE"))
    assert [frame.content for frame in source] == [p for i, p in enumerate(PICTURES) if i != 2]
    assert source.dropped == {"undecodable": 1}


def test_a_file_that_packs_well_is_unpacked_up_to_its_ratio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = write_mcap(tmp_path / "whole.mcap", pictures_as(compressed)).read_bytes()
    (tmp_path / "a.mcap.zst").write_bytes(zstandard.compress(whole))
    monkeypatch.setattr(bag_files_module, "MAX_CHUNK_BYTES", 100)
    assert contents(tmp_path / "a.mcap.zst") == PICTURES
    monkeypatch.setattr(bag_files_module, "MAX_FILE_RATIO", 0)
    with pytest.raises(BagError, match=r"a\.mcap\.zst unpacks to more than .* MiB; if that is right, unpack it"):
        bag(tmp_path / "a.mcap.zst")


@pytest.mark.parametrize(
    ("metadata", "reason"),
    [
        ("a: &a {x: 1}\nb: &b {<<: [*a, *a]}\n", "without aliases"),
        ("a: " + "[" * 3000, r"metadata\.yaml"),
        ("#" * ((1 << 20) + 1), "at most 1048576 bytes"),
        ("rosbag2_bagfile_information: 3", r"metadata\.yaml"),
        ("\0", r"metadata\.yaml"),
    ],
)
def test_metadata_that_is_no_metadata_is_refused(metadata: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / "metadata.yaml").write_text(metadata)
    with pytest.raises(BagError, match=reason):
        bag(tmp_path)


def test_an_unknown_packing_is_named(bombs: Path) -> None:
    with pytest.raises(RecordingError, match="expected compression by zstd, lz4 or none, got 'brotli'"):
        contents(bombs / "packing.mcap")
