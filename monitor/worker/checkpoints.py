"""Decides when a stream's state is stored, and which offsets may be committed then. No broker, clock or thread here.

The order is: the reports and alerts of all frames that a state covers are delivered; then its records are sent, the
state last; once they are delivered the offsets below its `next_offset` may be committed. So

* a committed offset is covered by a stored state (`Cover` is what an offset waits for),
* a frame below a stored state's `next_offset` has its report delivered, and may be skipped when it is read again,
* a state is taken only while no frame older than the last judged one is unfinished (`live` may report a drop after the
  frame that superseded it), so that skipping below `next_offset` skips no frame without a report.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from gradwatch.streams.transport.offsets import Awaited

from ..judging.state import JudgeState
from .stored_state import Found, Part, Shelf, StoredState, parts, removals

Write = Callable[[Part], Awaited | None]
Bind = Callable[[JudgeState, int, int], StoredState]

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


class StreamLedger:
    """What arrived, is finished and is stored of one stream in one partition. The caller locks around each call."""

    def __init__(self, found: Found | None = None) -> None:
        stored = found.stored if found is not None else None
        self.stored = stored.next_offset if stored is not None else 0  # the newest stored state covers all below
        self.failure: BaseException | None = None
        self._has_state = False
        self._skip_below, self._skip_until_ns = self.stored, stored.published_ns if stored is not None else 0
        self._unfinished: set[int] = set()
        self._judged = self._finished = -1
        self._published_ns = self._skip_until_ns
        self._deliveries: list[Awaited] = []
        self._writing: _Writing | None = None
        self._shelf = found.shelf if found is not None else Shelf()
        self._removals: list[Part] = []

    @property
    def next_offset(self) -> int:
        """All frames that arrived below this offset are finished."""
        return min([self._finished + 1, *self._unfinished])

    @property
    def behind(self) -> bool:
        """Whether a finished frame is not covered by a stored state."""
        return self._has_state and (self._writing is not None or self.next_offset > self.stored)

    def already_judged(self, offset: int, published_ns: int) -> bool:
        """Whether the loaded state covers this frame. The offset alone does not tell: in a recreated topic offsets
        count from 0 again."""
        return offset < self._skip_below and published_ns <= self._skip_until_ns

    def arrive(self, offset: int) -> bool:
        """Notes an arrived frame; returns False if its offset shows that the frames topic was recreated."""
        same = offset >= self.stored
        if not same:
            self.stored = self._skip_below = 0
            self._judged = self._finished = -1
            self._unfinished.clear()
            self._writing = None
        self._unfinished.add(offset)
        return same

    def finish(self, offset: int, judged: bool, published_ns: int, deliveries: Iterable[Awaited]) -> list[Cover]:
        """Notes that a frame is finished; returns what its offset awaits beside its `deliveries`."""
        self._unfinished.discard(offset)
        self._finished = max(self._finished, offset)
        self._published_ns = max(self._published_ns, published_ns)
        if judged:
            self._judged, self._has_state = max(self._judged, offset), True
        self._deliveries += deliveries
        if len(self._deliveries) > MANY:
            self._deliveries = [d for d in self._deliveries if not d.done() or d.exception is not None]
        return [Cover(self, offset)] if self._has_state else []

    def begin(self, state: JudgeState, bind: Bind) -> bool:
        """Begins to store `state` if it covers new frames and no other one is being written; returns whether it did."""
        ahead = min(self._unfinished, default=self._judged + 1) <= self._judged
        if not self._has_state or self._writing is not None or ahead or self.next_offset <= self.stored:
            return False
        self._writing = _Writing(bind(state, self.next_offset, self._published_ns), self._deliveries)
        self._deliveries = []
        return True

    def advance(self, write: Write, given_id: str = "") -> None:
        """Writes on with the begun state as far as its deliveries and `write` allow; `given_id` as for `parts`."""
        while self._removals and write(self._removals[-1]) is not None:
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
            self._removals += removals(self._shelf, writing.shelf)
            self.stored, self._shelf, self._writing = writing.stored.next_offset, writing.shelf, None

    def _delivered(self, awaited: Sequence[Awaited]) -> bool:
        """Whether all are delivered; a failed one ends this ledger."""
        for delivery in awaited:
            if delivery.done() and delivery.exception is not None:
                self.failure = StateNotStoredError(f"the state is not stored: {delivery.exception}")
                return False
        return all(delivery.done() for delivery in awaited)
