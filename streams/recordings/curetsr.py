"""CURE-TSR's files: names of sign crops, classes, challenges, splits, the challenge-free twin, and playing them.

Facts follow the README and train.py of olivesgatech/CURE-TSR (Temel et al., NeurIPS workshop 2017, arXiv
1712.02463). A crop is called `sequenceType_signType_challengeType_challengeLevel_Index.bmp`. About 2.2 million crops
were cut from CURE-TSD's videos, with its fourteen sign types and twelve challenges in five levels.

What is easily got wrong:

* The split is in the folder (`Real_Train`, `Real_Test`, …) and not in the name: the same name is in several, and its
  twin must be looked for in the same one.
* `Index` counts within a sign type, and a crop and its challenged versions share it; it is no time, so neighbors need
  not be of one drive.
* Sign types count from 1; the authors' own loader subtracts 1 for the class.
* Crops differ in size, and classes in number: average over classes. A stream of crops is a stream for a classifier:
  what follows objects through frames, or is bound to one size of picture, says nothing about it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

from ..world.signs import SIGN_LABELS
from .curetsd import CHALLENGE_NAMES
from .labeled import LabeledPictures, PictureNameError
from .name_numbers import check_challenge_and_level, check_ranges

NAME_PATTERN = "sequenceType_signType_challengeType_challengeLevel_Index"
NAME = re.compile(r"(0[12])_([0-9]{2})_([0-9]{2})_(0[0-5])_([0-9]{4,9})(?:\.bmp)?", re.IGNORECASE)
SPLIT = re.compile(r"(?:Real|Unreal)_(Train|Test)", re.IGNORECASE)
SUFFIXES = (".bmp",)
CHALLENGE_FREE_FOLDER = "ChallengeFree"  # others are called as `DirtyLens-3`
FACETS = {
    "challenge": CHALLENGE_NAMES,
    "level": tuple(str(level) for level in range(6)),
    "class": SIGN_LABELS,
    "type": ("real", "unreal"),
}


@dataclass(frozen=True, slots=True, order=True)
class CropName:
    """What a file name says: sequence type 1 real or 2 unreal, sign type 1 to 14, challenge type 0 to 12 and level 0
    to 5, both 0 for a challenge-free crop, and the index of the crop. Raises PictureNameError.
    """

    sequence_type: int
    sign_type: int
    challenge_type: int
    level: int
    index: int

    def __post_init__(self) -> None:
        ranges = {
            "sequence_type": (1, 2),
            "sign_type": (1, len(SIGN_LABELS)),
            "challenge_type": (0, len(CHALLENGE_NAMES) - 1),
            "level": (0, 5),
        }
        check_ranges(self, ranges, PictureNameError)
        check_challenge_and_level(self.challenge_type, self.level, PictureNameError)

    @classmethod
    def parse(cls, text: str) -> CropName:
        """Reads `01_06_09_03_0001` or `01_06_09_03_0001.bmp`; raises PictureNameError that shows the pattern."""
        match = NAME.fullmatch(text)
        if match is None:
            raise PictureNameError(
                f"a crop must be called {NAME_PATTERN}.bmp like 01_06_09_03_0001.bmp, got {text[:120]!r}"
            )
        return cls(*(int(group) for group in match.groups()))

    def __str__(self) -> str:
        numbers = (self.sequence_type, self.sign_type, self.challenge_type, self.level)
        return "_".join(f"{number:02d}" for number in numbers) + f"_{self.index:04d}"

    @property
    def file_name(self) -> str:
        """The crop's file name."""
        return f"{self}.bmp"

    @property
    def label(self) -> str:
        """The class as in `SIGN_LABELS`."""
        return SIGN_LABELS[self.sign_type - 1]

    @property
    def challenge(self) -> str:
        """The challenge's name as in `CHALLENGE_NAMES`."""
        return CHALLENGE_NAMES[self.challenge_type]

    @property
    def play_order(self) -> tuple[int, ...]:
        """Challenge-free crops first, then each challenge with rising level; within, by class and index."""
        return (self.challenge_type, self.level, self.sequence_type, self.sign_type, self.index)

    @property
    def facets(self) -> dict[str, str]:
        """By what crops can be chosen; the values are those of `FACETS`."""
        return {
            "challenge": self.challenge,
            "level": str(self.level),
            "class": self.label,
            "type": FACETS["type"][self.sequence_type - 1],
        }

    def clean_twin(self) -> CropName:
        """The challenge-free version of the same crop."""
        return replace(self, challenge_type=0, level=0)


CROPS = LabeledPictures(SUFFIXES, CropName.parse, FACETS)
"""Folders of crops: `CROPS.read` gives them with what they show, chosen by challenge, level, class and type."""
curetsr = CROPS.source
"""The source: crops in their `play_order`, as PNG."""


def split_of(path: Path) -> str | None:
    """`train` or `test`, by the folders that a crop lies in; None outside of the data set's own."""
    matches = [match for part in path.parts[:-1] if (match := SPLIT.fullmatch(part))]
    return matches[-1][1].lower() if matches else None


def twin_path(path: Path) -> Path:
    """Where the challenge-free version of a crop lies: in the same split, or beside it in a folder of one's own.

    Raises PictureNameError for a file of another name; whether the twin is there is not looked at.
    """
    twin = CropName.parse(path.name).clean_twin().file_name
    return path.with_name(twin) if split_of(path) is None else path.parent.parent / CHALLENGE_FREE_FOLDER / twin
