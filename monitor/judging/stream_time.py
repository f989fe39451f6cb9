"""The time by which a stream is judged: it advances with every frame, whatever the capture times do.

It counts from 0 in each run and advances by the step of the capture time where that is credible, else by a stand-in:
the interval in which frames arrive, as their producer dated them, or the stream's usual step. Then tracks, change
statistics and episodes need as many frames as on a good clock. A step is not credible if it is

* shorter than LEAST_STEP_NS: the clock stands still, or counts seconds, ms or µs where ns belong,
* negative: the clock runs backwards,
* a leap: longer by LEAP_NS than the frames' distance on arrival. The clock `media` belongs to a recording, which may
  be played at any pace; there a step is a leap only if it is unlike the steps before it, too.

A clock that often stands still has *stopped*: then none of its steps counts until it has advanced for a while. Clocks
of whole seconds, which stand still for some frames and then advance by all of them at once, are of this kind.
"""

from __future__ import annotations

from statistics import median_low

from msgspec import Struct

from gradwatch.streams.wire.messages import FrameStamp

NS_PER_S = 1e9
LEAST_STEP_NS = 4_000_000  # no camera is faster, and no calibration could be made of shorter steps
LEAP_NS = 2_000_000_000
LONGEST_STEP_NS = 86_400 * 1_000_000_000  # the sum of a run's steps must stay within 64 bits
UNLIKE = 5  # times longer or shorter than usual
STAND_IN_NS = (33_333_333, 1_000_000_000)  # bounds where nothing is known but arrivals, which come in bursts
KEPT_STEPS = 9
FEW_STEPS = 3  # fewer than these tell nothing about the usual step
STALL, STOPPED, SURE = 2, 10, 20  # doubt that a frame without a step adds; from which a clock has stopped; at most


class StreamTime(Struct, frozen=True):
    """The time of a run after one of its frames, and what the next step is compared with."""

    capture_ns: int  # of the latest frame, as it is stamped
    published_ns: int
    now_ns: int = 0  # the time by which the stream is judged, since the first frame of the run
    steps_ns: tuple[int, ...] = ()  # latest credible ones
    doubt: int = 0  # rises with each frame whose capture time stands still, falls by 1 with each other one
    has_stopped: bool = False
    jump: str = ""  # how the latest capture time leaped or ran backwards; "" if it did not
    is_cut: bool = False  # the latest frame may show another scene than the one before


def advanced(time: StreamTime | None, stamp: FrameStamp, interval_s: float | None) -> StreamTime:
    """The time after a frame; `interval_s` is that of the stream's calibration, if it has one."""
    if time is None:
        return StreamTime(stamp.capture_ns, stamp.published_ns)
    step_ns, arrival_ns = stamp.capture_ns - time.capture_ns, stamp.published_ns - time.published_ns
    jump = _jump(time, step_ns, arrival_ns, stamp.clock == "media")
    stalls = 0 <= step_ns < LEAST_STEP_NS
    doubt = min(time.doubt + STALL, SURE) if stalls else max(time.doubt - 1, 0)
    has_stopped = doubt >= STOPPED or (time.has_stopped and doubt > 0)
    taken_ns, steps_ns = step_ns, time.steps_ns
    if stalls or jump or has_stopped:
        taken_ns = _stand_in_ns(time, arrival_ns, interval_s, stamp.clock == "media")
    if LEAST_STEP_NS <= step_ns <= LONGEST_STEP_NS and not has_stopped:
        steps_ns = (*steps_ns, step_ns)[-KEPT_STEPS:]  # a leap, too: one that is repeated is the usual step
    return StreamTime(
        capture_ns=stamp.capture_ns,
        published_ns=stamp.published_ns,
        now_ns=time.now_ns + taken_ns,
        steps_ns=steps_ns,
        doubt=doubt,
        has_stopped=has_stopped,
        jump=jump,
        is_cut=bool(jump) and abs(step_ns) > LEAP_NS,
    )


def _jump(time: StreamTime, step_ns: int, arrival_ns: int, is_media: bool) -> str:
    """Describes a step backwards or a leap; "" for any other step."""
    if step_ns < 0:
        return f"capture time went back by {-step_ns / NS_PER_S:.3f} s"
    usual_ns = _usual_ns(time.steps_ns) if is_media or arrival_ns <= 0 else None
    credible_ns = max(LEAP_NS + max(arrival_ns, 0), 0 if usual_ns is None else UNLIKE * usual_ns)
    if step_ns <= min(credible_ns, LONGEST_STEP_NS):
        return ""
    return f"capture time leaped by {step_ns / NS_PER_S:.3f} s, the frames are {arrival_ns / NS_PER_S:.3f} s apart"


def _stand_in_ns(time: StreamTime, arrival_ns: int, interval_s: float | None, is_media: bool) -> int:
    """The step to take instead of one that is not credible.

    Arrivals in bursts, or of a recording that is read as fast as possible, say less than the usual step.
    """
    usual_ns = _usual_ns(time.steps_ns) if len(time.steps_ns) >= FEW_STEPS else None
    if usual_ns is None and interval_s is not None:
        usual_ns = round(interval_s * NS_PER_S)
    if usual_ns is None:
        return min(max(arrival_ns, STAND_IN_NS[0]), STAND_IN_NS[1])
    is_credible = not is_media and usual_ns <= UNLIKE * arrival_ns and arrival_ns <= UNLIKE * usual_ns
    return arrival_ns if is_credible else usual_ns


def _usual_ns(steps_ns: tuple[int, ...]) -> int | None:
    """The lower median; None without steps."""
    return median_low(steps_ns) if steps_ns else None
