"""Builds runs of frames with their reports and alerts, and topics in memory to read windows from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from msgspec.structs import replace

from gradwatch.monitor.evidence.scan import WindowScan, WindowSource
from gradwatch.monitor.evidence.window import MissingCause
from gradwatch.streams.wire.frames import encode_frame
from gradwatch.streams.wire.messages import (
    Alert,
    AlertState,
    EncodedFrame,
    FrameReport,
    Outcome,
    OutcomeCause,
    ReportedDetections,
    StreamState,
)
from gradwatch.streams.wire.outputs import encode_report
from gradwatch.streams.wire.records import Record
from gradwatch.streams.wire.topics import Topics

from ...builders import RUN, SECOND_NS, encoded_frame, frame_report, gray_jpeg, shift_alert

CAPTURE_NS = 1_790_000_000_123_456_789
PUBLISHED_MS = 1_790_000_000_500
TOPICS = Topics()
JPEG = gray_jpeg(90, (24, 16))
IDS = {"models_id": "m1", "calibration_id": "c1", "configuration_id": "k1"}


def capture_ns(seq: int, rate_hz: int) -> int:
    return CAPTURE_NS + seq * SECOND_NS // rate_hz


def frame(seq: int, rate_hz: int, stream_id: str = "north", run_id: str = RUN, content: bytes = JPEG) -> EncodedFrame:
    at_ns = capture_ns(seq, rate_hz)
    published_ns = PUBLISHED_MS * 1_000_000 + seq * SECOND_NS // rate_hz
    # pictures differ: what follows the end of a JPEG is no part of it
    content += b"%d" % seq
    return encoded_frame(stream_id, seq, run_id, content=content, capture_ns=at_ns, published_ns=published_ns)


def stamped(made: EncodedFrame, **stamp: Any) -> EncodedFrame:
    """The frame with other fields of its stamp, such as its place on the topic."""
    return replace(made, stamp=replace(made.stamp, **stamp))


def report(of: EncodedFrame, outcome: Outcome = Outcome.JUDGED) -> FrameReport:
    cause = None if outcome is Outcome.JUDGED else OutcomeCause.SUPERSEDED
    seen = ReportedDetections(np.float32([[2, 3, 9, 12]]), np.float32([0.75]), ["sign"], ["stop"])
    stamp = of.stamp
    return frame_report(
        stamp.identity.stream_id,
        stamp.identity.seq,
        identity=stamp.identity,
        partition=stamp.partition,
        offset=stamp.offset,
        capture_ns=stamp.capture_ns,
        published_ns=stamp.published_ns,
        clock=stamp.clock,
        outcome=outcome,
        state=StreamState.ALERTING,
        cause=cause,
        width=24,
        height=16,
        detections=seen if outcome is Outcome.JUDGED else None,
        scores={"image_statistics": np.float32([stamp.identity.seq]), "head_entropy": np.float32([np.nan])},
        p_values={"image_statistics": np.float32([0.01])},
        change={"image_statistics": 1.5},
        **IDS,
    )


def alert(onset: EncodedFrame, last: EncodedFrame, state: AlertState = AlertState.CLOSED, revision: int = 1) -> Alert:
    identity = onset.stamp.identity
    return shift_alert(
        identity.stream_id,
        identity.seq,
        identity.run_id,
        last_seq=last.stamp.identity.seq,
        revision=revision,
        state=state,
        onset_capture_ns=onset.stamp.capture_ns,
        last_capture_ns=last.stamp.capture_ns,
        partition=onset.stamp.partition,
        first_offset=onset.stamp.offset,
        last_offset=last.stamp.offset,
        score=1.5,
        **IDS,
    )


@dataclass
class MemoryRecords:
    """`TopicRanges` over lists of records, one partition a topic; `oldest` is the first offset that retention kept."""

    topics: dict[str, list[Record]] = field(default_factory=dict)
    oldest: dict[str, int] = field(default_factory=dict)
    read: dict[str, int] = field(default_factory=dict)

    def partition_of(self, topic: str, key: str) -> int:
        return 0

    def first_offset(self, topic: str, partition: int) -> int:
        return self.oldest.get(topic, 0)

    def offset_at(self, topic: str, partition: int, timestamp_ms: int) -> int:
        found = (record.offset for record in self.topics[topic] if record.timestamp_ms >= timestamp_ms)
        return max(next(found, len(self.topics[topic])), self.first_offset(topic, partition))

    def between(self, topic: str, partition: int, begin: int, end: int | None = None) -> Iterator[Record]:
        for record in self.topics[topic][max(begin, self.first_offset(topic, partition)) : end]:
            self.read[topic] = self.read.get(topic, 0) + 1
            yield record

    def put(self, topic: str, key: str | None, value: bytes, timestamp_ms: int, headers=()) -> int:
        records = self.topics.setdefault(topic, [])
        encoded = None if key is None else key.encode()
        records.append(Record(topic, 0, len(records), timestamp_ms, encoded, value, tuple(headers)))
        return len(records) - 1

    def publish(self, made: EncodedFrame) -> EncodedFrame:
        """Publishes a frame; returns it with its place on the topic."""
        wire, stamp = encode_frame(made), made.stamp
        offset = self.put(
            TOPICS.frames, stamp.identity.stream_id, wire.value, stamp.published_ns // 1_000_000, wire.headers
        )
        return stamped(made, partition=0, offset=offset, published_ns=stamp.published_ns // 1_000_000 * 1_000_000)

    def judge(self, made: EncodedFrame, outcome: Outcome = Outcome.JUDGED) -> None:
        content = encode_report(report(made, outcome))
        stream_id, published_ms = made.stamp.identity.stream_id, made.stamp.published_ns // 1_000_000
        self.put(TOPICS.reports, stream_id, content, published_ms + 80)


class Window(NamedTuple):
    """All that was found of an alert's window; frames are missing by seq."""

    frames: list[EncodedFrame]
    reports: list[FrameReport]
    missing: dict[int, MissingCause]


def read_window(records: Any, about: Alert, published_ms: int | None = None, topics: Topics = TOPICS) -> Window:
    """The window of an alert, from a broker's topics or from those in memory."""
    scan = WindowScan(WindowSource(records, topics), about, published_ms)
    return Window(list(scan.frames()), scan.reports, scan.missing())
