"""CURE-TSD's files: names of recordings, annotations, the challenge-free twin, and writing our own in that form.

Facts follow the README of olivesgatech/CURE-TSD (Temel et al., IEEE T-ITS 2019). A video is called
`sequenceType_sequenceNumber_challengeSourceType_challengeType_challengeLevel.mp4`, the annotation of all
videos of one sequence `sequenceType_sequenceNumber.txt`. Truth is kept apart from frames: nothing here puts
the two into one object that a model could see.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from gradwatch import MissingFileError

from ..world.signs import SIGN_LABELS
from .name_numbers import check_challenge_and_level, check_ranges
from .video import VideoFrame, read_video, write_video

NAME_PATTERN = "sequenceType_sequenceNumber_challengeSourceType_challengeType_challengeLevel"
NAME = re.compile(r"(0[12])_([0-9]{2})_(0[01])_([0-9]{2})_(0[0-5])(?:\.mp4)?")
ANNOTATION_HEADER = "frameNumber_signType_llx_lly_lrx_lry_ulx_uly_urx_ury"
ANNOTATION_COLUMNS = 10
INTEGER = re.compile(r"-?[0-9]{1,9}")

CHALLENGE_NAMES = (
    "none",
    "decolorization",
    "lens_blur",
    "codec_error",
    "darkening",
    "dirty_lens",
    "exposure",
    "gaussian_blur",
    "noise",
    "rain",
    "shadow",
    "snow",
    "haze",
)
"""The challenge of each type number; the data set has haze (12) for real sequences only."""

TEST_SEQUENCES: Mapping[int, frozenset[int]] = {
    1: frozenset((4, 5, 6, 7, 8, 18, 19, 21, 24, 26, 31, 38, 39, 41, 47)),
    2: frozenset((2, 4, 6, 9, 12, 13, 16, 17, 18, 20, 22, 28, 31, 32, 36)),
}
"""The official 30 % of sequence numbers, by sequence type; all others are for training."""


class RecordingNameError(ValueError):
    """A file name or numbers that are no CURE-TSD recording."""


class AnnotationError(ValueError):
    """A line of an annotation file that can't be read."""


@dataclass(frozen=True, slots=True, order=True)
class RecordingName:
    """What a file name says: sequence type 1 real or 2 unreal, number 1 to 99 (the data set: 1 to 49), challenge
    type 0 to 12 and level 0 to 5, both 0 for a challenge-free recording. Raises RecordingNameError.
    """

    sequence_type: int
    sequence_number: int
    challenge_type: int = 0
    level: int = 0

    def __post_init__(self) -> None:
        ranges = {
            "sequence_type": (1, 2),
            "sequence_number": (1, 99),
            "challenge_type": (0, len(CHALLENGE_NAMES) - 1),
            "level": (0, 5),
        }
        check_ranges(self, ranges, RecordingNameError)
        check_challenge_and_level(self.challenge_type, self.level, RecordingNameError)

    @classmethod
    def parse(cls, text: str) -> RecordingName:
        """Reads `01_04_01_09_03` or `01_04_01_09_03.mp4`; raises RecordingNameError that shows the pattern."""
        match = NAME.fullmatch(text)
        if match is None:
            raise RecordingNameError(
                f"recording must be called {NAME_PATTERN}.mp4 like 01_04_01_09_03.mp4, got {text[:120]!r}"
            )
        sequence_type, number, source, challenge_type, level = (int(group) for group in match.groups())
        if (source == 0) != (challenge_type == 0):
            raise RecordingNameError(
                f"challenge source and type must both be 00 or neither in {NAME_PATTERN}, got {text!r}"
            )
        return cls(sequence_type, number, challenge_type, level)

    def __str__(self) -> str:
        source = int(self.challenge_type > 0)
        numbers = (self.sequence_type, self.sequence_number, source, self.challenge_type, self.level)
        return "_".join(f"{number:02d}" for number in numbers)

    @property
    def file_name(self) -> str:
        """The video's file name."""
        return f"{self}.mp4"

    @property
    def annotation_name(self) -> str:
        """The annotation's file name, the same for all challenges of the sequence."""
        return f"{self.sequence_type:02d}_{self.sequence_number:02d}.txt"

    @property
    def challenge(self) -> str:
        """The challenge's name as in `CHALLENGE_NAMES`."""
        return CHALLENGE_NAMES[self.challenge_type]

    @property
    def split(self) -> str:
        """`train` or `test`, by the official lists of sequence numbers."""
        return "test" if self.sequence_number in TEST_SEQUENCES[self.sequence_type] else "train"

    def clean_twin(self) -> RecordingName:
        """The challenge-free recording of the same drive."""
        return replace(self, challenge_type=0, level=0)

    def with_challenge(self, challenge: str, level: int) -> RecordingName:
        """The recording of the same drive under another challenge ("none" and level 0: the clean twin)."""
        if challenge not in CHALLENGE_NAMES:
            raise RecordingNameError(f"challenge must be one of {', '.join(CHALLENGE_NAMES)}, got {challenge!r}")
        return replace(self, challenge_type=CHALLENGE_NAMES.index(challenge), level=level)


@dataclass(frozen=True, slots=True)
class SignBox:
    """A sign that is there: `sign_type` 1 to 14, its label, xyxy px of the picture."""

    sign_type: int
    label: str
    xyxy: tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class RecordingTruth:
    """All signs of one sequence by seq (frameNumber - 1); frames without signs have no entry."""

    boxes: Mapping[int, tuple[SignBox, ...]]

    def at(self, seq: int) -> tuple[SignBox, ...]:
        """The signs of one frame, none where the sequence has none."""
        return self.boxes.get(seq, ())


