"""CURE-OR's files: names of object pictures, categories, challenges, the challenge-free twin, and playing them.

Facts follow the README, dataloader.py and cure_or_objects.txt of olivesgatech/CURE-OR (Temel et al., ICMLA 2018,
arXiv 1810.08293). A picture is called
`backgroundID_deviceID_objectOrientationID_objectID_challengeType_challengeLevel.jpg`, as in `4_5_5_092_18_4.jpg`. A
million pictures of a hundred objects in five backgrounds, by five cameras, from five sides; no split is published.

What is easily got wrong:

* The numbers are not those of CURE-TSD and CURE-TSR: no challenge is 01 here and 00 there, and a name that both have
  (dirty lens 07 and 08 here, 05 there) has another number and another strength.
* There are two challenge-free types, 01 in color and 10 in gray, both of level 0. The twin of 11 to 18 is the gray one.
* Resize (02, 11) has four levels, all others five; a resized picture is smaller than its twin.
* Identifiers of background, device and orientation have one digit, objects three, challenges two.
* mini-CURE-OR numbers its ten objects anew: its 1 to 10 are 099, 068, 005, 071, 040, 012, 023, 061, 094 and 069 here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

from .labeled import LabeledPictures, PictureNameError
from .name_numbers import check_ranges

NAME_PATTERN = "backgroundID_deviceID_objectOrientationID_objectID_challengeType_challengeLevel"
NAME = re.compile(r"([1-5])_([1-5])_([1-5])_([0-9]{3})_([0-9]{2})_([0-5])(?:\.jpe?g)?", re.IGNORECASE)
SUFFIXES = (".jpg", ".jpeg")
OBJECTS = 100
LEVEL_FOLDER = re.compile(r"Level_[1-5]", re.IGNORECASE)

BACKGROUNDS = ("white", "2d_living_room", "2d_kitchen", "3d_living_room", "3d_office")
DEVICES = ("iphone_6s", "htc_one_x", "lg_leon", "logitech_c920", "nikon_d80")
ORIENTATIONS = ("front", "left", "back", "right", "top")
IN_COLOR = (
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
CHALLENGE_NAMES = (*IN_COLOR, "grayscale", *(f"grayscale_{name}" for name in IN_COLOR[1:]))
"""The challenge of each type number, which counts from 1."""
FOLDERS = (
    *("no_challenge", "resize", "underexposure", "overexposure", "blur", "contrast"),
    *("dirtylens1", "dirtylens2", "saltpepper"),
)
"""What the data set's folders are called behind their number; those in gray have `grayscale_` before it."""

_CATEGORIES = {
    "toy": (20, 21, 37, 38, 39, 40, 41, 42, 62, 63, 76, 78, *range(83, 94)),
    "personal": (9, 11, 12, 13, 24, 25, 53, 64, 69, 99),
    "office": (26, 34, 46, 47, 48, 49, 50, 51, 52, 59, 60, 61, 66, 95),
    "household": (1, 2, 6, 7, 15, 16, 17, 22, 27, 28, 30, 33, 43, 45, 55, 58, 65, 67, *range(70, 76), 82, 97, 100),
    "sports": (5, 8, 10, 14, 18, 19, 68, 79, 80, 81),
    "health": (3, 4, 23, 29, 31, 32, 35, 36, 44, 54, 56, 57, 77, 94, 96, 98),
}
CATEGORY_OF = {number: category for category, numbers in _CATEGORIES.items() for number in numbers}
"""The class of each object, 1 to 100: toy 23, personal 10, office 14, household 27, sports 10, health 16 objects."""

FACETS = {
    "challenge": CHALLENGE_NAMES,
    "level": tuple(str(level) for level in range(6)),
    "class": tuple(_CATEGORIES),
    "object": tuple(f"{number:03d}" for number in range(1, OBJECTS + 1)),
    "background": BACKGROUNDS,
    "device": DEVICES,
    "orientation": ORIENTATIONS,
}


