"""ROS 2 bags and MCAP files as sources: one topic of pictures, with the times at which they were taken."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import structlog

from ..observability.metrics import SOURCE_FRAMES
from ..sources import FrameSource, Playback, PlayedSource, Still, legal_stream_id
from ..wire.messages import OutcomeCause
from .bag_images import BagPicture, UnreadableImageError
from .bag_storage import BagError, Storage, StoredTopic, TruncatedBagError, open_storage

LATEST_NS = 2**63 - 1  # what a capture time can be

log = structlog.get_logger()


def bag(
    path: Path | str,
    topic: str | None = None,
    playback: Playback = Playback(),  # noqa: B008 (frozen)
    name: str | None = None,
) -> FrameSource:
    """A topic of a ROS 2 bag (a folder with metadata.yaml, or its .db3) or of an MCAP file.

    JPEG and PNG bytes are published unchanged, raw images become JPEG. The capture time is the stamp in a picture's
    header, in UTC as ROS has it, or the time at which it was logged where the header has none; where a stamp lies
    before that of the picture logged earlier, the earlier one's counts, so that time never runs backwards.

    A bag that was cut off ends where it does, with a warning and one frame counted as `undecodable`; any other damage
    is an error. Raises BagError, also where there are several topics of pictures and none is named, FileNotFoundError,
    ModuleNotFoundError without the extra `bags`.
    """
    path = Path(path)
    storage = open_storage(path)
    chosen = choose_topic(storage.topics(), topic, path)
    stream_id = legal_stream_id(name or path.stem)
    return PlayedSource(stream_id, lambda: _stills(storage, chosen, path, stream_id), playback)


def choose_topic(topics: list[StoredTopic], asked: str | None, path: Path) -> str:
    """The name of the topic to play: the one asked for, or the only one with pictures. Raises BagError."""
    playable = [topic for topic in topics if topic.has_pictures]
    if not playable:
        there = ", ".join(map(str, topics)) or "none at all"
        raise BagError(f"expected a topic of pictures (CompressedImage or Image) in {path}, got {there}")
    names = [topic.name for topic in playable]
    if asked is None and len(names) > 1:
        raise BagError(f"{path} has several topics of pictures, name one: {', '.join(map(str, playable))}")
    if asked is not None and asked not in names:
        raise BagError(f"topic of {path}: expected one of {', '.join(map(str, playable))}, got {asked}")
    return asked or names[0]


def _stills(storage: Storage, topic: str, path: Path, stream_id: str) -> Iterator[Still]:
    """The pictures of a topic; what is cut off at the end is counted and said."""
    count = 0
    try:
        for picture in read_pictures(storage, topic, path):
            count += 1
            yield Still(picture.stamp_ns, picture.content, picture.image, clock="utc")
    except TruncatedBagError as error:
        if count == 0:
            raise
        SOURCE_FRAMES.labels(stream_id, "dropped", OutcomeCause.UNDECODABLE).inc()
        log.warning("the bag breaks off", stream_id=stream_id, pictures=count, why=str(error))


def read_pictures(storage: Storage, topic: str, path: Path) -> Iterator[BagPicture]:
    """The pictures of a topic in the order in which they were logged; `stamp_ns` never decreases and is never 0.

    Raises TruncatedBagError where the last message is cut off, BagError where another one can't be read.
    """
    latest_ns = earlier = given = 0
    failure: BagError | None = None
    for number, message in enumerate(storage.messages(topic)):
        if failure is not None:  # there is one behind it, so nothing was cut off
            raise failure
        try:
            picture = message.decode(message.content)
        except UnreadableImageError as error:
            failure = BagError(f"message {number} of topic {topic} in {path}: {error}")
            continue
        stamp_ns = picture.stamp_ns if 0 < picture.stamp_ns <= LATEST_NS else message.log_ns
        earlier += stamp_ns < latest_ns
        latest_ns = max(latest_ns, stamp_ns)
        given += 1
        yield BagPicture(latest_ns, picture.content, picture.image)
    if earlier:
        log.warning("stamps run backwards", topic=topic, pictures=earlier, why="the earlier picture's time was kept")
    if failure is not None:
        raise TruncatedBagError(str(failure)) if given else failure
    if not given:
        raise BagError(f"expected pictures in topic {topic} of {path}, got none")
