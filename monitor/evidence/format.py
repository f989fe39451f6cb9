"""The format of evidence files: the names of their topics, the record of each frame, and their contents as read."""

from __future__ import annotations

from typing import Literal, NamedTuple

import msgspec

from gradwatch import GradwatchError
from gradwatch.streams.wire.messages import Alert, EncodedFrame, FrameReport

from .window import MissingCause, TimeWindow

CAMERA, OVERLAY, FRAMES = "/camera", "/overlay", "/frames"
SCORES, P_VALUES, CHANGE = "/scores", "/p_values", "/change"
THRESHOLDS, ALERTS = "/thresholds", "/alerts"
METADATA, REPORTS = "gradwatch", "reports.msgpack"


class EvidenceError(GradwatchError, ValueError):
    """The file is damaged or not an evidence file."""


class FrameRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """A record of `/frames`, about the picture that follows it; times are decimal strings, as on the wire."""

    stream_id: str
    run_id: str
    seq: int
    partition: int
    offset: int
    capture_ns: str
    published_ns: str
    encoding: Literal["image/jpeg", "image/png"]
    clock: Literal["utc", "media"]
    traceparent: str | None = None


class Evidence(NamedTuple):
    """The contents of an evidence file: revisions of the alert in order, frames and reports by seq, missing seqs."""

    alerts: list[Alert]
    time: TimeWindow
    frames: list[EncodedFrame]
    reports: list[FrameReport]
    missing: dict[int, MissingCause]
    metadata: dict[str, str]
