"""ROS 2 bags and MCAP files as sources: one topic of pictures, with the times at which they were taken."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import structlog

from ..observability.metrics import SOURCE_FRAMES
from ..wire.messages import OutcomeCause
from .bag_images import UnreadableImageError
from .bag_storage import BagError, Storage, StoredTopic, TruncatedBagError, open_storage
from .played import AS_RECORDED, FrameSource, Playback, PlayedSource, Still, legal_stream_id

MAX_CAPTURE_NS = 2**63 - 1

log = structlog.get_logger()


def bag(
    path: Path | str, playback: Playback = AS_RECORDED, name: str | None = None, topic: str | None = None
) -> FrameSource:
    """A topic of a ROS 2 bag (a folder with metadata.yaml, or its .db3) or of an MCAP file.

    JPEG and PNG bytes are published unchanged, raw images become JPEG. The capture time is the stamp in a picture's
    header, in UTC as ROS defines it, or the log time where the header has none; a stamp before that of the picture
    logged earlier is replaced by the earlier picture's, so that capture times never decrease.

    A bag that is cut off plays to its last whole picture, then one frame is counted as `undecodable` with a warning.
    Raises BagError for any other damage, and where several topics have pictures and none is named; MissingFileError;
    MissingPackageError without the extra `bags`.
    """
    path = Path(path)
    storage = open_storage(path)
    chosen = _choose_topic(storage.topics(), topic, path)
    stream_id = legal_stream_id(name or path.stem)
    return PlayedSource(stream_id, lambda: _stills(storage, chosen, path, stream_id), playback)


def _choose_topic(topics: list[StoredTopic], asked: str | None, path: Path) -> str:
    """The name of the topic to play: the one asked for, or the only one with pictures. Raises BagError."""
    playable = [topic for topic in topics if topic.has_pictures]
    if not playable:
        found = ", ".join(map(str, topics)) or "no topic at all"
        raise BagError(f"expected a topic of pictures (CompressedImage or Image) in {path}, got {found}")
    names = [topic.name for topic in playable]
    if asked is None and len(names) > 1:
        raise BagError(f"{path} has several topics of pictures, name one: {', '.join(map(str, playable))}")
    if asked is not None and asked not in names:
        raise BagError(f"topic of {path}: expected one of {', '.join(map(str, playable))}, got {asked}")
    return asked or names[0]


def _stills(storage: Storage, topic: str, path: Path, stream_id: str) -> Iterator[Still]:
    """The pictures of a topic; counts and logs a frame that is cut off at the end."""
    count = 0
    try:
        for picture in _read_pictures(storage, topic, path):
            count += 1
            yield picture
    except TruncatedBagError as error:
        if count == 0:
            raise
        SOURCE_FRAMES.labels(stream_id, "dropped", OutcomeCause.UNDECODABLE).inc()
        log.warning("bag is cut off", stream_id=stream_id, pictures=count, why=str(error))


def _read_pictures(storage: Storage, topic: str, path: Path) -> Iterator[Still]:
    """The pictures of a topic in the order in which they were logged; their times never decrease and are never 0.

    Raises TruncatedBagError where the last message is cut off, BagError where another one can't be read.
    """
    latest_ns = backward_stamps = count = 0
    failure: BagError | None = None
    for number, message in enumerate(storage.messages(topic)):
        if failure is not None:  # a message follows the unreadable one, so that was not cut off
            raise failure
        try:
            picture = message.decode(message.content)
        except UnreadableImageError as error:
            failure = BagError(f"message {number} of topic {topic} in {path}: {error}")
            continue
        stamp_ns = picture.time_ns if 0 < picture.time_ns <= MAX_CAPTURE_NS else message.log_ns
        backward_stamps += stamp_ns < latest_ns
        latest_ns = max(latest_ns, stamp_ns)
        count += 1
        yield replace(picture, time_ns=latest_ns, clock="utc")
    if backward_stamps:
        log.warning("stamps run backwards; replaced by the earlier picture's", topic=topic, pictures=backward_stamps)
    if failure is not None:
        raise TruncatedBagError(str(failure)) if count else failure
    if not count:
        raise BagError(f"expected pictures in topic {topic} of {path}, got none")
