"""ROS 2 bags and MCAP files as sources: one topic of pictures, with the times at which they were taken."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal

from ..damage import Damage
from ..played import AS_RECORDED, FrameSource, Playback, PlayedSource
from ..still import Still
from ..timeline import StoredTime, steady
from .files import PACKED, BagError, BagFile
from .images import PLAYABLE, UnreadableImageError
from .mcap_records import TruncatedBagError
from .storage import StoredTopic, messages, open_storage, topics

INTERVAL_NS = 100_000_000  # between pictures, until the first of a bag are read
EARLIEST_UTC_NS = 946_684_800_000_000_000  # the year 2000; a clock that is behind it is that of a simulation


def bag(
    path: Path | str, playback: Playback = AS_RECORDED, name: str | None = None, topic: str | None = None
) -> FrameSource:
    """A topic of a ROS 2 bag (a folder of .mcap or .db3 files, or one of them) or of an MCAP file.

    JPEG and PNG bytes are published unchanged, raw images become JPEG. The capture time is the stamp in a picture's
    header, in UTC as ROS defines it, or simulated time from 0; wrong stamps are replaced as in `timeline.py`.

    Messages and chunks that can't be read are passed over, also the end of a bag that is cut off.
    Raises BagError for any other damage, and where several topics have pictures and none is named; MissingFileError;
    MissingPackageError without the extra `bags`.
    """
    path = Path(path)
    files = open_storage(path)
    chosen = _choose_topic(topics(files), topic, path)
    stem = Path(path.stem).stem if path.suffix in PACKED else path.stem
    return PlayedSource(name or stem, lambda damage: _stills(files, chosen, damage), playback)


def _choose_topic(found: list[StoredTopic], asked: str | None, path: Path) -> str:
    """The name of the topic to play: the one asked for, or the only one with pictures. Raises BagError."""
    playable = [topic for topic in found if topic.has_pictures]
    if not playable:
        listed = ", ".join(map(str, found)) or "no topic at all"
        raise BagError(f"expected a topic of pictures in {path}, got {listed}; {PLAYABLE}")
    names = [topic.name for topic in playable]
    if asked is None and len(names) > 1:
        listed = ", ".join(map(str, playable))
        raise BagError(f"{path} has several topics of pictures, name one (--topic of replay and calibrate): {listed}")
    if asked is not None and asked not in names:
        raise BagError(f"topic of {path}: expected one of {', '.join(map(str, playable))}, got {asked}")
    return asked or names[0]


def _stills(files: list[BagFile], topic: str, damage: Damage) -> Iterator[Still]:
    clock: Literal["utc", "media"] | None = None
    for still in steady(_stored(files, topic, damage), INTERVAL_NS):
        clock = clock or ("utc" if still.time_ns >= EARLIEST_UTC_NS else "media")
        yield replace(still, clock=clock)


def _stored(files: list[BagFile], topic: str, damage: Damage) -> Iterator[tuple[StoredTime, Still]]:
    """The pictures of a topic in the order in which they were logged. A stamp of 0 is none, unless it is the first."""
    any_read = False
    try:
        for number, message in enumerate(messages(files, topic, damage)):
            try:
                still = message.decode(message.content)
            except UnreadableImageError as error:
                damage.pass_over(f"message {number} of topic {topic}", error)
                continue
            own_ns = still.time_ns if still.time_ns > 0 or not any_read else None
            any_read = True
            yield StoredTime(own_ns, message.log_ns), still
    except TruncatedBagError as error:
        damage.pass_over("the end", error)
