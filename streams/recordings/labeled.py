"""Folders of pictures whose file names state what they show, as sources: CURE-TSR and CURE-OR.

The labels are ground truth, so they are never in a frame: `read` returns them beside the pictures, in playing order.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2

from gradwatch import MissingFileError

from ..wire.messages import OutcomeCause
from ..wire.pixels import BadRecordError
from .cure_names import CropName, ObjectName
from .damage import RecordingError
from .pictures import PICTURE_SUFFIXES, is_hidden, read_pictures
from .played import AS_RECORDED, FrameSource, Playback, PlayedSource

Only = Mapping[str, Collection[str]]
"""Which pictures to play, by facets of their names: {"challenge": ["none", "rain"]}; a facet left out admits all."""


@dataclass(frozen=True, slots=True)
class LabeledPictures:
    """A data set of labeled pictures, found and chosen by their names."""

    name_type: type[CropName] | type[ObjectName]

    def matches(self, path: Path | str) -> bool:
        """Whether the first picture found below a folder has a name of this data set."""
        first = next(self._paths(Path(path)), None)
        return first is not None and self.name_type.PATTERN.fullmatch(first.name) is not None

    def open(
        self, folder: Path | str, playback: Playback = AS_RECORDED, name: str | None = None, only: Only | None = None
    ) -> FrameSource:
        """The pictures that `read` returns as a source: JPEG and PNG unchanged, anything else as (lossless) PNG.

        Files that can't be decoded are passed over.
        """
        paths = [path for path, _ in self.read(folder, only)]
        return PlayedSource(name or Path(folder).name, lambda damage: read_pictures(paths, damage, _encoded), playback)

    def read(self, folder: Path | str, only: Only | None = None) -> list[tuple[Path, CropName | ObjectName]]:
        """The pictures below a folder that `only` admits and their labels, in `play_order`.

        Raises CureNameError for a picture of another name, RecordingError for an unknown facet or value and where no
        picture is left, MissingFileError for a missing folder.
        """
        folder, only = Path(folder), only or {}
        if not folder.is_dir():
            raise MissingFileError(f"expected a folder of pictures at {folder}, got none")
        self._check(only)
        found = []
        for path in self._paths(folder):
            label = self.name_type.parse(path.name)
            if all(label.facets[facet] in values for facet, values in only.items()):
                found.append((path, label))
        if not found:
            chosen = "; ".join(f"{facet} {', '.join(values)}" for facet, values in only.items()) or "them"
            suffixes = ", ".join(self.name_type.SUFFIXES)
            raise RecordingError(f"expected {suffixes} files below {folder}, got none of {chosen}")
        return sorted(found, key=lambda picture: (picture[1].play_order, str(picture[0])))

    def _paths(self, folder: Path) -> Iterator[Path]:
        """All pictures below `folder`, in no order and one at a time: these data sets have millions; no hidden ones."""
        for at, folders, files in os.walk(folder):
            folders[:] = [name for name in folders if not is_hidden(Path(name))]
            paths = (Path(at, file) for file in files if file.lower().endswith(self.name_type.SUFFIXES))
            yield from (path for path in paths if not is_hidden(path))

    def _check(self, only: Only) -> None:
        facets = self.name_type.FACETS
        for facet, values in only.items():
            if facet not in facets:
                raise RecordingError(f"expected to choose by {', '.join(facets)}, got {facet!r}")
            for value in values:
                if value not in facets[facet]:
                    raise RecordingError(f"{facet}: expected one of {', '.join(facets[facet])}, got {value!r}")


CURE_TSR = LabeledPictures(CropName)
CURE_OR = LabeledPictures(ObjectName)


def _encoded(path: Path) -> bytes:
    if path.suffix.lower() in PICTURE_SUFFIXES:
        return path.read_bytes()
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        message = f"expected a picture, got {path.stat().st_size} bytes that can't be decoded"
        raise BadRecordError(OutcomeCause.UNDECODABLE, message)
    return bytes(cv2.imencode(".png", image)[1])
