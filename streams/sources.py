"""Where frames come from, and how a recording is played. The table `SOURCES` names those that are here.

A source is an iterable of encoded frames with capture times. Cameras that give JPEG keep their bytes: nothing is
decoded on the way to the topic unless a challenge is asked for.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from gradwatch import MissingFileError

from .challenges.table import apply_challenge, check_challenge
from .recordings.curetsd import open_recording
from .recordings.video import VideoFrame, read_video
from .wire.messages import check_stream_id
from .wire.pixels import Encoding, decode_picture, encode_jpeg, picture_encoding

PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png")
DEFAULT_RATE_HZ = 10.0  # of pictures without times
KEPT_BYTES = 1 << 30  # of frames that are played to and fro


@dataclass(frozen=True, slots=True)
class SourceFrame:
    """One frame as it will be published: a JPEG or PNG and when it was taken."""

    content: bytes
    encoding: Encoding
    capture_ns: int
    clock: Literal["utc", "media"] = "media"
    traceparent: str | None = None  # that of whatever took the frame; publishing makes one where it is absent


class FrameSource(Protocol):
    """Anything that gives frames in order; `name` is what a stream is called unless the user says otherwise."""

    @property
    def name(self) -> str:
        """A legal stream id."""

    def __iter__(self) -> Iterator[SourceFrame]: ...


@dataclass(frozen=True, slots=True)
class ChallengeOnset:
    """A challenge that sets in at frame `onset_seq` (counted from 0) and stays."""

    name: str
    level: int
    seed: int = 0
    onset_seq: int = 0

    def __post_init__(self) -> None:
        check_challenge(self.name, self.level)


@dataclass(frozen=True, slots=True)
class Playback:
    """How a recording is played.

    Frames `first` to `last` (both included, counted from 0; None = to the end), each of them. With `rate_hz` the
    capture time follows that rate instead of the recording's own. `to_and_fro` turns round at both ends for ever,
    so it needs a rate and keeps its frames in memory. `frames` ends it after so many.
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
            raise ValueError(f"rate_hz must be above 0, got {self.rate_hz}")
        if self.first < 0 or (self.last is not None and self.last < self.first):
            raise ValueError(f"frames to play must be 0 <= first <= last, got {self.first} to {self.last}")
        if self.to_and_fro and self.rate_hz is None:
            raise ValueError("to_and_fro needs rate_hz: backwards, the recording's own times make no sense")


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
        """Memory that it holds."""
        return len(self.content or b"") if self.image is None else self.image.nbytes


class PlayedSource:
    """A recording, played as its `Playback` says; may be iterated again."""

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
        capture_ns = still.time_ns if play.rate_hz is None else round(seq * 1e9 / play.rate_hz)
        challenge, content = play.challenge, still.content
        if challenge is not None and seq >= challenge.onset_seq:
            image = apply_challenge(still.pixels(), challenge.name, challenge.level, challenge.seed, seq)
            content = encode_jpeg(image, play.jpeg_quality)
        elif content is None:
            content = encode_jpeg(still.pixels(), play.jpeg_quality)
        clock = still.clock if play.rate_hz is None else "media"
        return SourceFrame(content, picture_encoding(content), capture_ns, clock)

    def _to_and_fro(self, stills: Iterable[Still]) -> Iterator[Still]:
        """0 1 2 3 2 1 0 1 …: no frame is shown twice in a row, no jump for the tracker."""
        kept: list[Still] = []
        held = 0
        for still in stills:
            kept.append(still)
            held += still.size_bytes()
            if held > KEPT_BYTES:
                raise ValueError(
                    f"{self.name}: frames played to and fro must fit {KEPT_BYTES >> 20} MiB, "
                    f"got more after {len(kept)} frames; choose fewer with first and last"
                )
            yield still
        while kept:
            yield from (kept[-2:0:-1] if len(kept) > 1 else ())
            yield from kept


def video(path: Path | str, playback: Playback = Playback(), name: str | None = None) -> FrameSource:
    """A video file; frames become JPEG on the way."""
    path = Path(path)
    return PlayedSource(name or path.stem, lambda: _stills(read_video(path)), playback)


def recording(path: Path | str, playback: Playback = Playback(), name: str | None = None) -> FrameSource:
    """A CURE-TSD recording, known by its file name. Its annotation is truth and stays out of the frames.

    Raises `RecordingNameError` for another file name.
    """
    opened = open_recording(path)
    return PlayedSource(name or opened.path.stem, lambda: _stills(opened.frames()), playback)


def pictures(folder: Path | str, playback: Playback = Playback(), name: str | None = None) -> FrameSource:
    """A folder of JPEG and PNG files in the order of their names; their bytes are published unchanged."""
    folder = Path(folder)
    paths = sorted(path for path in folder.glob("*") if path.suffix.lower() in PICTURE_SUFFIXES)
    if not paths:
        raise MissingFileError(f"expected {', '.join(PICTURE_SUFFIXES)} files in {folder}, got none")
    return PlayedSource(name or folder.name, lambda: _picture_stills(path.read_bytes() for path in paths), playback)


def jpegs(contents: Sequence[bytes], playback: Playback = Playback(), name: str = "jpegs") -> FrameSource:
    """JPEG or PNG pictures in memory, published unchanged."""
    return PlayedSource(name, lambda: _picture_stills(contents), playback)


def _later(module: str, name: str) -> Callable[..., FrameSource]:
    """The source `name` of a module that builds on this one: imported when it is first asked for."""

    def source(*told: Any, **options: Any) -> FrameSource:
        opened: FrameSource = getattr(import_module(f".{module}", __package__), name)(*told, **options)
        return opened

    return source


SOURCES: dict[str, Callable[..., FrameSource]] = {
    "video": video,
    "recording": recording,
    "pictures": pictures,
    "jpegs": jpegs,
    "camera": _later("cameras", "camera"),
    "bag": _later("bags", "bag"),
    "curetsr": _later("curetsr", "curetsr"),
    "cureor": _later("cureor", "cureor"),
}


def legal_stream_id(name: str) -> str:
    """A stream id out of any name: what may not be in one becomes `-`."""
    legal = "".join(letter if letter.isascii() and (letter.isalnum() or letter in "._-") else "-" for letter in name)
    return check_stream_id(legal.lstrip("._-")[:63] or "source")


def _stills(frames: Iterable[VideoFrame]) -> Iterator[Still]:
    return (Still(frame.time_ns, image=frame.image) for frame in frames)


def _picture_stills(contents: Iterable[bytes]) -> Iterator[Still]:
    return (Still(round(i * 1e9 / DEFAULT_RATE_HZ), content=content) for i, content in enumerate(contents))
