"""CURE-TSD's file names and annotations; its videos are played as any video.

Facts follow the README of olivesgatech/CURE-TSD (Temel et al., IEEE T-ITS 2019). A video is called
`sequenceType_sequenceNumber_challengeSourceType_challengeType_challengeLevel.mp4`, the annotation of all videos of one
sequence `sequenceType_sequenceNumber.txt`. An annotation is ground truth: it is never read together with the frames.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gradwatch import MissingFileError

from ..world.signs import SIGN_LABELS
from .cure_names import CURE_TSD_CHALLENGES, CureNameError, check_challenge_numbers, check_ranges, name_numbers
from .damage import RecordingError

NAME_FORM = "sequenceType_sequenceNumber_challengeSourceType_challengeType_challengeLevel.mp4"
NAME = re.compile(r"(0[12])_([0-9]{2})_(0[01])_([0-9]{2})_(0[0-5])(?:\.mp4)?")
ANNOTATION_HEADER = "frameNumber_signType_llx_lly_lrx_lry_ulx_uly_urx_ury"
ANNOTATION_COLUMNS = 10
INTEGER = re.compile(r"-?[0-9]{1,9}")

TEST_SEQUENCES: Mapping[int, frozenset[int]] = {
    1: frozenset((4, 5, 6, 7, 8, 18, 19, 21, 24, 26, 31, 38, 39, 41, 47)),
    2: frozenset((2, 4, 6, 9, 12, 13, 16, 17, 18, 20, 22, 28, 31, 32, 36)),
}
"""The official 30 % of sequence numbers, by sequence type; all others are for training."""


class AnnotationError(RecordingError):
    """A line of an annotation file that can't be read."""


@dataclass(frozen=True, slots=True, order=True)
class RecordingName:
    """A video's file name: sequence type 1 real or 2 unreal, number 1 to 99 (the data set: 1 to 49), challenge type 0
    to 12 (haze, 12, for real sequences only) and level 0 to 5, both 0 for a challenge-free recording.
    Raises CureNameError.
    """

    sequence_type: int
    sequence_number: int
    challenge_type: int = 0
    level: int = 0

    def __post_init__(self) -> None:
        check_ranges(self, sequence_type=(1, 2), sequence_number=(1, 99))
        check_challenge_numbers(self.challenge_type, self.level)

    @classmethod
    def parse(cls, text: str) -> RecordingName:
        """Reads `01_04_01_09_03` or `01_04_01_09_03.mp4`. Raises CureNameError."""
        sequence_type, number, source, challenge_type, level = name_numbers(text, NAME, NAME_FORM, "01_04_01_09_03.mp4")
        if (source == 0) != (challenge_type == 0):
            raise CureNameError(f"challenge source and type must both be 00 or neither in {NAME_FORM}, got {text!r}")
        return cls(sequence_type, number, challenge_type, level)

    def __str__(self) -> str:
        source = int(self.challenge_type > 0)
        numbers = (self.sequence_type, self.sequence_number, source, self.challenge_type, self.level)
        return "_".join(f"{number:02d}" for number in numbers)

    @property
    def annotation_name(self) -> str:
        """The annotation's file name, the same for all challenges of the sequence."""
        return f"{self.sequence_type:02d}_{self.sequence_number:02d}.txt"

    @property
    def challenge(self) -> str:
        """The challenge's name as in `CURE_TSD_CHALLENGES`."""
        return CURE_TSD_CHALLENGES[self.challenge_type]

    @property
    def split(self) -> str:
        """`train` or `test`, by the official lists of sequence numbers."""
        return "test" if self.sequence_number in TEST_SEQUENCES[self.sequence_type] else "train"


@dataclass(frozen=True, slots=True)
class SignBox:
    """An annotated sign: `sign_type` 1 to 14, its label, xyxy px of the picture."""

    sign_type: int
    label: str
    xyxy: tuple[float, float, float, float]


Signs = dict[int, list[SignBox]]
"""The signs of one sequence by seq (frameNumber - 1); frames without signs have no entry."""


def read_annotation(path: Path | str) -> Signs:
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


def parse_annotation(content: bytes, where: str) -> Signs:
    """The signs in an annotation file's bytes; errors name the file `where`. Raises AnnotationError."""
    try:
        lines = content.decode("utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise AnnotationError(f"{where}: expected text of {ANNOTATION_HEADER}, got {error}") from None
    signs: Signs = {}
    for number, line in enumerate(lines, start=1):
        if line.strip() and not (number == 1 and line.strip() == ANNOTATION_HEADER):
            seq, box = _parse_row(line.strip(), f"{where}:{number}")
            signs.setdefault(seq, []).append(box)
    return signs


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
