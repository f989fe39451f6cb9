"""The synthetic drives that evaluation observes: which seeds serve what, and how a frame is made.

Seeds are split as data are: 1000-1999 train, 2000-2999 calibrate, 3000-3999 judge.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import msgspec

from gradwatch import streams
from gradwatch.streams.challenges.table import apply_challenge
from gradwatch.streams.recordings.cure_names import CURE_TSD_CHALLENGES
from gradwatch.streams.recordings.played import SourceFrame
from gradwatch.streams.wire.pixels import encode_jpeg
from gradwatch.streams.world.drive import Drive, Swap
from gradwatch.streams.world.ego_motion import SETTINGS

RATE_HZ = 5.0
SIZE = (960, 540)
CLEAN_FRAMES = 300  # one minute
CHALLENGES = tuple(name for name in CURE_TSD_CHALLENGES if name != "none")
LEVELS = (1, 2, 3, 4, 5)

CALIBRATION_SEEDS = tuple(range(2200, 2320))  # two hours
CLEAN_SEEDS = tuple(range(3500, 3590))  # judged for false alarms
CHALLENGE_SEEDS = tuple(range(3000, 3020))
SWAP_SEEDS = tuple(range(3600, 3620))

LEAD_IN = 60  # clean frames before a challenge sets in
AFTER = 25  # frames under the challenge: the bar is an alert within 20


# The modules that a frame of a drive is made by; observations of other pictures are of no use.
DRAWN_BY = (
    "camera_faults",
    "challenges",
    "codec_error",
    "ego_motion",
    "pedestrians",
    "pixels",
    "props",
    "road_surface",
    "roadside",
    "scenery",
    "sign_plate",
    "signs",
    "snow",
    "sprites",
    "synthetic",
    "vehicles",
    "weather",
)


def pictures_id() -> str:
    """A hash of everything that the pictures depend on but the seed."""
    digest = hashlib.sha256(f"{RATE_HZ} {SIZE}".encode())
    for module in DRAWN_BY:
        digest.update(Path(str(streams.__file__)).with_name(f"{module}.py").read_bytes())
    return digest.hexdigest()[:8]


class Unit(msgspec.Struct, frozen=True):
    """One stretch of one drive: frames first to last - 1, under a challenge or clean."""

    seed: int
    first: int
    last: int
    challenge: str = "none"
    level: int = 0

    @property
    def name(self) -> str:
        """The unit's file name."""
        return f"{self.seed}-{self.first:03d}-{self.last:03d}-{self.challenge}-{self.level}.frames"


def parse(name: str) -> Unit:
    """The inverse of `Unit.name`."""
    seed, first, last, challenge, level = name.removesuffix(".frames").split("-")
    return Unit(int(seed), int(first), int(last), challenge, int(level))


def setting_of(seed: int) -> str:
    """Settings take turns, so that every split holds all of them."""
    return str(SETTINGS[seed % len(SETTINGS)])


def drive_of(seed: int, frames: int = CLEAN_FRAMES, swap: Swap | None = None) -> Drive:
    """The drive of a seed."""
    return Drive(setting_of(seed), seed, frames, RATE_HZ, SIZE, swap)


def frames_of(drive: Drive, unit: Unit) -> Iterator[tuple[int, SourceFrame]]:
    """(seq, frame) of a unit, encoded as a camera would."""
    for seq in range(unit.first, unit.last):
        image = apply_challenge(drive.image(seq), unit.challenge, unit.level, unit.seed, seq)
        yield seq, SourceFrame(encode_jpeg(image), "image/jpeg", capture_ns(seq), "media")


def capture_ns(seq: int) -> int:
    """Capture time of a frame of a drive."""
    return round(seq * 1e9 / RATE_HZ)
