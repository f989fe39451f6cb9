"""The window of an alert: the span of its run's capture clock that is kept as evidence."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from gradwatch.streams.wire.messages import Alert, AlertState, FrameReport

SECOND_NS = 1_000_000_000
MARGIN_NS = 5 * SECOND_NS  # before the onset, and after the end
LONGEST_NS = 60 * SECOND_NS  # after the onset


class TimeWindow(NamedTuple):
    """A span of a run's capture clock, both ends included."""

    start_ns: int
    end_ns: int

    def contains(self, at_ns: int, slack_ns: int = 0) -> bool:
        """Whether the span, extended by `slack_ns` at both ends, contains the time `at_ns`."""
        return self.start_ns - slack_ns <= at_ns <= self.end_ns + slack_ns


class MissingCause(StrEnum):
    """Why a frame of a window is missing."""

    EXPIRED = "expired"  # published (it was reported, or the topic begins later) and deleted by retention since
    DROPPED = "dropped"  # deleted since, and dropped by the worker without being judged
    REJECTED = "rejected"  # published, but not a picture
    NEVER_PUBLISHED = "never_published"  # dropped by its source, or lost on the way to Kafka


def window_of(alert: Alert) -> TimeWindow:
    """From 5 s before the onset to 5 s after the last frame over the threshold, at most 60 s after the onset.

    The window of an open alert reaches to those 60 s.
    """
    longest_ns = alert.onset_capture_ns + LONGEST_NS
    end_ns = longest_ns if alert.state is AlertState.OPEN else min(alert.last_capture_ns + MARGIN_NS, longest_ns)
    return TimeWindow(alert.onset_capture_ns - MARGIN_NS, end_ns)


def fits_int64(report: FrameReport) -> bool:
    """Whether seq and times are from 0 to 2^63 - 1, as files and arrays need them; a topic may hold anything."""
    return all(0 <= number < 2**63 for number in (report.identity.seq, report.capture_ns, report.published_ns))
