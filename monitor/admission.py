"""Which frame is next, and which never will be: the two policies of a worker, before any decoding.

`live` keeps the newest frames of every stream and serves the streams in turn: a frame replaced by a newer
one is *superseded*, one that has waited too long is *stale*. `every_frame` drops nothing; the caller holds
the consumer back while `full`.
"""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from typing import Protocol

from gradwatch.streams.messages import EncodedFrame


class Admission(Protocol):
    """Frames that wait to be decoded. Thread-safe: one thread puts, another takes."""

    def put(self, frame: EncodedFrame) -> list[EncodedFrame]:
        """Admits `frame`; returns the frames that it supersedes."""

    def take(self, now_ns: int, timeout_s: float) -> tuple[EncodedFrame | None, list[EncodedFrame]]:
        """The next frame, or None after `timeout_s` without one, and the stale frames passed over for it."""

    @property
    def full(self) -> bool:
        """Whether the consumer must be held back."""

    def __len__(self) -> int:
        """Frames that wait."""


class Live:
    """At most `max_pending` frames wait per stream; streams are served in turn."""

    full = False  # two frames a stream are never too much to hold

    def __init__(self, max_pending: int, max_age_s: float) -> None:
        self.max_pending = max_pending
        self.max_age_ns = round(max_age_s * 1e9)
        self._streams: OrderedDict[str, deque[EncodedFrame]] = OrderedDict()
        self._ready = threading.Condition()

    def put(self, frame: EncodedFrame) -> list[EncodedFrame]:
        """Admits `frame` at the end of its stream's queue; the oldest over the bound are superseded."""
        with self._ready:
            waiting = self._streams.setdefault(frame.identity.stream_id, deque())
            waiting.append(frame)
            superseded = [waiting.popleft() for _ in range(len(waiting) - self.max_pending)]
            self._ready.notify()
        return superseded

    def take(self, now_ns: int, timeout_s: float) -> tuple[EncodedFrame | None, list[EncodedFrame]]:
        """The oldest frame young enough of the stream whose turn it is."""
        stale: list[EncodedFrame] = []
        with self._ready:
            if not self._streams:
                self._ready.wait(timeout_s)
            while self._streams:
                stream_id, waiting = self._streams.popitem(last=False)
                while waiting:
                    frame = waiting.popleft()
                    if now_ns - frame.published_ns <= self.max_age_ns:
                        if waiting:
                            self._streams[stream_id] = waiting  # behind all others: served in turn
                        return frame, stale
                    stale.append(frame)
        return None, stale

    def __len__(self) -> int:
        with self._ready:
            return sum(map(len, self._streams.values()))


class EveryFrame:
    """First come, first served, nothing dropped; `full` at `max_bytes` of waiting frames."""

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self._waiting: deque[EncodedFrame] = deque()
        self._bytes = 0
        self._ready = threading.Condition()

    @property
    def full(self) -> bool:
        """Whether the waiting frames have reached the bound."""
        return self._bytes >= self.max_bytes

    def put(self, frame: EncodedFrame) -> list[EncodedFrame]:
        """Admits `frame`; supersedes nothing."""
        with self._ready:
            self._waiting.append(frame)
            self._bytes += len(frame.content)
            self._ready.notify()
        return []

    def take(self, now_ns: int, timeout_s: float) -> tuple[EncodedFrame | None, list[EncodedFrame]]:
        """The frame that has waited longest; none is ever stale."""
        with self._ready:
            if not self._waiting:
                self._ready.wait(timeout_s)
            if not self._waiting:
                return None, []
            frame = self._waiting.popleft()
            self._bytes -= len(frame.content)
            return frame, []

    def __len__(self) -> int:
        return len(self._waiting)
