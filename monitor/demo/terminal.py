"""What `gradwatch demo` shows while it runs and when it ends; pure rendering, nothing is fetched here.

On a terminal a table is redrawn in place; anywhere else a line is printed every few seconds. Alerts are
printed as they come in both cases, so that they stay in the scroll-back and in logs.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from gradwatch.streams.wire.messages import Alert, AlertState, FrameReport, Outcome, Severity, StreamState

from ..overlay.annotations import finite_change
from ..overlay.canvas import bar_fraction, format_ratio, short_name, words

STATE_STYLES = {
    StreamState.CALIBRATING: "bold yellow",
    StreamState.WATCHING: "bold bright_blue",
    StreamState.ALERTING: "bold white on red",
}
SEVERITY_STYLES = {Severity.INFO: "bright_blue", Severity.WARNING: "bold yellow", Severity.CRITICAL: "bold red"}
BAR_CELLS = 8  # even, so that the threshold is between two cells
MOST_BARS = 4
LATE_MS = 1_000  # an older frame's age is shown in red


@dataclass(slots=True)
class StreamRow:
    """What is known of one stream; `published` stays 0 where the sources' counts are not told."""

    stream_id: str
    published: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)  # "judged" or the cause of not being judged
    age_ms: float = math.nan
    state: StreamState = StreamState.CALIBRATING
    seq: int = -1
    change: dict[str, float] = field(default_factory=dict)
    alerts: int = 0
    last_alert: Alert | None = None

    @property
    def frames_in(self) -> int:
        """Frames that came, by the sources' count or by the reports, whichever knows of more."""
        return max(self.published, sum(self.outcomes.values()))

    @property
    def dropped(self) -> int:
        """Frames that were not judged, for whatever cause, rejected ones included."""
        return sum(self.outcomes.values()) - self.outcomes["judged"]


class DemoView:
    """A live view of some streams; use it as a context manager.

    `interval_s` is the time between two lines where there is no terminal.
    """

    def __init__(self, stream_ids: Sequence[str], console: Console | None = None, interval_s: float = 5.0) -> None:
        self.console = console or Console()
        self.interval_s = interval_s
        self.rows = {stream_id: StreamRow(stream_id) for stream_id in stream_ids}
        self._printed_s = -math.inf
        # Redrawn on update() alone, at most 8 times a second: no thread of its own beside the measured ones.
        self._live = Live(console=self.console, auto_refresh=False) if self.console.is_terminal else None

    def __enter__(self) -> DemoView:
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.refresh(force=True)
        if self._live:
            self._live.stop()

    def published(self, stream_id: str, frames: int) -> None:
        """Tells how many frames a source has sent so far."""
        self._row(stream_id).published = frames

    def update(self, report: FrameReport, alerts: Iterable[Alert] = (), now_ns: int | None = None) -> None:
        """Takes in a report and the alerts that came with it.

        `now_ns` (wall clock, now by default) against the report's `published_ns` gives the frame's age.
        """
        row = self._row(report.identity.stream_id)
        row.outcomes[str(report.cause or report.outcome)] += 1
        if report.identity.seq > row.seq:  # reports of dropped frames may come late
            row.seq, row.state = report.identity.seq, report.state
        if report.outcome is Outcome.JUDGED:
            age_ns = (time.time_ns() if now_ns is None else now_ns) - report.published_ns
            row.age_ms = age_ns / 1e6 if report.published_ns > 0 else math.nan
            row.change = finite_change(report)
        for alert in alerts:
            self.alert(alert)
        self.refresh()

    def alert(self, alert: Alert) -> None:
        """Takes in an alert and prints it; revisions of an open one only replace what is shown."""
        row = self._row(alert.stream_id)
        is_new = alert.revision == 1
        row.alerts += is_new
        row.last_alert = alert
        if is_new or alert.state is AlertState.CLOSED:
            self.console.print(alert_line(alert))

    def refresh(self, force: bool = False) -> None:
        """Redraws the table, or prints a line where there is no terminal, when it is time or `force`d."""
        now_s = time.monotonic()
        if not force and now_s - self._printed_s < (0.125 if self._live else self.interval_s):
            return
        self._printed_s = now_s
        if self._live:
            self._live.update(live_table(self.rows.values()), refresh=True)
        else:
            for row in self.rows.values():
                self.console.print(status_line(row), soft_wrap=True)

    def _row(self, stream_id: str) -> StreamRow:
        return self.rows.setdefault(stream_id, StreamRow(stream_id))


def ratio_bar(ratio: float) -> Text:
    """A bar of a change statistic's ratio to its threshold: the `┃` in the middle is the threshold."""
    full = round(BAR_CELLS * bar_fraction(ratio))
    cells = ["━" if i < full else "╌" for i in range(BAR_CELLS)]
    over = ratio >= 1
    style = "red" if over else "bright_blue"
    half = BAR_CELLS // 2
    bar = Text()
    for i, cell in enumerate(cells):
        if i == half:
            bar.append("┃", "bold")
        bar.append(cell, style if i < full else "dim")
    return bar.append(f" {format_ratio(ratio):>6}", "bold red" if over else "")


