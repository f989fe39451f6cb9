"""What a person who waits is shown."""

from __future__ import annotations

from structlog.testing import capture_logs

from gradwatch.monitor.commands.progress import counted, frames_of_sources
from gradwatch.streams.observability.metrics import SOURCE_FRAMES

from ...waiting import wait_until


def test_the_count_is_logged_where_there_is_no_terminal() -> None:
    with capture_logs() as logs, counted(range(3), "drive.mp4", log_s=0.01) as taken:
        assert list(taken) == [0, 1, 2]
        wait_until(lambda: bool(logs) and logs[-1]["so_far"] == "drive.mp4: 3 frames")
    assert {line["log_level"] for line in logs} == {"info"}


def test_frames_of_each_source_are_told_apart() -> None:
    SOURCE_FRAMES.labels("progress-a", "published", "").inc(3)
    SOURCE_FRAMES.labels("progress-a", "dropped", "undecodable").inc()
    SOURCE_FRAMES.labels("progress-a", "dropped", "thinned").inc(2)
    SOURCE_FRAMES.labels("progress-b", "published", "").inc(4)
    shown = frames_of_sources(["progress-a", "progress-c"])
    assert shown == "progress-a: 3 published, 3 dropped; progress-c: 0 published, 0 dropped"
