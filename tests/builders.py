"""Builders of frames and scores for tests: everything that a test does not name has a plain default."""

from __future__ import annotations

from typing import Any

import numpy as np

from gradwatch.monitor.scorers import ClosedForm
from gradwatch.streams.wire.messages import EncodedFrame, FrameIdentity, FrameStamp


def frame_stamp(
    stream_id: str, seq: int, run_id: str = "run", *, capture_ns: int = 0, published_ns: int = 0, **rest: Any
) -> FrameStamp:
    """The stamp of a frame; `rest` are further fields of FrameStamp."""
    return FrameStamp(FrameIdentity(stream_id, run_id, seq), capture_ns, published_ns, **rest)


def encoded_frame(stream_id: str, seq: int, run_id: str = "run", *, content: bytes = b"", **stamp: Any) -> EncodedFrame:
    """A JPEG as it came from its camera; `stamp` are fields of FrameStamp."""
    return EncodedFrame(frame_stamp(stream_id, seq, run_id, size_bytes=len(content), **stamp), content)


def closed_form(values: Any, head: Any = 0) -> ClosedForm:
    """A closed form of the first detections of a frame, read by `head`, one for all or one each."""
    count = len(values)
    return ClosedForm(np.float32(values), np.arange(count, dtype=np.int32), np.full(count, head, np.int32))
