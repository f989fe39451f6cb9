"""Reads ROS 2 bags and MCAP files: their topics, and the messages of one in the order in which they were logged.

`rosbags` reads SQLite storage, `mcap` MCAP; neither needs ROS. MCAP is read from front to back, so that a file whose
recorder was killed yields all of its whole records.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import yaml

from gradwatch import MissingFileError, MissingPackageError

from .bag_images import Decode, UnreadableImageError, decoder_of
from .played import RecordingError

MCAP_MAGIC = b"\x89MCAP0\r\n"
MAX_RECORD_BYTES = 1 << 30  # of an MCAP: a damaged length must not take all memory
METADATA = "metadata.yaml"
SUFFIXES = (".mcap", ".db3", ".bag")  # the last is ROS 1, which `open_storage` refuses with the command that converts


class BagError(RecordingError):
    """A bag that can't be played."""


class TruncatedBagError(BagError):
    """The end of a bag is missing; everything before it was read."""


@dataclass(frozen=True, slots=True)
class StoredTopic:
    """A topic of a bag; `has_pictures` if its messages can be played."""

    name: str
    type: str
    encoding: str
    has_pictures: bool

    def __str__(self) -> str:
        return f"{self.name} ({self.type}, {self.encoding})"


@dataclass(frozen=True, slots=True)
class LoggedMessage:
    """One message: its log time, its bytes and their decoder."""

    log_ns: int
    content: bytes
    decode: Decode


class Storage(Protocol):
    """An open bag, in any storage."""

    def topics(self) -> list[StoredTopic]:
        """All topics by name. Raises BagError."""

    def messages(self, topic: str) -> Iterator[LoggedMessage]:
        """The messages of a topic with pictures. Raises BagError, TruncatedBagError where the bag is cut off."""


def is_bag(path: Path | str) -> bool:
    """Whether a path is meant as a bag: by its suffix, or as a folder that ROS 2 recorded."""
    path = Path(path)
    return path.suffix in SUFFIXES or (path / METADATA).is_file()


def open_storage(path: Path) -> Storage:
    """Opens a bag: a folder with metadata.yaml, a .db3 or a .mcap file.

    Raises BagError for anything else, MissingFileError, MissingPackageError without the extra `bags`.
    """
    if not path.exists():
        raise MissingFileError(f"expected a bag at {path}, got nothing there")
    try:
        import mcap.reader  # noqa: F401
        import rosbags.rosbag2  # noqa: F401
    except ModuleNotFoundError as error:
        raise MissingPackageError(
            f"{path} needs the extra 'bags': pip install 'gradwatch[bags]'", name=error.name
        ) from error
    if path.is_dir():
        files = _mcap_files(path)
        return _McapStorage(files) if files else _RosStorage(path)
    if path.suffix == ".bag":
        raise BagError(f"{path} is a bag of ROS 1: rosbags-convert --src {path} --dst {path.with_suffix('')}")
    if path.suffix not in (".mcap", ".db3"):
        raise BagError(f"expected a folder with {METADATA}, a .mcap or a .db3 file, got {path}")
    return _McapStorage([path]) if path.suffix == ".mcap" else _RosStorage(path)


def _mcap_files(folder: Path) -> list[Path]:
    """The files of a bag in order if they are plain MCAP, else []."""
    if not (folder / METADATA).is_file():
        raise BagError(f"expected {METADATA} in {folder}, got none; play its files one by one, or: ros2 bag reindex")
    with _reading(folder / METADATA):
        metadata = yaml.safe_load((folder / METADATA).read_text())["rosbag2_bagfile_information"]
        # Some recorders wrote the folder's name before the file's.
        files = [folder / Path(name).name for name in metadata["relative_file_paths"]]
        compressed = metadata.get("compression_mode", "").lower() not in ("", "none")  # MCAP's own is separate
    if compressed or any(file.suffix != ".mcap" for file in files):
        return []
    missing = [file.name for file in files if not file.is_file()]
    if missing:
        raise BagError(f"expected all files that {folder / METADATA} lists, missing {', '.join(missing)}")
    return files


