"""Decides when a stream's state is stored, and which offsets may be committed then. No broker, clock or thread here.

The order is: the reports and alerts of all frames that a state covers are delivered; then its records are sent, the
state last; once they are delivered the offsets below its `next_offset` may be committed. So

* a committed offset is covered by a stored state (`Cover` is what an offset waits for),
* a frame below a stored state's `next_offset` has its report delivered, and may be skipped when it is read again,
* a state is taken only while no frame older than the last judged one is unfinished (`live` may report a drop after the
  frame that superseded it), so that skipping below `next_offset` skips no frame without a report.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from gradwatch.streams.transport.offsets import Awaited
from gradwatch.streams.wire.messages import FrameIdentity

from ..judging.state import JudgeState
from .stored_state import NOTHING, Covered, Part, Shelf, StoredState, parts

Write = Callable[[Part], Awaited | None]
Bind = Callable[[JudgeState, Covered], StoredState]

MANY = 256  # deliveries above which those that succeeded are dropped


class StateNotStoredError(RuntimeError):
    """A state, or a report that it covers, could not be delivered: its frames must be judged again."""


class Cover:
    """What the offset of a finished frame awaits: a stored state of its stream that covers it."""

    def __init__(self, ledger: StreamLedger, offset: int) -> None:
        self._ledger = ledger
        self._offset = offset

    @property
    def exception(self) -> BaseException | None:
        """Why no further state can be stored; None while it can."""
        return self._ledger.failure

    def done(self) -> bool:
        """Whether such a state is stored, or can't be stored any more."""
        return self._ledger.stored > self._offset or self._ledger.failure is not None


class _Writing:
    """A state that is being written to the topic."""

    def __init__(self, stored: StoredState, awaited: Sequence[Awaited]) -> None:
        self.stored = stored
        self.awaited = awaited  # what the state covers
        self.records: list[Part] | None = None  # still to be sent; None until what it covers is delivered
        self.sent: list[Awaited] = []
        self.shelf = Shelf()


class _Arrived(NamedTuple):
    """A frame that no begun state covers."""

    offset: int
    run_id: str
    seq: int


