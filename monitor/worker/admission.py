"""Admission: chooses the next frame to decode, and the frames to drop, by one of two policies.

`live` keeps the newest frames of every stream and shares turns evenly among the streams: a frame replaced by a newer
one is *superseded*, one that has waited too long, here or decoded, is *stale*. `every_frame` drops nothing; the
caller pauses the consumer while `full`. Both are thread-safe: one thread puts, another takes. Their length is the
number of waiting frames.
"""

from __future__ import annotations

import threading
from collections import OrderedDict, deque

from gradwatch.streams.wire.messages import EncodedFrame, FrameStamp

SMOOTHING = 0.2


class Live:
    """At most `max_pending` frames wait per stream; the stream that was served longest ago is next.

    A taken frame waits once more, decoded, until the networks are free; the length of that wait is learned from
    earlier frames. A frame that would be stale by then is not taken, and its stream keeps its turn. Otherwise a stream
    whose frames arrive out of step with the networks would lose all its turns and be decoded for nothing.
    """

    full = False  # a few frames a stream always fit

    def __init__(self, max_pending: int, max_age_s: float) -> None:
        self.max_pending = max_pending
        self.max_age_ns = round(max_age_s * 1e9)
        self._streams: OrderedDict[str, deque[EncodedFrame]] = OrderedDict()  # served longest ago first
        self._count = 0
        self._taken_ns: dict[tuple[int, int], int] = {}
        self._ahead_ns = 0.0  # from taking a frame until the networks run on it, smoothed
        self._ready = threading.Condition()

    def put(self, frame: EncodedFrame) -> list[EncodedFrame]:
        """Admits `frame` at the end of its stream's queue; returns the oldest over the bound, which it supersedes."""
        with self._ready:
            waiting = self._streams.setdefault(frame.stamp.identity.stream_id, deque())
            waiting.append(frame)
            superseded = [waiting.popleft() for _ in range(len(waiting) - self.max_pending)]
            self._count += 1 - len(superseded)
            self._ready.notify()
        return superseded

    def forget(self, stream_id: str) -> None:
        """Drops what is kept of a stream without waiting frames: when it was served."""
        with self._ready:
            if not self._streams.get(stream_id, True):
                del self._streams[stream_id]

    def take(self, now_ns: int, timeout_s: float) -> tuple[EncodedFrame | None, list[EncodedFrame]]:
        """The oldest frame young enough of the stream whose turn it is, and the stale frames passed over for it.

        Without one it waits for `timeout_s`, then returns None.
        """
        passed: list[EncodedFrame] = []
        with self._ready:
            if not self._count:
                self._ready.wait(timeout_s)
            for stream_id, waiting in self._streams.items():
                while waiting:
                    frame = waiting.popleft()
                    self._count -= 1
                    if not self._stale(frame.stamp, now_ns + self._expected_ahead_ns):
                        self._streams.move_to_end(stream_id)
                        self._taken_ns[frame.stamp.partition, frame.stamp.offset] = now_ns
                        return frame, passed
                    passed.append(frame)
        return None, passed

    def expire(self, stamp: FrameStamp, now_ns: int) -> bool:
        """Whether it was published longer than `max_age_s` ago.

        Must be asked once for every frame taken, right before the networks run.
        """
        taken_ns = self._taken_ns.pop((stamp.partition, stamp.offset), now_ns)
        self._ahead_ns += SMOOTHING * (now_ns - taken_ns - self._ahead_ns)
        return self._stale(stamp, now_ns)

    @property
    def _expected_ahead_ns(self) -> int:
        """At most half the allowed age, so that one long wait does not make every later frame stale."""
        return min(round(self._ahead_ns), self.max_age_ns // 2)

    def _stale(self, stamp: FrameStamp, now_ns: int) -> bool:
        return 0 < stamp.published_ns < now_ns - self.max_age_ns  # 0: its producer gave it no date

    def __len__(self) -> int:
        with self._ready:
            return self._count


class EveryFrame:
    """First come, first served; drops nothing and is `full` at `max_bytes` of waiting frames."""

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
            self._bytes += frame.stamp.size_bytes
            self._ready.notify()
        return []

    def forget(self, stream_id: str) -> None:
        """Does nothing: nothing is kept of a stream."""

    def take(self, now_ns: int, timeout_s: float) -> tuple[EncodedFrame | None, list[EncodedFrame]]:
        """The frame that has waited longest; none is ever stale."""
        with self._ready:
            if not self._waiting:
                self._ready.wait(timeout_s)
            if not self._waiting:
                return None, []
            frame = self._waiting.popleft()
            self._bytes -= frame.stamp.size_bytes
            return frame, []

    def expire(self, stamp: FrameStamp, now_ns: int) -> bool:
        """Returns False: no frame is ever stale."""
        return False

    def __len__(self) -> int:
        return len(self._waiting)


Admission = Live | EveryFrame
