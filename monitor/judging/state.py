"""Everything the judge remembers of one stream, as one immutable value.

The judge is deterministic: equal states and equal frames give equal reports and alert ids. Resuming after a crash
relies on that.
"""

from __future__ import annotations

import msgspec

from gradwatch.streams.wire.messages import AlertKind, FrameIdentity, StreamState

from ..alarms.calibration import Calibration, CleanFrame
from ..alarms.episodes import Episode
from .corrections import ScheduledCorrection, carry_over
from .expectation import Expectations
from .forecasts import CoverageLedger, empty_ledger
from .runs import Runs, begun
from .stream_time import StreamTime
from .tracking import TrackSet, no_tracks

NOTHING_FRAMES = 20  # in a row that add nothing to the clean frames: then the stream has no signal


class JudgeState(msgspec.Struct, frozen=True):
    """The memory of one run of one stream.

    `change` is the change statistic of every alarm-carrying score; `clean` the frames gathered so far while
    the stream calibrates on its own start, `clean_from` the seq at which gathering began again (0: it did
    not), `idle_frames` how many frames in a row have added nothing (`start.py`).
    """

    stream_id: str
    run_id: str
    next_seq: int = 0
    time: StreamTime | None = None  # None before the first frame
    tracks: TrackSet = msgspec.field(default_factory=no_tracks)
    ledger: CoverageLedger = msgspec.field(default_factory=empty_ledger)
    expectations: dict[str, Expectations] = msgspec.field(default_factory=dict)
    change: dict[str, float] = msgspec.field(default_factory=dict)
    episodes: dict[AlertKind, Episode] = msgspec.field(default_factory=dict)
    clean: tuple[CleanFrame, ...] = ()
    clean_from: int = 0
    idle_frames: int = 0
    calibration: Calibration | None = None
    corrections: tuple[ScheduledCorrection, ...] = msgspec.field(name="verdicts", default=())  # the stored name
    runs: Runs = Runs()

    @property
    def alerting(self) -> bool:
        """Whether an alert is open."""
        return any(episode.revision for episode in self.episodes.values())

    @property
    def no_signal(self) -> bool:
        """Whether the stream waits for a picture that it could be calibrated on."""
        return self.calibration is None and self.idle_frames >= NOTHING_FRAMES

    @property
    def stream_state(self) -> StreamState:
        """How far the stream is, as reports say it."""
        if self.calibration is None:
            return StreamState.NO_SIGNAL if self.no_signal else StreamState.CALIBRATING
        return StreamState.ALERTING if self.alerting else StreamState.WATCHING


def new_run(previous: JudgeState | None, stream_id: str, run_id: str) -> JudgeState:
    """The state at the start of a run, which keeps only calibration, mutes and runs of the previous one."""
    if previous is None:
        return JudgeState(stream_id, run_id)
    corrections = carry_over(previous.corrections, previous.next_seq)
    runs = begun(previous.runs, previous.run_id, run_id)
    return JudgeState(stream_id, run_id, calibration=previous.calibration, corrections=corrections, runs=runs)


def begun_anew(previous: JudgeState | None, failed: FrameIdentity, calibration: Calibration | None) -> JudgeState:
    """The state after the frame `failed` could not be judged: nothing is kept but `calibration` and what is known
    of its runs, and no track id is used again in the run."""
    is_same_run = previous is not None and previous.run_id == failed.run_id
    next_id = previous.tracks.next_id if previous is not None and is_same_run else 0
    return JudgeState(
        failed.stream_id,
        failed.run_id,
        failed.seq + 1,
        tracks=no_tracks(next_id),
        calibration=calibration,
        runs=begun(previous.runs, previous.run_id, failed.run_id) if previous is not None else Runs(),
    )
