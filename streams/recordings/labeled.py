"""Folders of pictures whose names say what they show: read, chosen from, put in order and played.

CURE-TSR and CURE-OR come so: `curetsr.py` and `cureor.py` say how their names are read, each in one `LabeledPictures`.
What the names say is truth, so it is never in a frame: `LabeledFolder.names` stands beside the frames by seq.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Protocol, TypeVar

import cv2

from gradwatch import MissingFileError

from ..sources import DEFAULT_RATE_HZ, FrameSource, Playback, PlayedSource, Still
from .video import VideoError

Only = Mapping[str, Collection[str]]
"""What to play, by a facet of the names: {"challenge": ["none", "rain"]}; all where a facet is absent."""


class PictureNameError(VideoError):
    """A file name that a data set does not have, or a choice of pictures that it can't have."""


class PictureName(Protocol):
    """What a data set's file name says."""

    @property
    def play_order(self) -> tuple[int, ...]:
        """Pictures are played in this order."""

    @property
    def facets(self) -> Mapping[str, str]:
        """By what pictures can be chosen, as in `Only`."""


Name = TypeVar("Name", bound=PictureName)


@dataclass(frozen=True, slots=True)
class LabeledFolder(Generic[Name]):
    """The pictures of a folder in the order in which they are played; `names[seq]` is the truth of picture `seq`."""

    folder: Path
    paths: tuple[Path, ...]
    names: tuple[Name, ...]

    def source(self, playback: Playback, name: str | None) -> FrameSource:
        """The pictures as a source: JPEG and PNG unchanged, anything else as PNG, which adds no error of its own."""
        return PlayedSource(name or self.folder.name, self._stills, playback)

    def _stills(self) -> Iterator[Still]:
        for seq, path in enumerate(self.paths):
            yield Still(round(seq * 1e9 / DEFAULT_RATE_HZ), content=_encoded(path))


@dataclass(frozen=True, slots=True)
class LabeledPictures(Generic[Name]):
    """How a data set's pictures are found and read: the ends of their files, what a file name says (`parse` raises
    PictureNameError for one that it refuses), and all values that each facet can have.
    """

    suffixes: Sequence[str]
    parse: Callable[[str], Name]
    facets: Mapping[str, Collection[str]]

    def source(
        self,
        folder: Path | str,
        playback: Playback = Playback(),  # noqa: B008 (frozen)
        name: str | None = None,
        only: Only = {},  # noqa: B006 (only read)
    ) -> FrameSource:
        """The pictures below a folder as a source; see `read`."""
        return self.read(folder, only).source(playback, name)

    def read(self, folder: Path | str, only: Only = {}) -> LabeledFolder[Name]:  # noqa: B006 (only read)
        """The pictures below a folder that `only` chooses, in their `play_order`, and what they show.

        Raises PictureNameError for a picture that `parse` refuses, for an unknown facet or value, and where nothing is
        left; MissingFileError for a missing folder.
        """
        folder = Path(folder)
        if not folder.is_dir():
            raise MissingFileError(f"expected a folder of pictures at {folder}, got none")
        self._check(only)
        found = []
        for path in picture_paths(folder, self.suffixes):
            name = self.parse(path.name)
            said = name.facets
            if all(said[facet] in values for facet, values in only.items()):
                found.append((name.play_order, str(path), name))
        if not found:
            chosen = "; ".join(f"{facet} {', '.join(values)}" for facet, values in only.items()) or "them"
            raise PictureNameError(f"expected {', '.join(self.suffixes)} files below {folder}, got none of {chosen}")
        found.sort(key=lambda row: row[:2])
        return LabeledFolder(folder, tuple(Path(row[1]) for row in found), tuple(row[2] for row in found))

    def _check(self, only: Only) -> None:
        for facet, values in only.items():
            if facet not in self.facets:
                raise PictureNameError(f"expected to choose by {', '.join(self.facets)}, got {facet!r}")
            for value in values:
                if value not in self.facets[facet]:
                    raise PictureNameError(f"{facet}: expected one of {', '.join(self.facets[facet])}, got {value!r}")


def picture_paths(folder: Path, suffixes: Sequence[str]) -> Iterator[Path]:
    """All files below `folder` that end in one of `suffixes`, in no order: these data sets have millions."""
    for at, _, files in os.walk(folder):
        for file in files:
            if file.lower().endswith(tuple(suffixes)):
                yield Path(at, file)


def _encoded(path: Path) -> bytes:
    if path.suffix.lower() in (".jpg", ".jpeg", ".png"):
        return path.read_bytes()
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise VideoError(f"expected a picture at {path}, got {path.stat().st_size} bytes that can't be decoded")
    _, content = cv2.imencode(".png", image)
    return bytes(content)
