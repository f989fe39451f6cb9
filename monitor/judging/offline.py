"""Judging without a broker: stored observations in, judgements or clean frames out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from msgspec.structs import replace

from gradwatch.models.outputs import Observation
from gradwatch.streams.wire.messages import FrameIdentity, FrameStamp

from ..alarms.calibration import CleanFrame
from .judge import Judge, Judgement
from .state import JudgeState, new_run

Observed = tuple[FrameStamp, Observation]


def offline_stamp(stream_id: str, seq: int, capture_ns: int) -> FrameStamp:
    """The stamp of a frame that never crossed Kafka; it belongs to the run `offline`."""
    return FrameStamp(FrameIdentity(stream_id, "offline", seq), capture_ns, capture_ns, clock="media")


def judge_all(observed: Iterable[Observed], judge: Judge, state: JudgeState) -> Iterator[Judgement]:
    """Judges frames in order, starting from `state`."""
    for stamp, observation in observed:
        judgement = judge(stamp, observation, state)
        state = judgement.state
        yield judgement


def clean_frames(observed: Iterable[Observed], judge: Judge, segment: int = 0) -> list[CleanFrame]:
    """What calibration needs of the frames of one drive."""
    state = new_run(None, "calibration", "offline")
    frames: list[CleanFrame] = []
    for stamp, observation in observed:
        frame, state = judge.gather(stamp, observation, state)
        frames.append(replace(frame, segment=segment))
    return frames
