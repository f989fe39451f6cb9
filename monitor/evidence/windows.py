"""The frames and reports around an alert: which they are, where they lie in their topics, and which are not there.

A window is a span of the run's capture clock. Reports are read first: they say where the window's frames lie, and
which frames there once were. Records of other streams and runs in the same partition are passed over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple, Protocol

from msgspec import Struct

from gradwatch.streams.wire.frames import decode_frame
from gradwatch.streams.wire.messages import Alert, AlertState, EncodedFrame, FrameReport, FrameStamp, Outcome
from gradwatch.streams.wire.outputs import decode_report
from gradwatch.streams.wire.pixels import BadRecordError
from gradwatch.streams.wire.records import Record
from gradwatch.streams.wire.topics import Topics

from .absences import Missing, MissingCause, Sightings, TimeWindow

__all__ = [
    "Missing",
    "MissingCause",
    "Records",
    "TimeWindow",
    "Window",
    "WindowScan",
    "WindowSource",
    "is_placed",
    "read_evidence",
    "read_window",
    "window_of",
]

SECOND_NS = 1_000_000_000
MARGIN_NS = 5 * SECOND_NS  # before the onset, and after the end
LONGEST_NS = 60 * SECOND_NS  # after the onset
STEP = 64  # records of the first step back; each further one is twice as long
# Wall time, in which a stream at its own pace has long left a window. A replay slower than a tenth of it is cut.
FRAMES_BACK_MS = 60_000
REPORTS_BACK_MS = 3_600_000  # they are small, and the clocks of those who write them may differ
SILENT_MS = 120_000


class Records(Protocol):
    """Reads topics by place and time; `gradwatch.streams.transport.ranges.TopicRanges` does."""

    def partition_of(self, topic: str, key: str) -> int:
        """The partition where records of `key` are."""

    def first_offset(self, topic: str, partition: int) -> int:
        """The oldest offset that is kept."""

    def offset_at(self, topic: str, partition: int, timestamp_ms: int) -> int:
        """The first offset of that wall time or later; where none has come yet, that of the next record."""

    def between(self, topic: str, partition: int, begin: int, end: int | None = None) -> Iterator[Record]:
        """Records from `begin` to below `end`, or to the last one there is."""


class WindowSource(NamedTuple):
    """Where windows are read from."""

    records: Records
    topics: Topics


class Window(Struct, frozen=True):
    """What there is of an alert's window, by seq: frames with their bytes unchanged, reports, and seqs not there.

    `missing` are seqs of the window whose frame is not there, `missing_causes` say why, one for each.
    """

    time: TimeWindow
    frames: list[EncodedFrame]
    reports: list[FrameReport]
    missing: list[int]
    missing_causes: list[MissingCause]


def window_of(alert: Alert) -> TimeWindow:
    """From 5 s before the onset to 5 s after the last frame over the threshold, but 60 s after the onset at most.

    Both ends belong to it. An open alert goes on, so its window reaches to those 60 s.
    """
    longest_ns = alert.onset_capture_ns + LONGEST_NS
    end_ns = longest_ns if alert.state is AlertState.OPEN else min(alert.last_capture_ns + MARGIN_NS, longest_ns)
    return TimeWindow(alert.onset_capture_ns - MARGIN_NS, end_ns)


def is_placed(report: FrameReport) -> bool:
    """Whether seq and times are numbers that files and arrays can hold; anybody may write to a topic."""
    return all(0 <= number < 2**63 for number in (report.identity.seq, report.capture_ns, report.published_ns))


def read_window(source: WindowSource, alert: Alert, published_ms: int | None = None) -> Window:
    """What there is of the window of `alert` up to now, all of it in memory (`WindowScan` gives frame after frame).

    `published_ms` is the timestamp of the alert's record: it finds the reports where the frames have expired.
    Raises `BrokerUnavailableError`, `TopicMissingError`.
    """
    scan = WindowScan(source, alert, published_ms)
    frames = list(scan.frames())
    missing = scan.missing()
    return Window(scan.time, frames, scan.reports, [one.seq for one in missing], [one.cause for one in missing])


def read_evidence(path: Path) -> Window:
    """The window in an evidence file. Raises `EvidenceError`, and ModuleNotFoundError without the extra `evidence`."""
    from .format import require_extra

    require_extra()
    from .reading import read_file

    return read_file(path).window


class WindowScan:
    """One look at a window: its reports at once, then `frames`, then what is `missing`.

    Reports come first, so a frame that comes meanwhile is there without a report and is not taken for missing.
    """

    def __init__(self, source: WindowSource, alert: Alert, published_ms: int | None = None) -> None:
        self.time = window_of(alert)
        self._source, self._alert = source, alert
        self._sightings = Sightings(self.time)
        self._before = -1  # offset of the last frame before the window that a report names
        found: dict[int, FrameReport] = {}
        for report in self._reports(self._reports_anchor_ms(published_ms)):
            # A redelivered frame may be dropped once and judged once: judged wins.
            if report.identity.seq not in found or report.outcome is Outcome.JUDGED:
                found[report.identity.seq] = report
        self.reports = [found[seq] for seq in sorted(found)]

    def frames(self, after_offset: int | None = None) -> Iterator[EncodedFrame]:
        """The window's frames in the order of their topic, each seq once, those up to `after_offset` left out."""
        alert, records, topic = self._alert, self._source.records, self._source.topics.frames
        begin = max(self._first_frame(), -1 if after_offset is None else after_offset + 1)
        own_ms: int | None = None
        for record in records.between(topic, alert.partition, begin):
            frame = self._own_frame(record)
            if frame is not None:
                own_ms = record.timestamp_ms
                fresh = self._sightings.frame(frame.stamp)
                if frame.stamp.capture_ns > self.time.end_ns:
                    return
                if fresh and frame.stamp.capture_ns >= self.time.start_ns:
                    yield frame
            elif own_ms is not None and record.timestamp_ms > own_ms + SILENT_MS:
                return

    def note(self, stamp: FrameStamp) -> None:
        """Says that a frame of the window is at hand from elsewhere."""
        self._sightings.frame(stamp)

    def missing(self) -> list[Missing]:
        """What is not there; to be asked once all frames have been taken."""
        return self._sightings.missing()

    def _reports(self, anchor_ms: int) -> Iterator[FrameReport]:
        """Reports of the window; notes those just outside too."""
        alert, records, topic = self._alert, self._source.records, self._source.topics.reports
        partition = records.partition_of(topic, alert.stream_id)
        anchor = records.offset_at(topic, partition, anchor_ms)
        begin = self._reach_back(topic, partition, anchor, self._report_before, REPORTS_BACK_MS)
        own_ms: int | None = None
        for record in records.between(topic, partition, begin):
            report = self._own_report(record)
            if report is None:
                if own_ms is not None and record.timestamp_ms > own_ms + SILENT_MS:
                    return
                continue
            own_ms = record.timestamp_ms
            self._sightings.report(report)
            if self.time.start_ns <= report.capture_ns <= self.time.end_ns:
                yield report
            elif report.capture_ns < self.time.start_ns:
                self._note_before(report)
            elif report.outcome is Outcome.JUDGED:  # in the order of capture, while drops may run ahead
                return

    def _note_before(self, report: FrameReport) -> None:
        # A requeued frame comes once more, far behind its place: that is not where the window begins.
        if report.partition == self._alert.partition and report.offset <= self._alert.first_offset:
            self._before = max(self._before, report.offset)

    def _reports_anchor_ms(self, published_ms: int | None) -> int:
        """About when the onset was reported, by the worker's clock where that is known, else by the source's."""
        alert = self._alert
        if published_ms is not None:
            return published_ms - (alert.last_capture_ns - alert.onset_capture_ns) // 1_000_000
        onset = self._source.records.between(
            self._source.topics.frames, alert.partition, alert.first_offset, alert.first_offset + 1
        )
        return next((record.timestamp_ms for record in onset), 0)

    def _first_frame(self) -> int:
        """The offset to read frames from."""
        alert, topic = self._alert, self._source.topics.frames
        begin = self._before
        if begin < 0:
            begin = self._reach_back(topic, alert.partition, alert.first_offset, self._frame_before, FRAMES_BACK_MS)
        oldest = self._source.records.first_offset(topic, alert.partition)
        self._sightings.truncated = 0 < oldest >= begin
        return begin

    def _reach_back(
        self, topic: str, partition: int, anchor: int, is_before: Callable[[Record], bool], back_ms: int
    ) -> int:
        """The offset of the last record that `is_before` the window, else one `back_ms` of wall time before `anchor`.

        Steps back from `anchor` get longer, so no more than twice of what is needed is read.
        """
        records = self._source.records
        oldest, stop, step = records.first_offset(topic, partition), anchor, STEP
        floor_ms: int | None = None
        while stop > oldest:
            begin = max(oldest, stop - step)
            found, earliest_ms = None, None
            for record in records.between(topic, partition, begin, stop):
                earliest_ms = record.timestamp_ms if earliest_ms is None else earliest_ms
                found = record.offset if is_before(record) else found
            if found is not None:
                return found
            if earliest_ms is not None:
                floor_ms = earliest_ms - back_ms if floor_ms is None else floor_ms
                if earliest_ms < floor_ms:
                    return begin
            stop, step = begin, 2 * step
        return oldest

    def _frame_before(self, record: Record) -> bool:
        frame = self._own_frame(record)
        return frame is not None and (frame.stamp.capture_ns < self.time.start_ns or frame.stamp.identity.seq == 0)

    def _report_before(self, record: Record) -> bool:
        report = self._own_report(record)
        return report is not None and (report.capture_ns < self.time.start_ns or report.identity.seq == 0)

    def _own_frame(self, record: Record) -> EncodedFrame | None:
        """The frame in `record` if it is one of this run; a bare one has no key."""
        if record.key not in (None, self._alert.stream_id.encode()):
            return None
        try:
            frame = decode_frame(record)
        except BadRecordError:  # reported as rejected, and so among the missing
            return None
        return frame if self._is_own(frame.stamp) else None

    def _own_report(self, record: Record) -> FrameReport | None:
        if record.key != self._alert.stream_id.encode():
            return None
        try:
            report = decode_report(record.value or b"")
        except BadRecordError:  # of a newer version, or no report: what can't be read is not shown
            return None
        return report if self._is_own(report) and is_placed(report) else None

    def _is_own(self, message: FrameStamp | FrameReport) -> bool:
        identity = message.identity
        return (identity.stream_id, identity.run_id) == (self._alert.stream_id, self._alert.run_id)
