"""Sources of frames, and how a recording of any kind is played: which frames, at which rate, under which challenge."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from gradwatch import GradwatchError

from ..challenges.table import apply_challenge, check_challenge
from ..wire.messages import check_stream_id
from ..wire.pixels import Encoding, decode_picture, encode_jpeg, picture_encoding

MAX_LOOP_BYTES = 1 << 30  # of the frames that are played to and fro, which are kept in memory


class RecordingError(GradwatchError, ValueError):
    """A recording that can't be read or written: a damaged file, a file name with no meaning, a wrong choice."""


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


@dataclass(frozen=True, slots=True)
class Still:
    """A picture of a recording, encoded or as (H, W, 3) uint8 RGB, and its time on the recording's timeline."""

    time_ns: int
    content: bytes | None = None
    image: NDArray[np.uint8] | None = None
    clock: Literal["utc", "media"] = "media"

    def pixels(self) -> NDArray[np.uint8]:
        """(H, W, 3) uint8 RGB."""
        return decode_picture(self.content or b"") if self.image is None else self.image

    def size_bytes(self) -> int:
        """Memory that the picture takes."""
        return len(self.content or b"") if self.image is None else self.image.nbytes


class PlayedSource:
    """Plays the pictures that `read` yields as `playback` describes; each iteration reads the recording again."""

    def __init__(self, name: str, read: Callable[[], Iterable[Still]], playback: Playback) -> None:
        self.name = legal_stream_id(name)
        self._read = read
        self._playback = playback

    def __iter__(self) -> Iterator[SourceFrame]:
        play = self._playback
        chosen = itertools.islice(self._read(), play.first, None if play.last is None else play.last + 1)
        stills = self._to_and_fro(chosen) if play.to_and_fro else chosen
        for seq, still in enumerate(itertools.islice(stills, play.frames)):
            yield self._frame(seq, still)

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
    """A stream id made of any name: illegal characters become `-`, and at most 63 are kept."""
    return check_stream_id(re.sub("[^A-Za-z0-9._-]", "-", name).lstrip("._-")[:63] or "source")
