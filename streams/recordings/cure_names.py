"""File names of CURE-TSR and CURE-OR, which state what a picture shows, and number checks shared with CURE-TSD.

CURE-TSR: facts follow the README and train.py of olivesgatech/CURE-TSR (Temel et al., NeurIPS workshop 2017, arXiv
1712.02463). About 2.2 million sign crops were cut from CURE-TSD's videos, with its fourteen sign types and twelve
challenges in five levels. Easily got wrong:

* The split is in the folder (`Real_Train`, `Real_Test`, …) and not in the name: the same name is in several, and the
  challenge-free version of a crop (same index) must be looked for in the same split.
* `Index` counts within a sign type and is no time, so neighbors need not be of one drive.
* Sign types count from 1; the authors' own loader subtracts 1 for the class.
* Crops differ in size, and classes in number: average over classes. A stream of crops is a stream for a classifier:
  what tracks objects through frames, or is bound to one picture size, is meaningless on it.

CURE-OR: facts follow the README, dataloader.py and cure_or_objects.txt of olivesgatech/CURE-OR (Temel et al., ICMLA
2018, arXiv 1810.08293). A million pictures of a hundred objects in five backgrounds, by five cameras, from five sides;
no split is published. Easily got wrong:

* The numbers are not those of CURE-TSD and CURE-TSR: no challenge is 01 here and 00 there, and a name that both have
  (dirty lens 07 and 08 here, 05 there) has another number and another strength.
* There are two challenge-free types, 01 in color and 10 in gray, both of level 0. 11 to 18 were made from the gray one.
* Resize (02, 11) has four levels, all others five; a resized picture is smaller than its challenge-free version.
* Identifiers of background, device and orientation have one digit, objects three, challenges two.
* mini-CURE-OR numbers its ten objects anew: its 1 to 10 are 099, 068, 005, 071, 040, 012, 023, 061, 094 and 069 here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from ..challenges.table import CHALLENGES
from ..world.signs import SIGN_LABELS
from .damage import RecordingError

CURE_TSD_CHALLENGES = ("none", *CHALLENGES)
"""The challenge of each type number, from 0, in CURE-TSD and CURE-TSR."""

_IN_COLOR = (
    "none",
    "resize",
    "underexposure",
    "overexposure",
    "gaussian_blur",
    "contrast",
    "dirty_lens_1",
    "dirty_lens_2",
    "salt_and_pepper",
)
CURE_OR_CHALLENGES = (*_IN_COLOR, "grayscale", *(f"grayscale_{name}" for name in _IN_COLOR[1:]))
"""The challenge of each type number, from 1, in CURE-OR."""

_CATEGORIES = {
    "toy": (20, 21, 37, 38, 39, 40, 41, 42, 62, 63, 76, 78, *range(83, 94)),
    "personal": (9, 11, 12, 13, 24, 25, 53, 64, 69, 99),
    "office": (26, 34, 46, 47, 48, 49, 50, 51, 52, 59, 60, 61, 66, 95),
    "household": (1, 2, 6, 7, 15, 16, 17, 22, 27, 28, 30, 33, 43, 45, 55, 58, 65, 67, *range(70, 76), 82, 97, 100),
    "sports": (5, 8, 10, 14, 18, 19, 68, 79, 80, 81),
    "health": (3, 4, 23, 29, 31, 32, 35, 36, 44, 54, 56, 57, 77, 94, 96, 98),
}
CATEGORY_OF = {number: category for category, numbers in _CATEGORIES.items() for number in numbers}
"""The class of each object of CURE-OR, 1 to 100."""


class CureNameError(RecordingError):
    """A file name, or numbers of one, that the data set does not have."""


@dataclass(frozen=True, slots=True, order=True)
class CropName:
    """A file name of CURE-TSR: sequence type 1 real or 2 unreal, sign type 1 to 14, challenge type 0 to 12 and level 0
    to 5, both 0 for a challenge-free crop, and the index of the crop. Raises CureNameError.
    """

    FORM: ClassVar = "sequenceType_signType_challengeType_challengeLevel_Index.bmp"
    PATTERN: ClassVar = re.compile(r"(0[12])_([0-9]{2})_([0-9]{2})_(0[0-5])_([0-9]{4,9})(?:\.bmp)?", re.IGNORECASE)
    SUFFIXES: ClassVar = (".bmp",)
    FACETS: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "challenge": CURE_TSD_CHALLENGES,
        "level": tuple(str(level) for level in range(6)),
        "class": SIGN_LABELS,
        "type": ("real", "unreal"),
    }

    sequence_type: int
    sign_type: int
    challenge_type: int
    level: int
    index: int

    def __post_init__(self) -> None:
        check_ranges(self, sequence_type=(1, 2), sign_type=(1, len(SIGN_LABELS)))
        check_challenge_numbers(self.challenge_type, self.level)

    @classmethod
    def parse(cls, text: str) -> CropName:
        """Reads `01_06_09_03_0001` or `01_06_09_03_0001.bmp`. Raises CureNameError."""
        return cls(*name_numbers(text, cls.PATTERN, cls.FORM, "01_06_09_03_0001.bmp"))

    def __str__(self) -> str:
        numbers = (self.sequence_type, self.sign_type, self.challenge_type, self.level)
        return "_".join(f"{number:02d}" for number in numbers) + f"_{self.index:04d}"

    @property
    def play_order(self) -> tuple[int, ...]:
        """Challenge-free crops first, then each challenge with rising level; within, by class and index."""
        return (self.challenge_type, self.level, self.sequence_type, self.sign_type, self.index)

    @property
    def facets(self) -> dict[str, str]:
        """The labels by which crops can be chosen; the values are those of `FACETS`."""
        return {
            "challenge": CURE_TSD_CHALLENGES[self.challenge_type],
            "level": str(self.level),
            "class": SIGN_LABELS[self.sign_type - 1],
            "type": self.FACETS["type"][self.sequence_type - 1],
        }


@dataclass(frozen=True, slots=True, order=True)
class ObjectName:
    """A file name of CURE-OR: background, device and orientation 1 to 5, object 1 to 100, challenge type 1 to 18 and
    level, which is 0 for types 1 and 10, 1 to 4 for 2 and 11, 1 to 5 for all others. Raises CureNameError.
    """

    FORM: ClassVar = "backgroundID_deviceID_objectOrientationID_objectID_challengeType_challengeLevel.jpg"
    PATTERN: ClassVar = re.compile(r"([1-5])_([1-5])_([1-5])_([0-9]{3})_([0-9]{2})_([0-5])(?:\.jpe?g)?", re.IGNORECASE)
    SUFFIXES: ClassVar = (".jpg", ".jpeg")
    FACETS: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "challenge": CURE_OR_CHALLENGES,
        "level": tuple(str(level) for level in range(6)),
        "class": tuple(_CATEGORIES),
        "object": tuple(f"{number:03d}" for number in range(1, len(CATEGORY_OF) + 1)),
        "background": ("white", "2d_living_room", "2d_kitchen", "3d_living_room", "3d_office"),
        "device": ("iphone_6s", "htc_one_x", "lg_leon", "logitech_c920", "nikon_d80"),
        "orientation": ("front", "left", "back", "right", "top"),
    }

    background: int
    device: int
    orientation: int
    object_number: int
    challenge_type: int
    level: int

    def __post_init__(self) -> None:
        check_ranges(self, background=(1, 5), device=(1, 5), orientation=(1, 5), object_number=(1, len(CATEGORY_OF)))
        check_ranges(self, challenge_type=(1, len(CURE_OR_CHALLENGES)))
        lowest, highest = {1: (0, 0), 10: (0, 0), 2: (1, 4), 11: (1, 4)}.get(self.challenge_type, (1, 5))
        if not lowest <= self.level <= highest:
            challenge = CURE_OR_CHALLENGES[self.challenge_type - 1]
            raise CureNameError(f"level of {challenge} must be from {lowest} to {highest}, got {self.level}")

    @classmethod
    def parse(cls, text: str) -> ObjectName:
        """Reads `4_5_5_092_18_4` or `4_5_5_092_18_4.jpg`. Raises CureNameError."""
        return cls(*name_numbers(text, cls.PATTERN, cls.FORM, "4_5_5_092_18_4.jpg"))

    def __str__(self) -> str:
        view = f"{self.background}_{self.device}_{self.orientation}_{self.object_number:03d}"
        return f"{view}_{self.challenge_type:02d}_{self.level}"

    @property
    def play_order(self) -> tuple[int, ...]:
        """By challenge, with rising level; within, by object, background, device and orientation."""
        view = (self.object_number, self.background, self.device, self.orientation)
        return (self.challenge_type, self.level, *view)

    @property
    def facets(self) -> dict[str, str]:
        """The labels by which pictures can be chosen; the values are those of `FACETS`."""
        return {
            "challenge": CURE_OR_CHALLENGES[self.challenge_type - 1],
            "level": str(self.level),
            "class": CATEGORY_OF[self.object_number],
            "object": f"{self.object_number:03d}",
            "background": self.FACETS["background"][self.background - 1],
            "device": self.FACETS["device"][self.device - 1],
            "orientation": self.FACETS["orientation"][self.orientation - 1],
        }


def name_numbers(text: str, pattern: re.Pattern[str], form: str, example: str) -> list[int]:
    """The numbers in a file name that matches `pattern`. Raises CureNameError that shows `form` and `example`."""
    match = pattern.fullmatch(text)
    if match is None:
        raise CureNameError(f"expected a file name of the form {form} like {example}, got {text[:120]!r}")
    return [int(group) for group in match.groups()]


def check_ranges(name: object, **ranges: tuple[int, int]) -> None:
    """Raises CureNameError unless each attribute of `name` is in its range, both ends included."""
    for field, (low, high) in ranges.items():
        if not low <= (number := getattr(name, field)) <= high:
            raise CureNameError(f"{field} must be from {low} to {high}, got {number}")


def check_challenge_numbers(challenge_type: int, level: int) -> None:
    """Raises CureNameError unless CURE-TSD and CURE-TSR have this challenge type and level; 0 and 0 mean none."""
    highest = len(CURE_TSD_CHALLENGES) - 1
    if not (0 <= challenge_type <= highest and 0 <= level <= 5):
        raise CureNameError(f"challenge must be of type 0 to {highest} and level 0 to 5, got {challenge_type}, {level}")
    if (challenge_type == 0) != (level == 0):
        raise CureNameError(f"challenge type and level must both be 0 or neither, got {challenge_type} and {level}")