class LabeledBox(Protocol):
    """What `write_recording` needs to know of a box of truth; `xyxy` in px of the picture."""

    @property
    def kind(self) -> str: ...  # noqa: D102
    @property
    def label(self) -> str: ...  # noqa: D102
    @property
    def xyxy(self) -> tuple[float, float, float, float] | NDArray[np.floating]: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class Recording:
    """One video of the data set; frames and truth are read apart."""

    name: RecordingName
    path: Path
    annotation_path: Path

    def frames(self) -> Iterator[VideoFrame]:
        """The frames in order; `index` is the seq. Raises as `read_video`."""
        return read_video(self.path)

    def truth(self) -> RecordingTruth:
        """The signs of the sequence. Raises as `read_annotation`."""
        return read_annotation(self.annotation_path)


def open_recording(path: Path | str, annotations: Path | str | None = None) -> Recording:
    """The recording at `path`; its annotation is looked for in `annotations`, by default beside the video.

    Raises RecordingNameError for another name, MissingFileError for a missing video.
    """
    path = Path(path)
    name = RecordingName.parse(path.name)
    if not path.is_file():
        raise MissingFileError(f"expected a recording at {path}, got nothing there")
    return Recording(name, path, Path(annotations or path.parent) / name.annotation_name)


def read_annotation(path: Path | str) -> RecordingTruth:
    """Reads an annotation file, with or without its header line.

    Columns: frameNumber (1-based), signType, then four corners. Their names are upside down: ll and lr are the
    corners with the lower y, which is the top in a picture whose y points down. The box is the smallest that
    holds all four, which is right whichever way they are named. Raises MissingFileError, or AnnotationError
    with path and line.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingFileError(f"expected an annotation at {path} (lines of {ANNOTATION_HEADER}), got nothing there")
    return parse_annotation(path.read_bytes(), str(path))


def parse_annotation(content: bytes, where: str) -> RecordingTruth:
    """The truth in an annotation file's bytes; `where` is what errors call it. Raises AnnotationError."""
    try:
        lines = content.decode("utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise AnnotationError(f"{where}: expected text of {ANNOTATION_HEADER}, got {error}") from None
    boxes: dict[int, list[SignBox]] = {}
    for number, line in enumerate(lines, start=1):
        if line.strip() and not (number == 1 and line.strip() == ANNOTATION_HEADER):
            seq, box = _parse_row(line.strip(), f"{where}:{number}")
            boxes.setdefault(seq, []).append(box)
    return RecordingTruth({seq: tuple(rows) for seq, rows in boxes.items()})


def _parse_row(line: str, where: str) -> tuple[int, SignBox]:
    parts = line.split("_", ANNOTATION_COLUMNS)
    if len(parts) != ANNOTATION_COLUMNS or not all(map(INTEGER.fullmatch, parts)):
        raise AnnotationError(f"{where}: expected {ANNOTATION_HEADER} as integers, got {line[:120]!r}")
    frame_number, sign_type, *corners = map(int, parts)
    if frame_number < 1 or not 1 <= sign_type <= len(SIGN_LABELS):
        raise AnnotationError(f"{where}: expected a frame from 1 and a sign type from 1 to 14, got {line!r}")
    x, y = corners[0::2], corners[1::2]
    xyxy = (float(min(x)), float(min(y)), float(max(x)), float(max(y)))
    return frame_number - 1, SignBox(sign_type, SIGN_LABELS[sign_type - 1], xyxy)


def write_annotation(path: Path | str, truth: RecordingTruth) -> None:
    """Writes an annotation file with the header line; coordinates are rounded to whole pixels."""
    lines = [ANNOTATION_HEADER]
    for seq in sorted(truth.boxes):
        for box in truth.boxes[seq]:
            x1, y1, x2, y2 = (round(float(value)) for value in box.xyxy)
            corners = (x1, y1, x2, y1, x1, y2, x2, y2)  # ll, lr (the top), ul, ur (the bottom)
            lines.append(f"{seq + 1:03d}_{box.sign_type:02d}_" + "_".join(str(value) for value in corners))
    Path(path).write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_recording(
    folder: Path | str,
    name: RecordingName,
    images: Iterable[NDArray[np.uint8]],
    truth: Callable[[int], Iterable[LabeledBox]],
    rate_hz: float = 10.0,
) -> Recording:
    """Writes a drive as CURE-TSD files: near-lossless video and the annotation of its signs.

    `images` are (H, W, 3) uint8 RGB of one size, `truth(seq)` the boxes of each; those whose kind is not "sign"
    have no place in this format and are left out. Raises ValueError for a label that is no sign type, and
    as `write_video`.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    count = write_video(folder / name.file_name, images, rate_hz, lossless=True)
    boxes = {seq: tuple(_sign_box(box) for box in truth(seq) if box.kind == "sign") for seq in range(count)}
    write_annotation(folder / name.annotation_name, RecordingTruth(boxes))
    return open_recording(folder / name.file_name)


def _sign_box(box: LabeledBox) -> SignBox:
    if box.label not in SIGN_LABELS:
        raise ValueError(f"label of a sign must be one of {', '.join(SIGN_LABELS)}, got {box.label!r}")
    x1, y1, x2, y2 = (float(value) for value in box.xyxy)
    return SignBox(SIGN_LABELS.index(box.label) + 1, box.label, (x1, y1, x2, y2))
