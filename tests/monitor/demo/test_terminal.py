"""The demo's output: counts, live view and summary, with and without a terminal."""

from __future__ import annotations

import io
import math

import pytest
from rich.console import Console

from gradwatch.monitor.demo.summary import OutcomeCounts, StreamSummary, summary_table
from gradwatch.monitor.demo.terminal import DemoView, ratio_bar
from gradwatch.streams.wire.messages import AlertState, FrameReport, Outcome, OutcomeCause, StreamState

from ..town import alert, bare_report


def report(
    seq: int, state: StreamState = StreamState.WATCHING, cause: OutcomeCause | None = None, **change: float
) -> FrameReport:
    outcome = Outcome.DROPPED if cause else Outcome.JUDGED
    return bare_report(seq, published_ns=1_000_000_000, outcome=outcome, state=state, cause=cause, change=change)


def console(terminal: bool, width: int = 80) -> Console:
    return Console(file=io.StringIO(), force_terminal=terminal, width=width, color_system=None, legacy_windows=False)


def printed(out: Console) -> str:
    assert isinstance(out.file, io.StringIO)
    return out.file.getvalue()


class TestDemoView:
    def test_counts_by_outcome(self) -> None:
        with DemoView(["town"], console(False)) as view:
            view.update(report(0), now_ns=1_040_000_000)
            view.update(report(1, cause=OutcomeCause.STALE))
            view.update(report(2, cause=OutcomeCause.SUPERSEDED))
        row = view.rows["town"]
        assert (row.frames, row.outcomes["judged"], row.dropped) == (3, 1, 2)
        assert row.age_ms == pytest.approx(40)

    def test_late_report_of_a_dropped_frame_does_not_turn_back_the_state(self) -> None:
        view = DemoView(["town"], console(False))
        view.update(report(5, StreamState.ALERTING))
        view.update(report(3, StreamState.WATCHING, OutcomeCause.SUPERSEDED))
        assert view.rows["town"].state is StreamState.ALERTING

    def test_without_a_terminal_prints_a_line_every_interval(self) -> None:
        out = console(False, width=300)
        with DemoView(["town"], out, interval_s=3600) as view:
            for seq in range(50):
                view.update(report(seq, **{"image_statistics": 0.4}))
        lines = printed(out).splitlines()
        assert len(lines) == 2  # at the first report and at the end
        assert "50 frames in, 50 judged, 0 dropped" in lines[-1]
        assert "image stats 0.40×" in lines[-1]
        assert "\x1b" not in printed(out)

    @pytest.mark.parametrize("terminal", [True, False])
    def test_an_alert_is_printed_when_it_opens_and_when_it_closes(self, terminal: bool) -> None:
        out = console(terminal, width=300)
        with DemoView(["town"], out, interval_s=3600) as view:
            for shown in (alert(), alert(revision=2), alert(revision=3, state=AlertState.CLOSED)):
                view.show_alert(shown)
        said = printed(out)
        assert said.count("ALERT town") == 1
        assert said.count("closed town") == 1
        assert "since frame 50, frame 57  3.2× threshold  by image statistics" in said
        assert view.rows["town"].alerts == 1

    def test_table_fits_eighty_columns(self) -> None:
        out = console(True)
        change = dict.fromkeys(("image_statistics", "head_gradient_predicted", "gradcon"), 1.4)
        with DemoView(["town"], out) as view:
            view.show_alert(alert())
            view.update(report(0, **change), now_ns=1_040_000_000)
        said = printed(out)
        assert max(len(line) for line in said.splitlines() if "│" in line) <= 80
        for words in ("grad predicted", "1.4×", "age 40 ms", "distribution"):
            assert words in said
        assert "…" not in said

    def test_unknown_stream_gets_a_row(self) -> None:
        view = DemoView([], console(False))
        view.update(report(0))
        assert list(view.rows) == ["town"]


@pytest.mark.parametrize(
    ("ratio", "left", "right"), [(0.0, 0, 0), (0.3, 2, 0), (1.0, 4, 0), (3.0, 4, 2), (math.inf, 4, 4)]
)
def test_bar_passes_the_mark_at_the_threshold(ratio: float, left: int, right: int) -> None:
    before, after = ratio_bar(ratio).plain.split("┃")
    assert (before.count("━"), after.count("━")) == (left, right)


class TestSummary:
    def text(self, **changes: object) -> str:
        fields = {
            "frames_in": 300, "reports": 300, "outcomes": OutcomeCounts(296, {"superseded": 3, "stale": 1}, 0),
            "onset_seq": 150, "first_alert_seq": 153, "delay_frames": 3, "false_alerts": 0, "seed": 1,
            "challenge": "gaussian_blur", "level": 4, "video": "runs/town.webm", "still": "runs/town.jpg",
        }  # fmt: skip
        out = console(False)
        out.print(summary_table({"town": StreamSummary(**(fields | changes))}))  # type: ignore[arg-type]
        return printed(out)

    def test_has_all_figures(self) -> None:
        said = self.text()
        for words in (
            "gaussian blur, level 4", "frame 150", "frame 153", "3 frames", "296 (99%)", "4 (stale 1, superseded 3)",
            "runs/town.webm", "runs/town.jpg",
        ):  # fmt: skip
            assert words in said

    def test_a_missing_alert_is_shown(self) -> None:
        assert self.text(first_alert_seq=None, delay_frames=None).count("none") == 2

    def test_long_paths_are_whole(self) -> None:
        path = "/a/" + "very/" * 30 + "end.webm"
        column = self.text(video=path).replace(" ", "")
        assert path in "".join(line.split("│")[2] for line in column.splitlines() if line.count("│") == 3)

    def test_no_streams(self) -> None:
        out = console(False)
        out.print(summary_table({}))
        assert "frame" not in printed(out)
