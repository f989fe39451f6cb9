"""The start of a stream that calibrates itself: which of its frames are gathered, and when it waits for a signal.

A frame of one color, or that repeats the picture gathered last, adds nothing. After NOTHING_FRAMES of them the stream
has no signal (`JudgeState.no_signal`): what was gathered is dropped, and gathering begins with the next picture that
is another one, so that no slate is among the clean frames.
"""

from __future__ import annotations

from msgspec.structs import replace

from ..alarms.calibration import CleanFrame
from ..alarms.variation import SAME_PICTURE, SIMILAR_PICTURE, difference, one_color
from .state import NOTHING_FRAMES, JudgeState


def gather(state: JudgeState, frame: CleanFrame) -> JudgeState:
    """The state with `frame` among its clean frames, or with one more frame in a row that added nothing."""
    statistics = frame.observation.image_statistics
    if one_color(statistics):
        return _wait(state)
    if not state.clean:
        return replace(state, clean=(frame,), idle_frames=0)
    step = difference(statistics, state.clean[-1].observation.image_statistics)
    if step < SAME_PICTURE:
        return _wait(state)
    # A still picture changes slightly whenever its encoder refines it: that alone ends no wait.
    idle = max(state.idle_frames - 2, 0) if step < SIMILAR_PICTURE else 0
    began_still = step >= SIMILAR_PICTURE and len(state.clean) == 1 and state.idle_frames > 1 and not state.clean_from
    if state.no_signal or began_still:
        return replace(state, clean=(frame,), clean_from=state.next_seq - 1, idle_frames=idle)
    return replace(state, clean=(*state.clean, frame), idle_frames=idle)


def _wait(state: JudgeState) -> JudgeState:
    """One more frame added nothing. Of the pictures gathered, the last is kept, to compare with."""
    idle = min(state.idle_frames + 1, 2 * NOTHING_FRAMES)
    if state.no_signal or idle < NOTHING_FRAMES:
        return replace(state, idle_frames=idle)
    return replace(state, clean=state.clean[-1:], clean_from=state.next_seq - 1, idle_frames=2 * NOTHING_FRAMES)
