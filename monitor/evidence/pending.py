"""Alerts whose evidence is not complete yet: what came of each, and when something is to be done about it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from gradwatch.streams.wire.messages import Alert, AlertState

from .arrivals import Progress, Run
from .windows import MARGIN_NS, window_of

FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 60.0  # between attempts that fail


class Due(Enum):
    """What is to be done about an alert now."""

    NOTHING = 0
    FIRST = 1  # it is open, and 5 s from its onset are there: a file that will be replaced
    WHOLE = 2  # its window is there, or nothing more will come


@dataclass(slots=True)
class Pending:
    """One alert: its revisions, and where the records are that may be committed once its file is there."""

    published_ms: int  # of the first record
    alerts: dict[int, Alert] = field(default_factory=dict)
    places: list[tuple[int, int]] = field(default_factory=list)  # partition, offset
    has_first: bool = False
    try_at_s: float = 0.0
    pause_s: float = FIRST_PAUSE_S
    failure: str = ""  # why the last attempt failed, in words

    def take(self, alert: Alert, partition: int, offset: int) -> None:
        """Notes one more revision."""
        self.alerts[alert.revision] = alert
        self.places.append((partition, offset))

    @property
    def latest(self) -> Alert:
        """The revision that counts."""
        return self.alerts[max(self.alerts)]

    @property
    def run(self) -> Run:
        """The run that it is about."""
        return self.latest.stream_id, self.latest.run_id

    def due(self, progress: Progress, now_s: float, patience_s: float) -> Due:
        """What is to be done at `now_s`, of the same clock as `progress.heard_s`."""
        if now_s < self.try_at_s:
            return Due.NOTHING
        silent = now_s - progress.heard_s > patience_s
        if progress.ended or silent or progress.newest_ns >= window_of(self.latest).end_ns:
            return Due.WHOLE
        is_first = self.latest.state is AlertState.OPEN and not self.has_first
        return Due.FIRST if is_first and progress.newest_ns >= self.latest.onset_capture_ns + MARGIN_NS else Due.NOTHING

    def failed(self, now_s: float, reason: str) -> None:
        """Puts the next attempt off, each time twice as long."""
        self.failure = reason
        self.try_at_s = now_s + self.pause_s
        self.pause_s = min(2 * self.pause_s, LONGEST_PAUSE_S)

    def succeeded(self) -> None:
        """Takes the failures back."""
        self.failure, self.pause_s = "", FIRST_PAUSE_S
