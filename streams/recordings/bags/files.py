"""The files of a bag: which they are, and how they are unpacked without filling memory or disk.

ROS 2 packs whole files (`x.mcap.zstd`) or single messages. What is packed may be made to unpack to any size, so all
unpacking is bounded.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from gradwatch import MissingFileError

from ..damage import RecordingError
from ..pictures import is_hidden, natural_order

METADATA = "metadata.yaml"
STORED = (".mcap", ".db3")
PACKED = (".zstd", ".zst")
ROS1 = ".bag"  # `bag_files` refuses it with the command that converts
MAX_CHUNK_BYTES = 256 << 20  # unpacked, of a chunk or a message; raw pictures of 40 million pixels have 120 MB
MAX_FILE_RATIO = 100  # unpacked to packed, of files over MAX_CHUNK_BYTES; raw pictures of one color reach about 50
COPY_BYTES = MAX_METADATA_BYTES = 1 << 20


class BagError(RecordingError):
    """A bag that can't be played."""


@dataclass(frozen=True, slots=True)
class BagFile:
    """A file of a bag; `packs_messages` if each of its messages is packed."""

    path: Path
    packs_messages: bool = False

    @property
    def kind(self) -> str:
        """The suffix of the file once it is unpacked: `.mcap` or `.db3`."""
        return _kind(self.path)

    @contextmanager
    def unpacked(self) -> Iterator[Path]:
        """The file as it is or, if it is packed, unpacked to a temporary folder. Raises BagError."""
        if self.path.suffix not in PACKED:
            yield self.path
            return
        with TemporaryDirectory() as folder:
            plain = Path(folder, self.path.stem)
            _unpack_file(self.path, plain)
            yield plain


def is_bag(path: Path | str) -> bool:
    """Whether a path is meant as a bag: by its suffix, or as a folder with such files or with ROS 2's metadata."""
    path = Path(path)
    if path.is_dir():
        return (path / METADATA).is_file() or bool(_files_without_metadata(path))
    return _kind(path) in (*STORED, ROS1)


def bag_files(path: Path) -> list[BagFile]:
    """The files of a bag in their order: a folder's, or a single file. Raises MissingFileError, BagError."""
    if not path.exists():
        raise MissingFileError(f"expected a bag at {path}, got nothing there")
    if path.is_dir():
        if (path / METADATA).is_file():
            return _listed_files(path)
        if files := _files_without_metadata(path):
            return files
        raise BagError(f"expected {METADATA}, or {' or '.join(STORED)} files, in {path}, got none")
    if _kind(path) == ROS1:
        raise BagError(f"{path} is a bag of ROS 1: rosbags-convert --src {path} --dst {path.with_suffix('')}")
    if _kind(path) not in STORED:
        raise BagError(f"expected a folder with {METADATA}, a .mcap or a .db3 file, got {path}")
    return [BagFile(path)]


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turns any error that the libraries raise on a damaged file into a BagError that names it."""
    try:
        yield
    except BagError:
        raise
    except Exception as error:
        reason = str(error) or type(error).__name__
        raise BagError(f"expected a bag at {path}, got one that can't be read: {reason}") from error


def unpack_zstd(content: bytes, max_bytes: int) -> bytes:
    """`content` unpacked. Raises BagError above `max_bytes`, ZstdError for anything damaged."""
    import zstandard

    stated = zstandard.frame_content_size(content)  # -1: not stated
    if stated > max_bytes:
        raise BagError(f"expected at most {max_bytes} bytes in {len(content)} packed ones, got {stated}")
    return zstandard.ZstdDecompressor().decompress(content, max_output_size=max_bytes)


def _kind(path: Path) -> str:
    return (path.with_suffix("") if path.suffix in PACKED else path).suffix


def _files_without_metadata(folder: Path) -> list[BagFile]:
    found = (path for path in folder.glob("*") if path.is_file() and _kind(path) in STORED and not is_hidden(path))
    return [BagFile(path) for path in sorted(found, key=lambda path: natural_order(path.name))]


def _listed_files(folder: Path) -> list[BagFile]:
    with reading(folder / METADATA):
        metadata = _metadata(folder / METADATA)["rosbag2_bagfile_information"]
        # Some recorders wrote the folder's name before the file's.
        paths = [folder / Path(name).name for name in metadata["relative_file_paths"]]
        packs_messages = metadata.get("compression_mode", "").lower() == "message"
        packed_as = metadata.get("compression_format") or "zstd"
    missing = [path.name for path in paths if not path.is_file()]
    if missing:
        raise BagError(f"expected all files that {folder / METADATA} lists, missing {', '.join(missing)}")
    unfit = [path.name for path in paths if _kind(path) not in STORED]
    if unfit or packed_as != "zstd":
        raise BagError(f"expected .mcap or .db3 files, packed by zstd if at all, in {folder}, got {packed_as}, {unfit}")
    return [BagFile(path, packs_messages) for path in paths]


def _metadata(path: Path) -> Any:
    """The values of metadata.yaml; without aliases, by which a few lines can stand for any number of values."""
    with path.open("rb") as file:
        text = file.read(MAX_METADATA_BYTES + 1)
    if len(text) > MAX_METADATA_BYTES:
        raise BagError(f"{path}: expected at most {MAX_METADATA_BYTES} bytes, got more")
    if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, yaml.SafeLoader)):
        raise BagError(f"{path}: expected YAML without aliases, as ROS 2 writes it")
    return yaml.safe_load(text)


def _unpack_file(packed: Path, plain: Path) -> None:
    import zstandard

    limit, count = max(MAX_CHUNK_BYTES, MAX_FILE_RATIO * packed.stat().st_size), 0
    with reading(packed), packed.open("rb") as source, plain.open("wb") as target:
        reader = zstandard.ZstdDecompressor().stream_reader(source, read_across_frames=True)
        while block := reader.read(COPY_BYTES):
            count += len(block)
            if count > limit:
                raise BagError(f"{packed} unpacks to more than {limit >> 20} MiB; if that is right, unpack it: unzstd")
            target.write(block)
