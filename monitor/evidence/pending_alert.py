"""An alert whose evidence is not complete yet: its revisions, and when a file is to be written for it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from gradwatch.streams.wire.messages import Alert, AlertState

from .progress import Run, RunProgress
from .window import MARGIN_NS, window_of

FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 60.0  # between failed attempts


class Due(Enum):
    """Which file of an alert is to be written now."""

    NONE = 0
    FIRST = 1  # the alert is open and 5 s from its onset have been reported: a file that will be replaced
    FINAL = 2  # its whole window has been reported, or no more frames will come


@dataclass(slots=True)
class PendingAlert:
    """The revisions of one alert, and its records, to be committed once the file is written."""

    published_ms: int  # of the first record
    revisions: dict[int, Alert] = field(default_factory=dict)
    records: list[tuple[int, int]] = field(default_factory=list)  # partition, offset
    has_first_file: bool = False
    next_attempt_s: float = 0.0
    pause_s: float = FIRST_PAUSE_S
    failure: str = ""  # reason of the last failed attempt

    def add(self, alert: Alert, partition: int, offset: int) -> None:
        """Adds a revision and the place of its record."""
        self.revisions[alert.revision] = alert
        self.records.append((partition, offset))

    @property
    def latest(self) -> Alert:
        """The latest revision."""
        return self.revisions[max(self.revisions)]

    @property
    def run(self) -> Run:
        """The run in which the alert was raised."""
        return self.latest.stream_id, self.latest.run_id

    def due(self, progress: RunProgress, now_s: float, patience_s: float) -> Due:
        """Which file is due at `now_s`, on the clock of `progress.heard_s`."""
        if now_s < self.next_attempt_s:
            return Due.NONE
        silent = now_s - progress.heard_s > patience_s
        if progress.ended or silent or progress.newest_ns >= window_of(self.latest).end_ns:
            return Due.FINAL
        wants_first = self.latest.state is AlertState.OPEN and not self.has_first_file
        return Due.FIRST if wants_first and progress.newest_ns >= self.latest.onset_capture_ns + MARGIN_NS else Due.NONE

    def failed(self, now_s: float, reason: str) -> None:
        """Postpones the next attempt, each time twice as long."""
        self.failure = reason
        self.next_attempt_s = now_s + self.pause_s
        self.pause_s = min(2 * self.pause_s, LONGEST_PAUSE_S)

    def succeeded(self) -> None:
        """Clears the failure and its pause."""
        self.failure, self.pause_s = "", FIRST_PAUSE_S
