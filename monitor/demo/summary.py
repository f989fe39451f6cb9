"""The summary at the end of the demo: the figures of each stream, as a table and in the file of --json."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from rich.table import Table
from rich.text import Text

from ..overlay.canvas import words


class OutcomeCounts(msgspec.Struct, frozen=True):
    """Frames by the outcome of their report; dropped ones by cause."""

    judged: int
    dropped: dict[str, int]
    rejected: int


class StreamSummary(msgspec.Struct, frozen=True):
    """The figures of one stream; None if there was no alert after the onset of the challenge."""

    frames_in: int
    reports: int
    outcomes: OutcomeCounts
    onset_seq: int
    first_alert_seq: int | None
    delay_frames: int | None
    false_alerts: int
    challenge: str
    level: int
    seed: int
    video: str
    still: str


def summary_table(summaries: Mapping[str, StreamSummary]) -> Table:
    """A column for each stream, so that paths have room; a missing alert is red."""
    table = Table(title="what happened", title_style="bold")
    table.add_column("", style="dim", no_wrap=True)
    for stream_id in summaries:
        table.add_column(stream_id, overflow="fold")
    columns = [_facts(summary) for summary in summaries.values()]
    for name in columns[0] if columns else ():
        table.add_row(name, *(facts[name] for facts in columns))
    return table


def _facts(summary: StreamSummary) -> dict[str, Text]:
    outcomes = summary.outcomes
    none = Text("none", "bold red")
    causes = ", ".join(f"{words(cause)} {count}" for cause, count in sorted(outcomes.dropped.items()) if count)
    share_judged = outcomes.judged / max(summary.frames_in, 1)
    return {
        "challenge": Text(f"{words(summary.challenge)}, level {summary.level}"),
        "onset": Text(f"frame {summary.onset_seq}"),
        "first alert": none if summary.first_alert_seq is None else Text(f"frame {summary.first_alert_seq}"),
        "delay": none if summary.delay_frames is None else Text(f"{summary.delay_frames} frames", "bold"),
        "false alerts": Text(str(summary.false_alerts), "bold red" if summary.false_alerts else ""),
        "frames in": Text(str(summary.frames_in)),
        "reports": Text(str(summary.reports), "" if summary.reports == summary.frames_in else "bold red"),
        "judged": Text(f"{outcomes.judged} ({share_judged:.0%})"),
        "dropped": Text(f"{sum(outcomes.dropped.values())} ({causes})" if causes else "0"),
        "rejected": Text(str(outcomes.rejected)),
        "video": Text(summary.video or "–"),
        "still": Text(summary.still or "–"),
    }