def alert_line(alert: Alert) -> Text:
    """An alert in one line: what, where, since when, how far, carried by what, why."""
    name = "ALERT" if alert.state is AlertState.OPEN else "closed"
    line = Text(f"{name} ", SEVERITY_STYLES[alert.severity] if alert.state is AlertState.OPEN else "dim")
    line.append(alert.stream_id, "bold")
    line.append(f"  {words(alert.kind)} since frame {alert.onset_seq}, frame {alert.last_seq}")
    line.append(f"  {format_ratio(alert.score)} threshold", "bold")
    if alert.carried_by:
        line.append(f"  by {', '.join(words(name) for name in alert.carried_by)}")
    return line.append(f"  {alert.reason}", "dim") if alert.reason else line


def status_line(row: StreamRow) -> str:
    """A stream in one plain line, for logs."""
    top = _top(row.change, 2)
    change = ", ".join(f"{short_name(name)} {format_ratio(ratio)}" for name, ratio in top)
    return (
        f"{row.stream_id}: {row.state}, {row.frames_in} frames in, {row.outcomes['judged']} judged, "
        f"{row.dropped} dropped, age {_age(row.age_ms)}, alerts {row.alerts}" + (f", {change}" if change else "")
    )


def live_table(rows: Iterable[StreamRow]) -> Table:
    """The table that is redrawn: a row for each stream, laid out for 80 columns."""
    table = Table(title="gradwatch", title_style="bold", show_lines=True, caption="┃ marks the threshold of an alert")
    table.add_column("stream", overflow="fold", min_width=11)
    table.add_column("frames", no_wrap=True)
    table.add_column("change", no_wrap=True)
    table.add_column("last alert")
    for row in rows:
        name = Text(f"{row.stream_id}\n", "bold").append(str(row.state), STATE_STYLES[row.state])
        table.add_row(name, _frames(row), _bars(row.change), _last_alert(row))
    return table


def _frames(row: StreamRow) -> Text:
    text = Text(f"{row.frames_in:>4} in\n{row.outcomes['judged']:>4} judged\n")
    text.append(f"{row.dropped:>4} dropped\n", "yellow" if row.dropped else "dim")
    return text.append(f"age {_age(row.age_ms)}", "red" if row.age_ms > LATE_MS else "dim")


def _bars(change: dict[str, float]) -> Text:
    top = _top(change, MOST_BARS)
    if not top:
        return Text("none yet", "dim")
    width = max(len(short_name(name)) for name, _ in top)
    lines = [Text(f"{short_name(name):<{width}} ").append_text(ratio_bar(ratio)) for name, ratio in top]
    return Text("\n").join(lines)


def _top(change: dict[str, float], most: int) -> list[tuple[str, float]]:
    return sorted(change.items(), key=lambda item: -item[1])[:most]


def _last_alert(row: StreamRow) -> Text:
    alert = row.last_alert
    if alert is None:
        return Text("none", "dim")
    text = Text(f"{words(alert.kind)}\n", SEVERITY_STYLES[alert.severity])
    return text.append(f"{alert.state}, onset {alert.onset_seq}, {format_ratio(alert.score)}", "dim")


def _age(age_ms: float) -> str:
    if math.isnan(age_ms):
        return "–"
    return f"{age_ms:.0f} ms" if age_ms < 10_000 else f"{age_ms / 1000:.0f} s"


@dataclass(frozen=True, slots=True)
class SummaryRow:
    """What became of one stream; None = there was none. `dropped` counts by cause, paths are as printed."""

    stream_id: str
    challenge: str
    level: int
    onset_seq: int
    first_alert_seq: int | None
    delay_frames: int | None
    false_alerts: int
    frames_in: int
    reports: int
    judged: int
    dropped: dict[str, int]
    rejected: int = 0
    video: str = ""
    still: str = ""


def summary_table(rows: Sequence[SummaryRow]) -> Table:
    """The table at the end, a column for each stream so that paths have room; a missing alert is red."""
    table = Table(title="what happened", title_style="bold")
    table.add_column("", style="dim", no_wrap=True)
    for row in rows:
        table.add_column(row.stream_id, overflow="fold")
    facts = [_facts(row) for row in rows]
    for name in facts[0] if facts else ():
        table.add_row(name, *(fact[name] for fact in facts))
    return table


def _facts(row: SummaryRow) -> dict[str, Text]:
    silent = Text("none", "bold red")
    causes = ", ".join(f"{words(cause)} {count}" for cause, count in sorted(row.dropped.items()) if count)
    dropped = sum(row.dropped.values())
    unaccounted = row.frames_in != row.reports
    return {
        "challenge": Text(f"{words(row.challenge)}, level {row.level}"),
        "onset": Text(f"frame {row.onset_seq}"),
        "first alert": silent if row.first_alert_seq is None else Text(f"frame {row.first_alert_seq}"),
        "delay": silent if row.delay_frames is None else Text(f"{row.delay_frames} frames", "bold"),
        "false alerts": Text(str(row.false_alerts), "bold red" if row.false_alerts else ""),
        "frames in": Text(str(row.frames_in)),
        "reports": Text(str(row.reports), "bold red" if unaccounted else ""),
        "judged": Text(f"{row.judged} ({row.judged / max(row.frames_in, 1):.0%})"),
        "dropped": Text(f"{dropped} ({causes})" if causes else "0"),
        "rejected": Text(str(row.rejected)),
        "video": Text(row.video or "–"),
        "still": Text(row.still or "–"),
    }