@dataclass(frozen=True, slots=True, order=True)
class ObjectName:
    """What a file name says: background, device and orientation 1 to 5, object 1 to 100, challenge type 1 to 18 and
    level, which is 0 for types 1 and 10, 1 to 4 for 2 and 11, 1 to 5 for all others. Raises PictureNameError.
    """

    background: int
    device: int
    orientation: int
    object_number: int
    challenge_type: int
    level: int

    def __post_init__(self) -> None:
        ranges = {
            "background": (1, len(BACKGROUNDS)),
            "device": (1, len(DEVICES)),
            "orientation": (1, len(ORIENTATIONS)),
            "object_number": (1, OBJECTS),
            "challenge_type": (1, len(CHALLENGE_NAMES)),
        }
        check_ranges(self, ranges, PictureNameError)
        lowest, highest = {1: (0, 0), 10: (0, 0), 2: (1, 4), 11: (1, 4)}.get(self.challenge_type, (1, 5))
        if not lowest <= self.level <= highest:
            raise PictureNameError(f"level of {self.challenge} must be from {lowest} to {highest}, got {self.level}")

    @classmethod
    def parse(cls, text: str) -> ObjectName:
        """Reads `4_5_5_092_18_4` or `4_5_5_092_18_4.jpg`; raises PictureNameError that shows the pattern."""
        match = NAME.fullmatch(text)
        if match is None:
            raise PictureNameError(
                f"a picture must be called {NAME_PATTERN}.jpg like 4_5_5_092_18_4.jpg, got {text[:120]!r}"
            )
        return cls(*(int(group) for group in match.groups()))

    def __str__(self) -> str:
        return (
            f"{self.background}_{self.device}_{self.orientation}_{self.object_number:03d}"
            f"_{self.challenge_type:02d}_{self.level}"
        )

    @property
    def file_name(self) -> str:
        """The picture's file name."""
        return f"{self}.jpg"

    @property
    def label(self) -> str:
        """The class, a key of FACETS["class"]."""
        return CATEGORY_OF[self.object_number]

    @property
    def challenge(self) -> str:
        """The challenge's name as in `CHALLENGE_NAMES`."""
        return CHALLENGE_NAMES[self.challenge_type - 1]

    @property
    def is_gray(self) -> bool:
        """Whether the challenge was put on the gray picture."""
        return self.challenge_type > len(IN_COLOR)

    @property
    def play_order(self) -> tuple[int, ...]:
        """By challenge, with rising level; within, by object, background, device and orientation."""
        return (
            self.challenge_type,
            self.level,
            self.object_number,
            self.background,
            self.device,
            self.orientation,
        )

    @property
    def facets(self) -> dict[str, str]:
        """By what pictures can be chosen; the values are those of `FACETS`."""
        return {
            "challenge": self.challenge,
            "level": str(self.level),
            "class": self.label,
            "object": f"{self.object_number:03d}",
            "background": BACKGROUNDS[self.background - 1],
            "device": DEVICES[self.device - 1],
            "orientation": ORIENTATIONS[self.orientation - 1],
        }

    def clean_twin(self) -> ObjectName:
        """The same view without a challenge: in gray for a challenge in gray, in color for all others."""
        return replace(self, challenge_type=len(IN_COLOR) + 1 if self.is_gray else 1, level=0)


OBJECT_PICTURES = LabeledPictures(SUFFIXES, ObjectName.parse, FACETS)
"""Folders of pictures: `OBJECT_PICTURES.read` gives them with what they show, chosen by the keys of `FACETS`."""
cureor = OBJECT_PICTURES.source
"""The source: pictures in their `play_order`, their bytes unchanged."""


def twin_path(path: Path) -> Path:
    """Where the challenge-free version of a picture lies: under the data set's folder for it, or beside the picture.

    The data set lays `18_grayscale_saltpepper/Level_4/3d1/DSLR_JPG/4_5_5_092_18_4.jpg` beside
    `10_grayscale_no_challenge/3d1/DSLR_JPG/4_5_5_092_10_0.jpg`. Raises PictureNameError for a file of another name;
    whether the twin is there is not looked at.
    """
    name = ObjectName.parse(path.name)
    twin = name.clean_twin()
    parts = [part for part in path.parts[:-1] if not LEVEL_FOLDER.fullmatch(part)]
    challenged = _folder(name)
    if challenged not in parts:
        return path.with_name(twin.file_name)
    parts[parts.index(challenged)] = _folder(twin)
    return Path(*parts, twin.file_name)


def _folder(name: ObjectName) -> str:
    """What the data set calls the folder of a challenge, as in `12_grayscale_underexposure`."""
    kind = FOLDERS[(name.challenge_type - 1) % len(IN_COLOR)]
    return f"{name.challenge_type:02d}_{'grayscale_' if name.is_gray else ''}{kind}"
