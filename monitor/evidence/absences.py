"""Which frames of a window are not there, and why: from the gaps between the frames and reports that are."""

from __future__ import annotations

from enum import StrEnum
from itertools import pairwise
from typing import NamedTuple

from gradwatch.streams.wire.messages import FrameReport, FrameStamp, Outcome

MOST_MISSING = 10_000  # 90 s at 100 Hz; a producer may write any seq, so a gap has no bound of its own
SLACK_NS = 1_000  # what rounding may do to the time of a frame that is between two others


class MissingCause(StrEnum):
    """Why a frame of a window is not there."""

    EXPIRED = "expired"  # it was published (its report says so, or the topic begins later) and is deleted by now
    DROPPED = "dropped"  # the same, and the worker had dropped it unseen
    REJECTED = "rejected"  # it was published, and is no picture
    NEVER_PUBLISHED = "never_published"  # its source dropped it, or it was lost on the way to Kafka


class TimeWindow(NamedTuple):
    """A span of a run's capture clock; both ends belong to it."""

    start_ns: int
    end_ns: int

    def contains(self, at_ns: int, slack_ns: int = 0) -> bool:
        """Whether the span, extended by `slack_ns` at both ends, contains the time `at_ns`."""
        return self.start_ns - slack_ns <= at_ns <= self.end_ns + slack_ns


class Missing(NamedTuple):
    """One frame that is not there."""

    seq: int
    cause: MissingCause


CAUSES = {
    Outcome.JUDGED: MissingCause.EXPIRED,
    Outcome.DROPPED: MissingCause.DROPPED,
    Outcome.REJECTED: MissingCause.REJECTED,
}


class Sightings:
    """The frames and reports of one run that were seen in and around a window.

    `truncated` says that the topic's oldest record is younger than the window's start may be.
    """

    def __init__(self, window: TimeWindow) -> None:
        self.window = window
        self.truncated = False
        self._captured_ns: dict[int, int] = {}
        self._frames: set[int] = set()
        self._outcomes: dict[int, Outcome] = {}

    def frame(self, stamp: FrameStamp) -> bool:
        """Notes a frame that is there; returns whether it is the first of its seq."""
        seq = stamp.identity.seq
        fresh = seq not in self._frames
        self._frames.add(seq)
        self._captured_ns[seq] = stamp.capture_ns
        return fresh

    def report(self, report: FrameReport) -> None:
        """Notes a report, whose frame must once have been there."""
        seq = report.identity.seq
        self._captured_ns.setdefault(seq, report.capture_ns)
        if self._outcomes.get(seq) is not Outcome.JUDGED:
            self._outcomes[seq] = report.outcome

    def missing(self) -> list[Missing]:
        """The window's frames that are not there, by seq, `MOST_MISSING` at most.

        A frame of which nothing is known lies in the window if its time does, which is interpolated between its
        neighbors; before the first of the run that was seen, time goes on as between the first two.
        """
        known = sorted(self._captured_ns.items())
        absent = [seq for seq, at_ns in known if seq not in self._frames and self.window.contains(at_ns)]
        for before, after in pairwise(known):
            self._between(absent, before, after)
        self._before_first(absent, known)
        return [Missing(seq, self._cause(seq)) for seq in sorted(absent)[:MOST_MISSING]]

    def _between(self, absent: list[int], before: tuple[int, int], after: tuple[int, int]) -> None:
        (first, first_ns), (last, last_ns) = before, after
        for seq in range(first + 1, min(last, first + 1 + MOST_MISSING)):
            if self.window.contains(first_ns + (seq - first) * (last_ns - first_ns) // (last - first), SLACK_NS):
                absent.append(seq)

    def _before_first(self, absent: list[int], known: list[tuple[int, int]]) -> None:
        if len(known) < 2:
            return
        (first, first_ns), (second, second_ns) = known[:2]
        period_ns = (second_ns - first_ns) // (second - first)
        for seq in range(first - 1, max(-1, first - 1 - MOST_MISSING), -1):
            if period_ns <= 0 or not self.window.contains(first_ns - (first - seq) * period_ns, SLACK_NS):
                return
            absent.append(seq)

    def _cause(self, seq: int) -> MissingCause:
        outcome = self._outcomes.get(seq)
        if outcome is not None:
            return CAUSES[outcome]
        expired = self.truncated and seq < min(self._frames, default=seq + 1)
        return MissingCause.EXPIRED if expired else MissingCause.NEVER_PUBLISHED
