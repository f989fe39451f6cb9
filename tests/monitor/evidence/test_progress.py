"""When an alert's window has been published: the progress of reports, and which file is due."""

from __future__ import annotations

from gradwatch.monitor.evidence.pending_alert import Due, PendingAlert
from gradwatch.monitor.evidence.progress import ProgressReader, RunProgress
from gradwatch.streams.wire.messages import AlertState, Outcome

from .scenes import PUBLISHED_MS, RUN, TOPICS, MemoryRecords, alert, capture_ns, frame

LATER = "01JE0000000000000000000000"


def followed(records: MemoryRecords) -> ProgressReader:
    reader = ProgressReader(records, TOPICS.reports)
    reader.follow(("north", RUN), PUBLISHED_MS)
    reader.poll()
    return reader


def test_progress_follows_the_run_alone() -> None:
    records = MemoryRecords()
    for seq in range(20):
        records.judge(frame(seq, 10))
        records.judge(frame(seq + 90, 10, "other"))
    reader = followed(records)
    assert reader.of(("north", RUN)).newest_ns == capture_ns(19, 10)
    assert not reader.of(("north", RUN)).ended
    records.judge(frame(20, 10))
    before = records.read[TOPICS.reports]
    reader.poll()
    assert reader.of(("north", RUN)).newest_ns == capture_ns(20, 10)
    assert records.read[TOPICS.reports] == before + 1  # nothing is read twice


def test_dropped_frames_are_reported_ahead_of_judged_ones() -> None:
    records = MemoryRecords()
    records.judge(frame(100, 10), Outcome.DROPPED)
    reader = followed(records)
    assert reader.of(("north", RUN)).newest_ns == capture_ns(50, 10)


def test_another_run_ends_this_one() -> None:
    records = MemoryRecords()
    records.judge(frame(0, 10, run_id="01JA0000000000000000000000"))  # the one before
    records.judge(frame(1, 10))
    reader = followed(records)
    assert not reader.of(("north", RUN)).ended
    records.judge(frame(0, 10, run_id=LATER))
    reader.poll()
    assert reader.of(("north", RUN)).ended


def test_records_that_are_not_reports_are_skipped() -> None:
    records = MemoryRecords()
    records.put(TOPICS.reports, "north", b"\xc1", PUBLISHED_MS)
    records.put(TOPICS.reports, None, b"", PUBLISHED_MS)
    records.judge(frame(1, 10))
    assert followed(records).of(("north", RUN)).newest_ns == capture_ns(1, 10)


def test_runs_that_nobody_waits_for_are_dropped() -> None:
    records = MemoryRecords()
    records.judge(frame(1, 10))
    reader = followed(records)
    reader.keep_only(set())
    records.judge(frame(2, 10))
    read = records.read[TOPICS.reports]
    reader.poll()
    assert (reader.of(("north", RUN)), records.read[TOPICS.reports]) == (None, read)


def pending(state: AlertState) -> PendingAlert:
    made = PendingAlert(PUBLISHED_MS)
    made.add(alert(frame(100, 10), frame(104, 10), state), 0, 7)
    return made


def progress(seq: int, heard_s: float = 0.0) -> RunProgress:
    return RunProgress(heard_s, capture_ns(seq, 10))


def test_a_closed_alert_is_due_with_the_last_frame_of_its_window() -> None:
    closed = pending(AlertState.CLOSED)
    assert closed.due(progress(153), 1.0, 30.0) is Due.NONE
    assert closed.due(progress(154), 1.0, 30.0) is Due.FINAL


def test_an_open_alert_gets_a_first_and_a_final_file() -> None:
    opened = pending(AlertState.OPEN)
    assert opened.due(progress(149), 1.0, 30.0) is Due.NONE
    assert opened.due(progress(150), 1.0, 30.0) is Due.FIRST
    opened.has_first_file = True
    assert opened.due(progress(699), 1.0, 30.0) is Due.NONE
    assert opened.due(progress(700), 1.0, 30.0) is Due.FINAL
    opened.add(alert(frame(100, 10), frame(110, 10), revision=2), 0, 8)
    assert opened.due(progress(160), 1.0, 30.0) is Due.FINAL  # closed before


def test_the_file_is_final_if_the_stream_is_silent_or_the_run_has_ended() -> None:
    opened = pending(AlertState.OPEN)
    assert opened.due(progress(101, heard_s=5.0), 34.9, 30.0) is Due.NONE
    assert opened.due(progress(101, heard_s=5.0), 35.1, 30.0) is Due.FINAL
    ended = progress(101)
    ended.ended = True
    assert opened.due(ended, 1.0, 30.0) is Due.FINAL


def test_failed_attempts_are_retried_ever_later() -> None:
    closed, now_s, waited = pending(AlertState.CLOSED), 0.0, []
    for _ in range(8):
        closed.failed(now_s, "disk_full")
        waited.append(closed.next_attempt_s - now_s)
        assert closed.due(progress(999, now_s), now_s + 0.5, 30.0) is Due.NONE
        now_s = closed.next_attempt_s
        assert closed.due(progress(999, now_s), now_s, 30.0) is Due.FINAL
    assert waited == [1, 2, 4, 8, 16, 32, 60, 60]
    closed.succeeded()
    assert closed.failure == ""
