"""Finds the frames of a window that are missing, and why, from the gaps between the frames and reports that exist."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from gradwatch.streams.wire.messages import FrameReport, FrameStamp, Outcome

from .window import MissingCause, TimeWindow

MOST_MISSING = 10_000  # 90 s at 100 Hz; needed because a producer may write any seq
SLACK_NS = 1_000  # rounding error of an interpolated capture time

CAUSES = {
    Outcome.JUDGED: MissingCause.EXPIRED,
    Outcome.FAILED: MissingCause.EXPIRED,
    Outcome.DROPPED: MissingCause.DROPPED,
    Outcome.REJECTED: MissingCause.REJECTED,
}


class MissingFrames:
    """Collects the frames and reports of one run in and around a window; `find` then infers the missing frames.

    Set `truncated` where retention may have deleted frames of the window: its topic begins after the window's start.
    """

    def __init__(self, window: TimeWindow) -> None:
        self.window = window
        self.truncated = False
        self._captured_ns: dict[int, int] = {}
        self._frames: set[int] = set()
        self._outcomes: dict[int, Outcome] = {}

    def add_frame(self, stamp: FrameStamp) -> bool:
        """Records a frame that exists; returns whether it is the first of its seq."""
        seq = stamp.identity.seq
        is_first = seq not in self._frames
        self._frames.add(seq)
        self._captured_ns[seq] = stamp.capture_ns
        return is_first

    def add_report(self, report: FrameReport) -> None:
        """Records a report, which proves that its frame was published."""
        seq = report.identity.seq
        self._captured_ns.setdefault(seq, report.capture_ns)
        if self._outcomes.get(seq) is not Outcome.JUDGED:
            self._outcomes[seq] = report.outcome

    def find(self) -> dict[int, MissingCause]:
        """The missing frames of the window by seq, at most `MOST_MISSING`.

        A frame without a report belongs to the window if its interpolated capture time does; before the first frame
        of the run that was seen, the time is extrapolated from the first two.
        """
        known = sorted(self._captured_ns.items())
        missing = [seq for seq, at_ns in known if seq not in self._frames and self.window.contains(at_ns)]
        for before, after in pairwise(known):
            missing += self._between(before, after)
        if len(known) >= 2:
            missing += self._before(known[0], known[1])
        return {seq: self._cause(seq) for seq in sorted(missing)[:MOST_MISSING]}

    def _between(self, before: tuple[int, int], after: tuple[int, int]) -> Iterator[int]:
        (first, first_ns), (last, last_ns) = before, after
        for seq in range(first + 1, min(last, first + 1 + MOST_MISSING)):
            if self.window.contains(first_ns + (seq - first) * (last_ns - first_ns) // (last - first), SLACK_NS):
                yield seq

    def _before(self, earliest: tuple[int, int], next_one: tuple[int, int]) -> Iterator[int]:
        (first, first_ns), (second, second_ns) = earliest, next_one
        period_ns = (second_ns - first_ns) // (second - first)
        for seq in range(first - 1, max(-1, first - 1 - MOST_MISSING), -1):
            if period_ns <= 0 or not self.window.contains(first_ns - (first - seq) * period_ns, SLACK_NS):
                return
            yield seq

    def _cause(self, seq: int) -> MissingCause:
        outcome = self._outcomes.get(seq)
        if outcome is not None:
            return CAUSES[outcome]
        has_expired = self.truncated and seq < min(self._frames, default=seq + 1)
        return MissingCause.EXPIRED if has_expired else MissingCause.NEVER_PUBLISHED
