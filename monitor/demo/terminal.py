"""The terminal output of `gradwatch demo` while it runs; renders only, reads no topics.

On a terminal a table is redrawn in place; elsewhere a line is printed every few seconds. Alerts are printed as they
come in both cases, so that they stay in the scroll-back and in logs.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from gradwatch.streams.wire.messages import Alert, AlertState, FrameReport, Outcome, Severity, StreamState

from ..overlay.annotations import finite_change
from ..overlay.canvas import bar_fraction, format_ratio, short_name, words

STATE_STYLES = {
    StreamState.NO_SIGNAL: "dim",
    StreamState.CALIBRATING: "bold yellow",
    StreamState.WATCHING: "bold bright_blue",
    StreamState.ALERTING: "bold white on red",
}
SEVERITY_STYLES = {Severity.INFO: "bright_blue", Severity.WARNING: "bold yellow", Severity.CRITICAL: "bold red"}
BAR_CELLS = 8  # even, so that the threshold is between two cells
MOST_BARS = 4
LATE_MS = 1_000  # an older frame's age is shown in red
REDRAW_S = 0.125


@dataclass(slots=True)
class StreamRow:
    """The counts and the latest state of one stream."""

    stream_id: str
    outcomes: Counter[str] = field(default_factory=Counter)  # "judged" or the cause of not being judged
    age_ms: float = math.nan
    state: StreamState = StreamState.CALIBRATING
    seq: int = -1
    change: dict[str, float] = field(default_factory=dict)
    alerts: int = 0
    last_alert: Alert | None = None

    @property
    def frames(self) -> int:
        """Number of reported frames."""
        return sum(self.outcomes.values())

    @property
    def dropped(self) -> int:
        """Number of frames that were not judged, rejected ones included."""
        return self.frames - self.outcomes["judged"]


class DemoView:
    """A live view of some streams; use it as a context manager.

    `interval_s` is the time between two lines if there is no terminal.
    """

    def __init__(self, stream_ids: Sequence[str], console: Console, interval_s: float = 5.0) -> None:
        self.console = console
        self.rows = {stream_id: StreamRow(stream_id) for stream_id in stream_ids}
        self._printed_s = -math.inf
        # Redrawn by update() alone: a thread of its own would disturb the measured processes.
        self._live = Live(console=self.console, auto_refresh=False) if self.console.is_terminal else None
        self._interval_s = REDRAW_S if self._live else interval_s

    def __enter__(self) -> DemoView:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._print()
        if self._live:
            self._live.stop()

    def update(self, report: FrameReport, now_ns: int | None = None) -> None:
        """Counts a report; its age is `now_ns` (default: now) minus its `published_ns`, both wall clock."""
        row = self._row(report.identity.stream_id)
        row.outcomes[str(report.cause or report.outcome)] += 1
        if report.identity.seq > row.seq:  # reports of dropped frames may come late
            row.seq, row.state = report.identity.seq, report.state
        if report.outcome is Outcome.JUDGED:
            age_ns = (time.time_ns() if now_ns is None else now_ns) - report.published_ns
            row.age_ms = age_ns / 1e6 if report.published_ns > 0 else math.nan
            row.change = finite_change(report)
        if time.monotonic() - self._printed_s >= self._interval_s:
            self._print()

    def show_alert(self, alert: Alert) -> None:
        """Prints an alert when it is opened and closed; other revisions only update the table."""
        row = self._row(alert.stream_id)
        is_new = alert.revision == 1
        row.alerts += is_new
        row.last_alert = alert
        if is_new or alert.state is AlertState.CLOSED:
            self.console.print(alert_line(alert))

    def _print(self) -> None:
        self._printed_s = time.monotonic()
        if self._live:
            self._live.update(live_table(self.rows.values()), refresh=True)
        else:
            for row in self.rows.values():
                self.console.print(status_line(row), soft_wrap=True)

    def _row(self, stream_id: str) -> StreamRow:
        return self.rows.setdefault(stream_id, StreamRow(stream_id))


def ratio_bar(ratio: float) -> Text:
    """A bar of a change statistic's ratio to its threshold, which is marked by the `┃` in the middle."""
    full = round(BAR_CELLS * bar_fraction(ratio))
    half = BAR_CELLS // 2
    cells = "━" * full + "╌" * (BAR_CELLS - full)
    style = "red" if ratio >= 1 else "bright_blue"
    bar = Text()
    for i, cell in enumerate(cells):
        if i == half:
            bar.append("┃", "bold")
        bar.append(cell, style if i < full else "dim")
    return bar.append(f" {format_ratio(ratio):>6}", "bold red" if ratio >= 1 else "")


