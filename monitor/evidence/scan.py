"""Reads the frames and reports of an alert's window back from their topics.

Reports are read first: they say where the window's frames lie, and which frames were published. Records of other
streams and runs in the same partition are skipped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from gradwatch.streams.transport.ranges import TopicRanges
from gradwatch.streams.wire.frames import decode_frame
from gradwatch.streams.wire.messages import Alert, EncodedFrame, FrameReport, FrameStamp, Outcome
from gradwatch.streams.wire.outputs import decode_report
from gradwatch.streams.wire.pixels import BadRecordError
from gradwatch.streams.wire.records import Record
from gradwatch.streams.wire.topics import Topics

from .missing_frames import MissingFrames
from .window import MissingCause, fits_int64, window_of

STEP = 64  # records of the first step back; each further step is twice as long
# Bounds in wall time: a stream at its own pace has left the window long before. A replay slower than a tenth of its
# own pace is cut off.
FRAMES_BACK_MS = 60_000
REPORTS_BACK_MS = 3_600_000  # reports are small, and their writers' clocks may differ
SILENT_MS = 120_000


Decode = Callable[[Record], FrameStamp | FrameReport | None]  # None: not of this run, or can't be decoded


class WindowSource(NamedTuple):
    """Where windows are read from."""

    records: TopicRanges
    topics: Topics


class WindowScan:
    """Reads one window: `reports` at once, then `frames` one by one, then the `missing` frames.

    Since reports come first, a frame that arrives meanwhile lacks its report, but is not taken for missing.
    `published_ms`, the timestamp of the alert's record, locates the reports even where the frames have expired.
    Every method raises what `TopicRanges` does.
    """

    def __init__(self, source: WindowSource, alert: Alert, published_ms: int | None = None) -> None:
        self.time = window_of(alert)
        self._source, self._alert = source, alert
        self._missing = MissingFrames(self.time)
        self._offset_before = -1  # of the last frame before the window that a report names
        found: dict[int, FrameReport] = {}
        for report in self._read_reports(self._reports_anchor_ms(published_ms)):
            # A redelivered frame may be dropped once and judged once: judged wins.
            if report.identity.seq not in found or report.outcome is Outcome.JUDGED:
                found[report.identity.seq] = report
        self.reports = [found[seq] for seq in sorted(found)]

    def frames(self, after_offset: int = -1) -> Iterator[EncodedFrame]:
        """The window's frames beyond `after_offset` in the order of their topic, each seq once."""
        alert, topic = self._alert, self._source.topics.frames
        begin = max(self._first_frame_offset(), after_offset + 1)
        own_ms: int | None = None
        for record in self._source.records.between(topic, alert.partition, begin):
            frame = self._own_frame(record)
            if frame is not None:
                own_ms = record.timestamp_ms
                is_first = self._missing.add_frame(frame.stamp)
                if frame.stamp.capture_ns > self.time.end_ns:
                    return
                if is_first and frame.stamp.capture_ns >= self.time.start_ns:
                    yield frame
            elif own_ms is not None and record.timestamp_ms > own_ms + SILENT_MS:
                return

    def add_known(self, stamp: FrameStamp) -> None:
        """Records that a frame of the window is available from elsewhere."""
        self._missing.add_frame(stamp)

    def missing(self) -> dict[int, MissingCause]:
        """The missing frames by seq; call it once all `frames` have been read."""
        return self._missing.find()

    def _read_reports(self, anchor_ms: int) -> Iterator[FrameReport]:
        """Reports of the window; those just outside are recorded too."""
        records, topic = self._source.records, self._source.topics.reports
        partition = records.partition_of(topic, self._alert.stream_id)
        anchor = records.offset_at(topic, partition, anchor_ms)
        begin = self._step_back(topic, partition, anchor, self._own_report, REPORTS_BACK_MS)
        own_ms: int | None = None
        for record in records.between(topic, partition, begin):
            report = self._own_report(record)
            if report is None:
                if own_ms is not None and record.timestamp_ms > own_ms + SILENT_MS:
                    return
                continue
            own_ms = record.timestamp_ms
            self._missing.add_report(report)
            if self.time.start_ns <= report.capture_ns <= self.time.end_ns:
                yield report
            elif report.capture_ns < self.time.start_ns:
                self._record_offset_before(report)
            elif report.outcome is Outcome.JUDGED:  # judged frames come in order of capture; drops may run ahead
                return

    def _record_offset_before(self, report: FrameReport) -> None:
        # A requeued frame lies far behind its place once more: that is not where the window begins.
        if report.partition == self._alert.partition and report.offset <= self._alert.first_offset:
            self._offset_before = max(self._offset_before, report.offset)

    def _reports_anchor_ms(self, published_ms: int | None) -> int:
        """About when the onset was reported, by the worker's clock where that is known, else by the source's."""
        alert = self._alert
        if published_ms is not None:
            return published_ms - (alert.last_capture_ns - alert.onset_capture_ns) // 1_000_000
        onset = self._source.records.between(
            self._source.topics.frames, alert.partition, alert.first_offset, alert.first_offset + 1
        )
        return next((record.timestamp_ms for record in onset), 0)

    def _first_frame_offset(self) -> int:
        """The offset to read frames from."""
        alert, topic = self._alert, self._source.topics.frames
        begin = self._offset_before
        if begin < 0:
            begin = self._step_back(topic, alert.partition, alert.first_offset, self._own_stamp, FRAMES_BACK_MS)
        oldest = self._source.records.first_offset(topic, alert.partition)
        self._missing.truncated = 0 < oldest >= begin
        return begin

    def _step_back(self, topic: str, partition: int, anchor: int, decode_own: Decode, back_ms: int) -> int:
        """The offset of our last record before the window, else one `back_ms` of wall time before `anchor`.

        Each step back is twice as long as the one before, so at most twice the needed records are read.
        """
        records = self._source.records
        oldest, stop, step = records.first_offset(topic, partition), anchor, STEP
        floor_ms: int | None = None
        while stop > oldest:
            begin = max(oldest, stop - step)
            found, earliest_ms = None, None
            for record in records.between(topic, partition, begin, stop):
                earliest_ms = record.timestamp_ms if earliest_ms is None else earliest_ms
                ours = decode_own(record)
                if ours is not None and (ours.capture_ns < self.time.start_ns or ours.identity.seq == 0):
                    found = record.offset
            if found is not None:
                return found
            if earliest_ms is not None:
                floor_ms = earliest_ms - back_ms if floor_ms is None else floor_ms
                if earliest_ms < floor_ms:
                    return begin
            stop, step = begin, 2 * step
        return oldest

    def _own_stamp(self, record: Record) -> FrameStamp | None:
        frame = self._own_frame(record)
        return None if frame is None else frame.stamp

    def _own_frame(self, record: Record) -> EncodedFrame | None:
        """The frame in `record` if it belongs to this run; a record without a key may."""
        if record.key not in (None, self._alert.stream_id.encode()):
            return None
        try:
            frame = decode_frame(record)
        except BadRecordError:  # its report has the outcome `rejected`, so it is found among the missing
            return None
        return frame if self._is_own(frame.stamp) else None

    def _own_report(self, record: Record) -> FrameReport | None:
        if record.key != self._alert.stream_id.encode():
            return None
        try:
            report = decode_report(record.value or b"")
        except BadRecordError:  # of a newer version, or not a report
            return None
        return report if self._is_own(report) and fits_int64(report) else None

    def _is_own(self, message: FrameStamp | FrameReport) -> bool:
        identity = message.identity
        return (identity.stream_id, identity.run_id) == (self._alert.stream_id, self._alert.run_id)