class StreamLedger:
    """What arrived, is finished and is stored of one stream in one partition. The caller locks around each call.

    `covered` is what its newest stored state covers, in this partition or in the one that the stream came from.
    """

    def __init__(self, covered: Covered = NOTHING, shelf: Shelf | None = None, now_s: float = 0.0) -> None:
        self.stored = self._skip_below = covered.next_offset  # the newest stored state covers all below
        self.failure: BaseException | None = None
        self.stored_version = covered.version
        self._arrived_s = now_s  # of the latest frame, on the caller's clock
        self._has_state = self._has_changed = False
        self._unfinished: set[int] = set()
        self._judged = self._finished = -1
        self._followed = 0
        self._begun = covered  # by the newest state that was taken
        self._arrived: deque[_Arrived] = deque()
        self._deliveries: list[Awaited] = []
        self._writing: _Writing | None = None
        self._shelf = shelf or Shelf()
        self._removals: list[str] = []  # keys

    @property
    def next_offset(self) -> int:
        """All frames that arrived below this offset are finished."""
        return min([self._finished + 1, *self._unfinished])

    @property
    def behind(self) -> bool:
        """Whether a finished frame, or a change without one, is not covered by a stored state."""
        return self._has_state and (self._writing is not None or self._has_news)

    @property
    def _has_news(self) -> bool:
        return self._has_changed or self.next_offset > self.stored

    def idle_s(self, now_s: float) -> float:
        """For how long no frame has arrived; 0 while one is not finished, or finished and not covered."""
        return 0.0 if self._unfinished or self.behind else now_s - self._arrived_s

    @property
    def covered(self) -> Covered:
        """What the newest state covers that was taken, stored or not."""
        return self._begun

    def already_judged(self, offset: int) -> bool:
        """Whether the loaded state covers this frame."""
        return offset < self._skip_below

    def arrive(self, offset: int, identity: FrameIdentity, now_s: float = 0.0) -> None:
        """Notes an arrived frame."""
        self._arrived_s = now_s
        self._unfinished.add(offset)
        self._arrived.append(_Arrived(offset, identity.run_id, identity.seq))

    def finish(self, offset: int, judged: bool, deliveries: Iterable[Awaited]) -> list[Cover]:
        """Notes that a frame is finished; returns what its offset awaits beside its `deliveries`."""
        self._unfinished.discard(offset)
        self._finished = max(self._finished, offset)
        if judged:
            self._judged, self._has_state = max(self._judged, offset), True
        self._deliveries += deliveries
        if len(self._deliveries) > MANY:
            self._deliveries = [d for d in self._deliveries if not d.done() or d.exception is not None]
        return [Cover(self, offset)] if self._has_state else []

    def change(self, deliveries: Iterable[Awaited]) -> None:
        """Notes that the stream's state has changed without a frame; it is stored once `deliveries` have succeeded."""
        self._has_state = self._has_changed = True
        self._deliveries += deliveries

    def follow(self, version: int) -> None:
        """Makes later states newer than `version`, that of a state of the stream in another partition."""
        self._followed = max(self._followed, version)

    def begin(self, state: JudgeState, bind: Bind) -> bool:
        """Begins to store `state` if it covers anything new and no other is being written; returns whether it did."""
        ahead = min(self._unfinished, default=self._judged + 1) <= self._judged
        if not self._has_state or self._writing is not None or ahead or not self._has_news:
            return False
        self._has_changed = False
        self._begun = self._cover(max(self.next_offset, self.stored))
        self._writing = _Writing(bind(state, self._begun), self._deliveries)
        self._deliveries = []
        return True

    def _cover(self, next_offset: int) -> Covered:
        """What a state covers that is taken now."""
        run_id, seq, version = self._begun.run_id, self._begun.seq, max(self._begun.version, self._followed)
        while self._arrived and self._arrived[0].offset < next_offset:
            arrived = self._arrived.popleft()
            seq = max(seq, arrived.seq) if arrived.run_id == run_id else arrived.seq
            run_id, version = arrived.run_id, version + 1
        return Covered(next_offset, version, self._begun.topic_id, run_id, seq)

    def advance(self, write: Write, given_id: str = "") -> None:
        """Writes on with the begun state as far as its deliveries and `write` allow; `given_id` as for `parts`."""
        while self._removals and write(Part(self._removals[-1], None, 0)) is not None:
            self._removals.pop()
        writing = self._writing
        if writing is None or not self._delivered(writing.awaited):
            return
        if writing.records is None:
            writing.records, writing.shelf = parts(writing.stored, self._shelf, given_id)
        while writing.records:
            sent = write(writing.records[0])
            if sent is None:
                return  # no room: the rest is written next time
            writing.sent.append(sent)
            del writing.records[0]
        if self._delivered(writing.sent):
            self._removals += self._shelf.chunks.keys() - writing.shelf.chunks.keys()
            self.stored, self.stored_version = writing.stored.next_offset, writing.stored.version
            self._shelf, self._writing = writing.shelf, None

    def give_up(self) -> None:
        """Gives up the state that is being written; the next one awaits what this one has."""
        if self._writing is not None:
            self._deliveries = [*self._writing.awaited, *self._writing.sent, *self._deliveries]
            self._writing = None

    def remove(self, keys: Iterable[str]) -> None:
        """Removes keys from the topic, the last one first."""
        self._removals = list(keys)

    def remove_all(self, stream_id: str) -> None:
        """Removes all that is stored of the stream in this partition."""
        self.remove([*self._shelf.chunks, f"{stream_id}/calibration", stream_id])
        self._shelf = Shelf()

    @property
    def removed(self) -> bool:
        """Whether all removals are sent."""
        return not self._removals

    def _delivered(self, awaited: Sequence[Awaited]) -> bool:
        """Whether all are delivered; a failed one ends this ledger."""
        for delivery in awaited:
            if delivery.done() and delivery.exception is not None:
                self.failure = StateNotStoredError(f"the state is not stored: {delivery.exception}")
                return False
        return all(delivery.done() for delivery in awaited)
