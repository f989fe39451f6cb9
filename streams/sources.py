"""Where frames come from, and how a source is published. The table `SOURCES` names those that are here.

A source is an iterable of encoded frames with capture times. Cameras that give JPEG keep their bytes: nothing is
decoded on the way to the topic unless a challenge is asked for.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from ulid import ULID

from .challenges import apply_challenge, check_challenge
from .codec import WireRecord, encode_frame
from .curetsd import open_recording
from .health import Condition, Health
from .messages import EncodedFrame, FrameIdentity, OutcomeCause, check_stream_id
from .pixels import Encoding, decode_picture, encode_jpeg, picture_encoding
from .telemetry import SOURCE_FRAMES, SOURCE_LAG
from .topics import Topics
from .tracing import carried_traceparent, new_traceparent
from .transport.producer import BoundedProducer, Delivery, RecordTooLarge
from .video import VideoFrame, read_video

PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png")
DEFAULT_RATE_HZ = 10.0  # of pictures without times
SILENCE_S = 10.0  # of a broker that has frames to acknowledge: a source is not ready then
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
        raise FileNotFoundError(f"expected {', '.join(PICTURE_SUFFIXES)} files in {folder}, got none")
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


@dataclass(frozen=True, slots=True)
class SourceSummary:
    """What became of a source's frames: `frames` = `published` + all `dropped`, by cause.

    `max_lag_s` is how far it fell behind its own clock at worst (0 when not paced).
    """

    stream_id: str
    run_id: str
    frames: int = 0
    published: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    published_bytes: int = 0
    max_lag_s: float = 0.0


def publish(
    source: FrameSource,
    producer: BoundedProducer,
    topics: Topics,
    stream_id: str,
    *,
    pace: bool,
    partition: int | None = None,
    stop: threading.Event | None = None,
    queue_bytes: int = 8 * 1024 * 1024,
    flush_s: float = 10.0,
    health: Health | None = None,
) -> SourceSummary:
    """Publishes a source as one new run until it ends or `stop` is set, and counts what became of every frame.

    With `pace`, frames leave at the times of their capture, and while the broker takes nothing the newest
    `queue_bytes` wait here and older ones are dropped (`broker_unavailable`), beside what the producer's own budget
    holds. Without, frames leave as fast as the broker takes them and nothing is dropped: raises
    `BrokerUnavailable` after the producer's timeout. `health` is told of the reading and pacing thread (`source`) and
    is ready while the broker answers.
    """
    health = health or Health()
    run = Run(producer, topics, stream_id, partition, queue_bytes)
    health.require("broker", run.broker)
    stop = stop or threading.Event()
    started_s, first_ns = time.monotonic(), None
    health.beat("source")
    for frame in source:
        if pace:
            health.rest("source")
            first_ns = frame.capture_ns if first_ns is None else first_ns
            run.wait_until(started_s + (frame.capture_ns - first_ns) / 1e9, stop)
        health.beat("source")  # a frame that can't be sent or read is noticed
        if stop.is_set():
            break
        run.take(frame, wait_for_room=not pace)
    health.rest("source")
    return run.finish(flush_s)


class Run:
    """One run of a source: numbers its frames, sends them and counts. The producer's thread counts too."""

    def __init__(
        self, producer: BoundedProducer, topics: Topics, stream_id: str, partition: int | None, queue_bytes: int
    ) -> None:
        self.stream_id, self.run_id = check_stream_id(stream_id), str(ULID())
        self._producer, self._topic, self._partition = producer, topics.frames, partition
        self._queue: deque[tuple[WireRecord, int]] = deque()
        self._queued_bytes, self._queue_bytes = 0, queue_bytes
        self._lock = threading.Lock()
        self._outcomes: Counter[str] = Counter()
        self._frames = self._published_bytes = 0
        self._max_lag_s = 0.0
        self._answer = "no frame acknowledged yet"  # the broker's last, about a frame that it could have taken
        self._unanswered_since_s = 0.0

    def wait_until(self, due_s: float, stop: threading.Event) -> None:
        """Sleeps until the frame is due, and meanwhile sends what waits."""
        while (rest_s := due_s - time.monotonic()) > 0 and not stop.is_set():
            self.drain()
            stop.wait(min(rest_s, 0.02) if self._queue else rest_s)
        lag_s = max(0.0, time.monotonic() - due_s)
        self._max_lag_s = max(self._max_lag_s, lag_s)
        SOURCE_LAG.labels(self.stream_id).set(lag_s)

    def take(self, frame: SourceFrame, wait_for_room: bool) -> None:
        """Numbers a frame and sends or queues it."""
        now_ns = time.time_ns()
        identity = FrameIdentity(self.stream_id, self.run_id, self._frames)
        traceparent = carried_traceparent(frame.traceparent, self.stream_id) or new_traceparent()
        record = encode_frame(
            EncodedFrame(identity, frame.capture_ns, now_ns, frame.content, frame.encoding, frame.clock, traceparent)
        )
        with self._lock:
            if self._frames == self._outcomes.total():
                self._unanswered_since_s = time.monotonic()
            self._frames += 1
        if wait_for_room:
            self._send(self._producer.send, record, now_ns)
            return
        self._queue.append((record, now_ns))
        self._queued_bytes += len(record.value)
        self.drain()
        while self._queued_bytes > self._queue_bytes:
            self._forget_oldest()
            self._count(OutcomeCause.BROKER_UNAVAILABLE)

    def finish(self, flush_s: float) -> SourceSummary:
        """Waits for what was sent; whatever the broker has not acknowledged by then counts as dropped."""
        deadline_s = time.monotonic() + flush_s
        while self._queue and time.monotonic() < deadline_s:
            self.drain()
            time.sleep(0.01 if self._queue else 0.0)
        self._producer.flush(max(0.0, deadline_s - time.monotonic()))
        with self._lock:
            dropped = Counter({cause: n for cause, n in self._outcomes.items() if cause != "published"})
            lost = self._frames - self._outcomes.total()
            if lost:
                dropped[OutcomeCause.BROKER_UNAVAILABLE] += lost
                SOURCE_FRAMES.labels(self.stream_id, "dropped", OutcomeCause.BROKER_UNAVAILABLE).inc(lost)
            published = self._outcomes["published"]
        counts = {str(cause): n for cause, n in dropped.items()}
        return SourceSummary(
            self.stream_id, self.run_id, self._frames, published, counts, self._published_bytes, self._max_lag_s
        )

    def broker(self) -> Condition:
        """Whether the broker takes what is published; any thread may ask."""
        with self._lock:
            waiting = self._frames - self._outcomes.total()
            silent_s = time.monotonic() - self._unanswered_since_s if waiting else 0.0
            answer = self._answer
        if silent_s > SILENCE_S:
            return Condition(False, f"{waiting} frames wait, and no answer has come for {silent_s:.0f} s")
        return Condition(answer == "published", answer)

    def drain(self) -> None:
        """Sends what waits, as far as there is room."""
        while self._queue and self._send(self._producer.try_send, *self._queue[0]):
            self._forget_oldest()

    def _forget_oldest(self) -> None:
        record, _ = self._queue.popleft()
        self._queued_bytes -= len(record.value)

    def _send(self, send: Callable[..., Delivery | None], record: WireRecord, published_ns: int) -> bool:
        """Whether the frame is off our hands: sent, or counted as too large."""
        try:
            delivery = send(self._topic, *record, partition=self._partition, timestamp_ms=published_ns // 1_000_000)
        except RecordTooLarge:
            self._count(OutcomeCause.TOO_LARGE)
            return True
        if delivery is None:
            return False
        size = len(record.value)
        delivery.add_done_callback(lambda done: self._delivered(done, size))
        return True

    def _delivered(self, delivery: Delivery, size: int) -> None:
        if delivery.exception is None:
            self._published_bytes += size
            self._count("published")
        elif isinstance(delivery.exception, RecordTooLarge):
            self._count(OutcomeCause.TOO_LARGE)
        else:
            self._count(OutcomeCause.BROKER_UNAVAILABLE)

    def _count(self, outcome: str) -> None:
        with self._lock:
            self._outcomes[outcome] += 1
            self._unanswered_since_s = time.monotonic()
            if outcome != OutcomeCause.TOO_LARGE:
                self._answer = outcome
        labels = ("published", "") if outcome == "published" else ("dropped", outcome)
        SOURCE_FRAMES.labels(self.stream_id, *labels).inc()


def _stills(frames: Iterable[VideoFrame]) -> Iterator[Still]:
    return (Still(frame.time_ns, image=frame.image) for frame in frames)


def _picture_stills(contents: Iterable[bytes]) -> Iterator[Still]:
    return (Still(round(i * 1e9 / DEFAULT_RATE_HZ), content=content) for i, content in enumerate(contents))
