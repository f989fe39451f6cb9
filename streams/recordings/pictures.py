"""Pictures without times as sources: the files of a folder, or encoded pictures in memory, published unchanged."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from gradwatch import MissingFileError

from ..wire.pixels import BadRecordError
from .damage import Damage
from .played import AS_RECORDED, FrameSource, Playback, PlayedSource
from .still import Still
from .upright import whole_picture

PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png")
PICTURE_RATE_HZ = 10.0  # unless the playback has a rate


def has_pictures(folder: Path | str) -> bool:
    """Whether a folder, not those in it, has JPEG or PNG files."""
    return bool(files_in(Path(folder), PICTURE_SUFFIXES))


def pictures(folder: Path | str, playback: Playback = AS_RECORDED, name: str | None = None) -> FrameSource:
    """The JPEG and PNG files of a folder, in the order of `natural_order`; pictures that EXIF turns are made upright.

    Files that can't be decoded are passed over. Raises MissingFileError where the folder has none of these files.
    """
    folder = Path(folder)
    paths = files_in(folder, PICTURE_SUFFIXES)
    if not paths:
        found = sorted({path.suffix or path.name for path in folder.glob("*") if not is_hidden(path)})
        raise MissingFileError(
            f"expected pictures ({', '.join(PICTURE_SUFFIXES)}), videos or a bag in {folder}, got "
            f"{', '.join(found[:10]) or 'none'}; folders in it are played one by one"
        )
    return PlayedSource(name or folder.name, lambda damage: read_pictures(paths, damage), playback)


def jpegs(contents: Sequence[bytes], playback: Playback = AS_RECORDED, name: str = "jpegs") -> FrameSource:
    """JPEG or PNG pictures in memory."""
    return PlayedSource(name, lambda damage: stills(contents), playback)


def read_pictures(
    paths: Iterable[Path], damage: Damage, encoded: Callable[[Path], bytes] = Path.read_bytes
) -> Iterator[Still]:
    """The files that hold whole pictures, as JPEG or PNG by `encoded`; the others are counted in `damage`."""
    return stills(_whole(paths, damage, encoded))


def stills(contents: Iterable[bytes]) -> Iterator[Still]:
    """Encoded pictures, timed at `PICTURE_RATE_HZ`."""
    return (Still(round(i * 1e9 / PICTURE_RATE_HZ), content=content) for i, content in enumerate(contents))


def files_in(folder: Path, suffixes: tuple[str, ...]) -> list[Path]:
    """The files of a folder with one of these suffixes, whatever their case, in `natural_order`; no hidden ones."""
    found = (path for path in folder.glob("*") if path.suffix.lower() in suffixes and not is_hidden(path))
    return sorted((path for path in found if path.is_file()), key=lambda path: natural_order(path.name))


def is_hidden(path: Path) -> bool:
    """Whether a file or folder is not meant to be seen: macOS leaves a `._x.jpg` beside each `x.jpg`."""
    return path.name.startswith(".") or path.name == "__MACOSX"


def natural_order(name: str) -> tuple[list[tuple[bool, int, str]], str]:
    """A key by which `frame_2` precedes `frame_10`: each number in a name counts as a number."""
    parts = re.findall(r"([0-9]+)|([^0-9]+)", name)
    return [(not number, int(number or 0), text.casefold()) for number, text in parts], name


def _whole(paths: Iterable[Path], damage: Damage, encoded: Callable[[Path], bytes]) -> Iterator[bytes]:
    for path in paths:
        try:
            yield whole_picture(encoded(path))
        except (BadRecordError, OSError) as error:
            damage.pass_over(path.name, error)
