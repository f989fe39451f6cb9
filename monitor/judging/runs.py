"""Which run of a stream is judged while two sources use one stream id: the newest, however their frames mix.

A run is older than the one that is judged if that one has replaced it, or if its ULID was made earlier; else, as for
run ids that are no ULIDs, what arrives first later is newer. So a late frame of an old run does not win it back.

Clocks of sources differ, and the newer source may end while the older one goes on. So an older run that alone has
sent for a while is judged again: WINS_AFTER_FRAMES and WINS_AFTER_NS, as its producer dated them.
"""

from __future__ import annotations

import re

from msgspec import Struct

from gradwatch.streams.wire.messages import FrameStamp

ULID = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}")
ULID_TIME = 10  # leading characters, which sort as the ms in which it was made
WINS_AFTER_FRAMES = 50
WINS_AFTER_NS = 30 * 1_000_000_000
KEPT_RUNS = 8


class Runs(Struct, frozen=True):
    """The runs that the judged one has replaced, latest last, and the older run whose frames have come since its last.

    `rival_frames` of `rival` have come since `rival_since_ns`, none of another run between them.
    """

    replaced: tuple[str, ...] = ()
    rival: str = ""
    rival_frames: int = 0
    rival_since_ns: int = 0
    rival_has_won: bool = False


def is_older(runs: Runs, current: str, run_id: str) -> bool:
    """Whether frames of `run_id` are rejected while `current` is judged; "" is no run."""
    if run_id == current or not current or (run_id == runs.rival and runs.rival_has_won):
        return False
    if run_id in runs.replaced:
        return True
    are_ulids = ULID.fullmatch(run_id) is not None and ULID.fullmatch(current) is not None
    return are_ulids and run_id[:ULID_TIME] < current[:ULID_TIME]


def rejected(runs: Runs, stamp: FrameStamp) -> Runs:
    """The runs after a frame of an older run."""
    run_id = stamp.identity.run_id
    if run_id != runs.rival:
        return Runs(runs.replaced, run_id, 1, stamp.published_ns)
    frames = runs.rival_frames + 1
    has_won = frames >= WINS_AFTER_FRAMES and stamp.published_ns - runs.rival_since_ns >= WINS_AFTER_NS
    return Runs(runs.replaced, run_id, frames, runs.rival_since_ns, has_won)


def begun(runs: Runs, previous: str, run_id: str) -> Runs:
    """The runs when `run_id` replaces `previous`; "" is no run."""
    replaced = [run for run in (*runs.replaced, previous) if run and run != run_id]
    return Runs(tuple(replaced[-KEPT_RUNS:]))