def alert_line(alert: Alert) -> Text:
    """An alert in one line: stream, kind, frames, ratio to the threshold, scores and reason."""
    is_open = alert.state is AlertState.OPEN
    line = Text("ALERT " if is_open else "closed ", SEVERITY_STYLES[alert.severity] if is_open else "dim")
    line.append(alert.stream_id, "bold")
    line.append(f"  {words(alert.kind)} since frame {alert.onset_seq}, frame {alert.last_seq}")
    line.append(f"  {format_ratio(alert.score)} threshold", "bold")
    if alert.carried_by:
        line.append(f"  by {', '.join(words(name) for name in alert.carried_by)}")
    return line.append(f"  {alert.reason}", "dim") if alert.reason else line


def status_line(row: StreamRow) -> str:
    """A stream in one plain line, for logs."""
    change = "".join(f", {short_name(name)} {format_ratio(ratio)}" for name, ratio in _highest(row.change, 2))
    return (
        f"{row.stream_id}: {row.state}, {row.frames} frames in, {row.outcomes['judged']} judged, "
        f"{row.dropped} dropped, age {_age(row.age_ms)}, alerts {row.alerts}{change}"
    )


def live_table(rows: Iterable[StreamRow]) -> Table:
    """The table that is redrawn: a row for each stream, within 80 columns."""
    table = Table(title="gradwatch", title_style="bold", show_lines=True, caption="┃ marks the threshold of an alert")
    table.add_column("stream", overflow="fold", min_width=11)
    table.add_column("frames", no_wrap=True)
    table.add_column("change", no_wrap=True)
    table.add_column("last alert")
    for row in rows:
        name = Text(f"{row.stream_id}\n", "bold").append(str(row.state), STATE_STYLES[row.state])
        frames = Text(f"{row.frames:>4} in\n{row.outcomes['judged']:>4} judged\n")
        frames.append(f"{row.dropped:>4} dropped\n", "yellow" if row.dropped else "dim")
        frames.append(f"age {_age(row.age_ms)}", "red" if row.age_ms > LATE_MS else "dim")
        table.add_row(name, frames, _bars(row.change), _last_alert(row.last_alert))
    return table


def _bars(change: dict[str, float]) -> Text:
    highest = _highest(change, MOST_BARS)
    if not highest:
        return Text("none yet", "dim")
    width = max(len(short_name(name)) for name, _ in highest)
    return Text("\n").join(
        Text(f"{short_name(name):<{width}} ").append_text(ratio_bar(ratio)) for name, ratio in highest
    )


def _highest(change: dict[str, float], most: int) -> list[tuple[str, float]]:
    return sorted(change.items(), key=lambda item: -item[1])[:most]


def _last_alert(alert: Alert | None) -> Text:
    if alert is None:
        return Text("none", "dim")
    text = Text(f"{words(alert.kind)}\n", SEVERITY_STYLES[alert.severity])
    return text.append(f"{alert.state}, onset {alert.onset_seq}, {format_ratio(alert.score)}", "dim")


def _age(age_ms: float) -> str:
    if math.isnan(age_ms):
        return "–"
    return f"{age_ms:.0f} ms" if age_ms < 10_000 else f"{age_ms / 1000:.0f} s"
