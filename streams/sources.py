"""All kinds of sources: the table `SOURCES`, and `open_source`, which opens whatever is at an address.

A source is an iterable of encoded frames with capture times. JPEG and PNG pass through unchanged unless a challenge is
put on them. A new kind of source is its own file and one line of the table.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gradwatch import MissingFileError

from .cameras.address import is_live
from .cameras.camera import camera
from .observability.logs import scrub
from .recordings.bags.bag import bag
from .recordings.bags.files import is_bag
from .recordings.labeled import CURE_OR, CURE_TSR
from .recordings.pictures import has_pictures, pictures
from .recordings.played import AS_RECORDED, FrameSource, Playback, SourceOptionError
from .recordings.video import has_videos, video, videos


@dataclass(frozen=True, slots=True)
class SourceKind:
    """One kind of source.

    `matches(address)` tells whether it opens an address; `open(address, playback, name)` may take further `options`.
    """

    matches: Callable[[str | Path], bool]
    open: Callable[..., FrameSource]
    options: frozenset[str] = frozenset()


SOURCES = {
    "camera": SourceKind(is_live, camera, frozenset(["transport"])),
    "bag": SourceKind(is_bag, bag, frozenset(["topic"])),
    "curetsr": SourceKind(CURE_TSR.matches, CURE_TSR.open, frozenset(["only"])),
    "cureor": SourceKind(CURE_OR.matches, CURE_OR.open, frozenset(["only"])),
    "videos": SourceKind(lambda path: has_videos(path) and not has_pictures(path), videos, frozenset(["track"])),
    "pictures": SourceKind(lambda address: Path(address).is_dir(), pictures),
    "video": SourceKind(lambda address: Path(address).is_file(), video, frozenset(["track"])),
}
"""The first kind that matches an address opens it, so special kinds precede general ones: a folder of CURE-TSR is a
folder of pictures too.
"""


def kind_of(address: str | Path) -> str | None:
    """The key of the first of `SOURCES` that matches, None where none does; a Path is never a camera's address."""
    return next((kind for kind, source in SOURCES.items() if source.matches(address)), None)


def open_source(
    address: str | Path, playback: Playback = AS_RECORDED, name: str | None = None, **options: Any
) -> FrameSource:
    """The source at `address`: a camera's address, a file or a folder. Empty options are ignored.

    Raises MissingFileError where no kind matches, SourceOptionError for an option that the kind does not take, and the
    errors of the kind.
    """
    kind = kind_of(address)
    if kind is None:
        raise MissingFileError(
            f"expected a camera's address (rtsp://…, http://…, a number), a file or a folder, got {scrub(str(address))}"
        )
    options = {option: value for option, value in options.items() if value not in (None, "", [], {})}
    for option in options.keys() - SOURCES[kind].options:
        raise SourceOptionError(f"{option} does not apply to {scrub(str(address))}, which is opened as: {kind}")
    return SOURCES[kind].open(address, playback, name, **options)
