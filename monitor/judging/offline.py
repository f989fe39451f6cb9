"""Frames without a broker: observing and judging one after the other, as fast as the machine can.

The same steps as in `pipeline.py`, for calibration and evaluation. Pictures go through the same encoding as
those that cross Kafka, because compression leaves its own mark on the statistics.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from msgspec.structs import replace

from gradwatch.models.observe import Observer
from gradwatch.models.outputs import Observation
from gradwatch.streams.sources import SourceFrame
from gradwatch.streams.wire.messages import EncodedFrame, FrameIdentity
from gradwatch.streams.wire.pixels import decode_picture

from ..alarms.calibration import CleanFrame
from .judge import Judge, Verdict
from .state import JudgeState, new_run

Seen = tuple[EncodedFrame, Observation]


def observe_all(frames: Iterable[SourceFrame], observer: Observer, stream_id: str) -> Iterator[Seen]:
    """Every frame of a source with what the networks say of it; `seq` counts from 0."""
    for seq, frame in enumerate(frames):
        image = decode_picture(frame.content)
        yield stamp(stream_id, seq, frame.capture_ns), observer.observe([image], [seq])[0]


def stamp(stream_id: str, seq: int, capture_ns: int) -> EncodedFrame:
    """A frame without its bytes: all that judging needs."""
    return EncodedFrame(FrameIdentity(stream_id, "offline", seq), capture_ns, capture_ns, b"", clock="media")


def judge_all(seen: Iterable[Seen], judge: Judge, state: JudgeState) -> Iterator[Verdict]:
    """Judges frames in order, from `state` on."""
    for frame, observation in seen:
        verdict = judge(frame, observation, state)
        state = verdict.state
        yield verdict


def clean_frames(seen: Iterable[Seen], judge: Judge, segment: int = 0) -> list[CleanFrame]:
    """What a calibration needs of the frames of one drive."""
    state = new_run(None, "calibration", "offline")
    result: list[CleanFrame] = []
    for frame, observation in seen:
        gathered, state = judge.gather(frame, observation, state)
        result.append(replace(gathered, segment=segment))
    return result
