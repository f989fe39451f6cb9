"""The synthetic drives of the evaluation: the purpose of each seed, and how a frame is made.

Seeds are split like data: 1000-1999 train, 2000-2999 calibrate, 3000-3999 judge.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import lru_cache
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

LEAD_IN = 60  # clean frames before the challenge starts
AFTER = 25  # frames under the challenge; an alert is due within 20


def pictures_id() -> str:
    """A hash of the settings and the source code that the pictures of a drive are made by."""
    top = Path(str(streams.__file__)).parent
    sources = sorted([*top.glob("world/*.py"), *top.glob("challenges/*.py"), top / "wire" / "pixels.py"])
    digest = hashlib.sha256(f"{RATE_HZ} {SIZE}".encode())
    for source in sources:
        digest.update(source.read_bytes())
    return digest.hexdigest()[:8]


class Unit(msgspec.Struct, frozen=True):
    """A part of one drive: frames `first` to `last` - 1, under a challenge or clean."""

    seed: int
    first: int
    last: int
    challenge: str = "none"
    level: int = 0

    @property
    def name(self) -> str:
        """The unit's file name."""
        return f"{self.seed}-{self.first:03d}-{self.last:03d}-{self.challenge}-{self.level}.frames"


def setting_of(seed: int) -> str:
    """The setting of a drive; settings take turns, so that every split contains all of them."""
    return str(SETTINGS[seed % len(SETTINGS)])


@lru_cache(maxsize=2)
def drive_of(seed: int, swap: Swap | None = None) -> Drive:
    """The drive of a seed, `CLEAN_FRAMES` long."""
    return Drive(setting_of(seed), seed, CLEAN_FRAMES, RATE_HZ, SIZE, swap)


def frames_of(drive: Drive, unit: Unit) -> Iterator[SourceFrame]:
    """The frames of a unit, encoded as a camera would."""
    for seq in range(unit.first, unit.last):
        image = apply_challenge(drive.image(seq), unit.challenge, unit.level, unit.seed, seq)
        yield SourceFrame(encode_jpeg(image), "image/jpeg", round(seq * 1e9 / RATE_HZ), "media")
