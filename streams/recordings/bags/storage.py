"""Reads ROS 2 bags and MCAP files: their topics, and the messages of one in the order in which they were logged.

`rosbags` reads SQLite storage, `mcap` MCAP; neither needs ROS.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gradwatch import MissingPackageError

from ..damage import Damage
from ..still import Still
from .files import MAX_CHUNK_BYTES, BagError, BagFile, bag_files, reading, unpack_zstd
from .images import Decode, UnreadableImageError, decoder_of
from .mcap_records import mcap_channels, mcap_records


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


def open_storage(path: Path) -> list[BagFile]:
    """The files of a bag: a folder's, a .db3 or a .mcap file, packed or not.

    Raises BagError for anything else, MissingFileError, MissingPackageError without the extra `bags`.
    """
    files = bag_files(path)
    try:
        import mcap.reader  # noqa: F401
        import rosbags.rosbag2  # noqa: F401
    except ModuleNotFoundError as error:
        raise MissingPackageError(
            f"{path} needs the extra 'bags': pip install 'gradwatch[bags]'", name=error.name
        ) from error
    return files


def topics(files: list[BagFile]) -> list[StoredTopic]:
    """All topics of a bag by name. Raises BagError."""
    found: dict[str, StoredTopic] = {}
    for file in files:
        with reading(file.path), file.unpacked() as plain:
            listed = _mcap_topics(plain) if file.kind == ".mcap" else _sqlite_topics(plain)
            found |= {topic.name: topic for topic in listed}
    return [found[name] for name in sorted(found)]


def messages(files: list[BagFile], topic: str, damage: Damage) -> Iterator[LoggedMessage]:
    """The messages of a topic with pictures. Raises BagError, TruncatedBagError where the bag is cut off."""
    for file in files:
        with reading(file.path), file.unpacked() as plain:
            read = _mcap_messages if file.kind == ".mcap" else _sqlite_messages
            for message in read(plain, topic, damage):
                yield _packed(message) if file.packs_messages else message


def _mcap_topics(file: Path) -> list[StoredTopic]:
    return [_stored_topic(channel, schema) for channel, schema in mcap_channels(file)]


def _mcap_messages(file: Path, topic: str, damage: Damage) -> Iterator[LoggedMessage]:
    from mcap.records import Channel, Message

    decoders: dict[int, Decode] = {}
    for record, schema in mcap_records(file, damage.pass_over):
        if isinstance(record, Message) and record.channel_id in decoders:
            yield LoggedMessage(record.log_time, record.data, decoders[record.channel_id])
        elif isinstance(record, Channel) and record.topic == topic:
            decode = _decoder(file, record, schema)
            if decode is not None:
                decoders[record.id] = decode


def _sqlite_topics(file: Path) -> list[StoredTopic]:
    from rosbags.rosbag2 import Reader

    with Reader(file) as bag:
        types = {name: topic.msgtype or "several types" for name, topic in sorted(bag.topics.items())}
    return [StoredTopic(name, kind, "cdr", decoder_of(kind, "cdr") is not None) for name, kind in types.items()]


def _sqlite_messages(file: Path, topic: str, _: Damage) -> Iterator[LoggedMessage]:
    from rosbags.rosbag2 import Reader

    with Reader(file) as bag:
        chosen = [connection for connection in bag.connections if connection.topic == topic]
        # Without a connection the reader would return the messages of all.
        for connection, log_ns, content in bag.messages(chosen) if chosen else ():
            decode = decoder_of(connection.msgtype, "cdr")
            if decode is not None:
                yield LoggedMessage(log_ns, content, decode)


def _packed(message: LoggedMessage) -> LoggedMessage:
    def decode(content: bytes) -> Still:
        try:
            plain = unpack_zstd(content, MAX_CHUNK_BYTES)
        except Exception as error:  # zstandard's own, which is not imported here
            raise UnreadableImageError(f"expected a packed message, got {len(content)} bytes: {error}") from error
        return message.decode(plain)

    return LoggedMessage(message.log_ns, message.content, decode)


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
