"""Pictures without times as sources: the files of a folder, or encoded pictures in memory, published unchanged."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from gradwatch import MissingFileError

from .played import AS_RECORDED, FrameSource, Playback, PlayedSource, Still

PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png")
PICTURE_RATE_HZ = 10.0  # unless the playback has a rate


def pictures(folder: Path | str, playback: Playback = AS_RECORDED, name: str | None = None) -> FrameSource:
    """The JPEG and PNG files of a folder, in the order of their names. Raises MissingFileError where it has none."""
    folder = Path(folder)
    paths = sorted(path for path in folder.glob("*") if path.suffix.lower() in PICTURE_SUFFIXES)
    if not paths:
        raise MissingFileError(f"expected {', '.join(PICTURE_SUFFIXES)} files in {folder}, got none")
    return PlayedSource(name or folder.name, lambda: stills(path.read_bytes() for path in paths), playback)


def jpegs(contents: Sequence[bytes], playback: Playback = AS_RECORDED, name: str = "jpegs") -> FrameSource:
    """JPEG or PNG pictures in memory."""
    return PlayedSource(name, lambda: stills(contents), playback)


def stills(contents: Iterable[bytes]) -> Iterator[Still]:
    """Encoded pictures, timed at `PICTURE_RATE_HZ`."""
    return (Still(round(i * 1e9 / PICTURE_RATE_HZ), content=content) for i, content in enumerate(contents))
