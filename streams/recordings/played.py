"""Sources of frames, and how a recording of any kind is played: which frames, at which rate, under which challenge."""

from __future__ import annotations

import hashlib
import itertools
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from gradwatch import GradwatchError

from ..challenges.table import apply_challenge, check_challenge
from ..wire.messages import STREAM_ID, check_stream_id
from ..wire.pixels import Encoding, encode_jpeg, picture_encoding
from .damage import Damage, RecordingError
from .still import Still

MAX_LOOP_BYTES = 1 << 30  # of the frames that are played to and fro, which are kept in memory
MAX_ID_LENGTH, HASH_LENGTH = 63, 6


class SourceOptionError(GradwatchError, ValueError):
    """An option or a playback that does not apply to a kind of source."""


@dataclass(frozen=True, slots=True)
class SourceFrame:
    """One frame to publish: a JPEG or PNG and its capture time."""

    content: bytes
    encoding: Encoding
    capture_ns: int
    clock: Literal["utc", "media"] = "media"
    traceparent: str | None = None  # of the program that captured the frame; without one, publishing makes one


class FrameSource(Protocol):
    """Frames in order, encoded, with capture times that never decrease."""

    @property
    def name(self) -> str:
        """A legal stream id: the default name of the stream."""

    def __iter__(self) -> Iterator[SourceFrame]: ...


@dataclass(frozen=True, slots=True)
class ChallengeOnset:
    """A challenge that begins at frame `onset_seq` (counted from 0) and lasts to the end."""

    name: str
    level: int
    seed: int = 0
    onset_seq: int = 0

    def __post_init__(self) -> None:
        check_challenge(self.name, self.level)


@dataclass(frozen=True, slots=True)
class Playback:
    """How a recording is played.

    Plays frames `first` to `last` (both included, counted from 0; None = to the end). With `rate_hz`, capture times
    follow that rate instead of the recording's own. `to_and_fro` plays forwards and backwards without end; it needs
    a rate and keeps the frames in memory. `frames` limits how many are played.
    """

    rate_hz: float | None = None
    first: int = 0
    last: int | None = None
    to_and_fro: bool = False
    frames: int | None = None
    challenge: ChallengeOnset | None = None
    jpeg_quality: int = 90

    def __post_init__(self) -> None:
        if self.rate_hz is not None and not self.rate_hz > 0:
            raise SourceOptionError(f"rate: expected more than 0 frames a second, got {self.rate_hz}")
        if self.first < 0 or (self.last is not None and self.last < self.first):
            raise SourceOptionError(f"last: expected 0 <= first <= last, got {self.first} and {self.last}")
        if self.to_and_fro and self.rate_hz is None:
            raise SourceOptionError("to-and-fro needs a rate: played backwards, its own times would decrease")


AS_RECORDED = Playback()


class PlayedSource:
    """Plays the pictures that `read` yields as `playback` describes; each iteration reads the recording again.

    What `read` passes over it says to the `Damage` that it is given. Raises RecordingError where nothing is left to
    play.
    """

    def __init__(self, name: str, read: Callable[[Damage], Iterable[Still]], playback: Playback) -> None:
        self.name = legal_stream_id(name)
        self._read = read
        self._playback = playback
        self._damage = Damage(self.name)

    @property
    def dropped(self) -> Mapping[str, int]:
        """The frames that the latest iteration passed over, by cause."""
        return self._damage.counts

    @property
    def chosen(self) -> str:
        """Which of several tracks the latest iteration played without being asked for it, "" for a single one."""
        return self._damage.chosen

    def __iter__(self) -> Iterator[SourceFrame]:
        play = self._playback
        self._damage = Damage(self.name)
        stills = self._to_and_fro(self._chosen()) if play.to_and_fro else self._chosen()
        for seq, still in enumerate(itertools.islice(stills, play.frames)):
            yield self._frame(seq, still)

    def _chosen(self) -> Iterator[Still]:
        play, count = self._playback, 0
        for still in itertools.islice(self._read(self._damage), None if play.last is None else play.last + 1):
            self._damage.any_played = True
            count += 1
            if count > play.first:
                yield still
        if count == 0:
            raise RecordingError(f"{self.name}: no frame can be played; {self._damage.first or 'it has none'}")
        if count <= play.first:
            raise RecordingError(f"first: expected a frame from 0 to {count - 1} of {self.name}, got {play.first}")

    def _frame(self, seq: int, still: Still) -> SourceFrame:
        play = self._playback
        challenge, content = play.challenge, still.content
        if challenge is not None and seq >= challenge.onset_seq:
            image = apply_challenge(still.pixels(), challenge.name, challenge.level, challenge.seed, seq)
            content = encode_jpeg(image, play.jpeg_quality)
        elif content is None:
            content = encode_jpeg(still.pixels(), play.jpeg_quality)
        encoding = picture_encoding(content)
        if play.rate_hz is None:
            return SourceFrame(content, encoding, still.time_ns, still.clock)
        return SourceFrame(content, encoding, round(seq * 1e9 / play.rate_hz))

    def _to_and_fro(self, stills: Iterable[Still]) -> Iterator[Still]:
        """0 1 2 3 2 1 0 1 …: no frame comes twice in a row, and no jump disturbs the tracker."""
        kept: list[Still] = []
        kept_bytes = 0
        for still in stills:
            kept.append(still)
            kept_bytes += still.size_bytes()
            if kept_bytes > MAX_LOOP_BYTES:
                raise RecordingError(
                    f"{self.name}: frames played to and fro must fit {MAX_LOOP_BYTES >> 20} MiB, "
                    f"got more after {len(kept)} frames; choose fewer with first and last"
                )
            yield still
        while kept:
            yield from (kept[-2:0:-1] if len(kept) > 1 else ())
            yield from kept


def legal_stream_id(name: str) -> str:
    """A stream id made of any name, the same for the same name and another for another.

    A legal id stays as it is, and the separators of an address become `-`. Otherwise accents are removed, other illegal
    characters become `-`, and a hash of the whole name follows, so that names that differ only in what was replaced
    stay apart.
    """
    name = unicodedata.normalize("NFC", name)  # macOS stores file names decomposed
    name = re.sub("[:/]+", "-", name) if "/" in name else name
    if STREAM_ID.fullmatch(name):
        return name
    plain = "".join(letter for letter in unicodedata.normalize("NFKD", name) if not unicodedata.combining(letter))
    legal = re.sub("[^A-Za-z0-9._-]+", "-", plain)[: MAX_ID_LENGTH - HASH_LENGTH - 1].strip("._-") or "source"
    return check_stream_id(f"{legal}-{hashlib.sha256(name.encode(errors='replace')).hexdigest()[:HASH_LENGTH]}")
