"""Builders of frames for tests: everything that a test does not name has a plain default."""

from __future__ import annotations

from typing import Any

from gradwatch.streams.wire.messages import EncodedFrame, FrameIdentity, FrameStamp


def frame_stamp(
    stream_id: str, seq: int, run_id: str = "run", *, capture_ns: int = 0, published_ns: int = 0, **rest: Any
) -> FrameStamp:
    """The stamp of a frame; `rest` are further fields of FrameStamp."""
    return FrameStamp(FrameIdentity(stream_id, run_id, seq), capture_ns, published_ns, **rest)


def encoded_frame(stream_id: str, seq: int, run_id: str = "run", *, content: bytes = b"", **stamp: Any) -> EncodedFrame:
    """A JPEG as it came from its camera; `stamp` are fields of FrameStamp."""
    return EncodedFrame(frame_stamp(stream_id, seq, run_id, size_bytes=len(content), **stamp), content)