class _McapStorage:
    """MCAP files, read one after the other."""

    def __init__(self, files: Sequence[Path]) -> None:
        self._files = files

    def topics(self) -> list[StoredTopic]:
        found = {}
        for file in self._files:
            with _reading(file):
                for channel, schema in self._channels(file):
                    found[channel.topic] = _stored_topic(channel, schema)
        return [found[name] for name in sorted(found)]

    def messages(self, topic: str) -> Iterator[LoggedMessage]:
        from mcap.records import Channel, Message

        for file in self._files:
            decoders: dict[int, Decode] = {}
            for record, schema in self._records(file):
                if isinstance(record, Message) and record.channel_id in decoders:
                    yield LoggedMessage(record.log_time, record.data, decoders[record.channel_id])
                elif isinstance(record, Channel) and record.topic == topic:
                    decode = _decoder(file, record, schema)
                    if decode is not None:
                        decoders[record.id] = decode

    def _channels(self, file: Path) -> Iterator[tuple[Any, Any]]:
        """Channels and their schemas: from the summary where the file has one, else from all of its records."""
        from mcap.reader import make_reader
        from mcap.records import Channel

        if _is_whole(file):
            with file.open("rb") as opened:
                summary = make_reader(opened).get_summary()
            if summary is not None and summary.channels:
                yield from ((c, summary.schemas.get(c.schema_id)) for c in summary.channels.values())
                return
        with suppress(TruncatedBagError):  # reported once, when the messages are read
            yield from (found for found in self._records(file) if isinstance(found[0], Channel))

    def _records(self, file: Path) -> Iterator[tuple[Any, Any]]:
        """All records in order, a channel with its schema."""
        from mcap.exceptions import EndOfFile
        from mcap.records import Schema
        from mcap.stream_reader import StreamReader

        schemas: dict[int, Any] = {}
        with file.open("rb") as opened, _reading(file):
            reader = StreamReader(opened, validate_crcs=True, record_size_limit=MAX_RECORD_BYTES)
            try:
                for record in reader.records:
                    if isinstance(record, Schema):
                        schemas[record.id] = record
                    yield record, schemas.get(getattr(record, "schema_id", 0))
            except EndOfFile:
                if _is_whole(file):
                    raise BagError(f"{file}: expected whole records, got one that ends beyond the file") from None
                raise TruncatedBagError(f"{file} is cut off within a record, at {file.stat().st_size} bytes") from None


class _RosStorage:
    """A bag in SQLite, or one that is compressed as a whole: a folder or a single file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def topics(self) -> list[StoredTopic]:
        with self._open() as bag:
            types = {name: topic.msgtype or "several types" for name, topic in sorted(bag.topics.items())}
        return [StoredTopic(name, kind, "cdr", decoder_of(kind, "cdr") is not None) for name, kind in types.items()]

    def messages(self, topic: str) -> Iterator[LoggedMessage]:
        with self._open() as bag:
            chosen = [connection for connection in bag.connections if connection.topic == topic]
            for connection, log_ns, content in bag.messages(chosen):
                decode = decoder_of(connection.msgtype, "cdr")
                if decode is not None:
                    yield LoggedMessage(log_ns, content, decode)

    @contextmanager
    def _open(self) -> Iterator[Any]:
        from rosbags.rosbag2 import Reader

        with _reading(self._path), Reader(self._path) as bag:
            yield bag


def _stored_topic(channel: Any, schema: Any) -> StoredTopic:
    name = "" if schema is None else schema.name
    try:
        playable = decoder_of(name, channel.message_encoding, schema) is not None
    except UnreadableImageError:
        playable = False
    return StoredTopic(channel.topic, name or "no type", channel.message_encoding, playable)


def _decoder(file: Path, channel: Any, schema: Any) -> Decode | None:
    try:
        return decoder_of("" if schema is None else schema.name, channel.message_encoding, schema)
    except UnreadableImageError as error:
        raise BagError(f"topic {channel.topic} of {file}: {error}") from error


def _is_whole(file: Path) -> bool:
    """Whether an MCAP is finished: a recorder that is killed writes no magic at the end."""
    size = file.stat().st_size
    with file.open("rb") as opened:
        opened.seek(max(0, size - len(MCAP_MAGIC)))
        return opened.read() == MCAP_MAGIC and size > len(MCAP_MAGIC)


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turns any error that the libraries raise on a damaged file into a BagError that names it."""
    try:
        yield
    except BagError:
        raise
    except Exception as error:
        reason = str(error) or type(error).__name__
        raise BagError(f"expected a bag at {path}, got one that can't be read: {reason}") from error
