"""How far the reports of some runs have come: what tells that an alert's window is there.

Follows the reports, which are small, rather than the frames, and only where somebody waits. Reports of a run come in
the order of capture, after their frames: where one at the end of a window is there, all that belongs to it is.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import msgspec

from gradwatch.streams.wire.messages import FrameIdentity, Outcome
from gradwatch.streams.wire.records import Record

from .windows import Records

EARLY_MS = 5_000  # an alert's reports may lie so much before it
AHEAD_NS = 5_000_000_000  # frames that are dropped may be reported so much before earlier ones that are judged
Run = tuple[str, str]  # stream_id, run_id


class Arrival(msgspec.Struct, frozen=True):
    """What is read of a report."""

    identity: FrameIdentity
    capture_ns: int
    outcome: Outcome


@dataclass(slots=True)
class Progress:
    """How far a run has come: `newest_ns` on its capture clock, -1 before the first report was seen.

    `heard_s` is when something last came, or when it was first waited for, in seconds of a monotonic clock.
    """

    heard_s: float
    newest_ns: int = -1
    ended: bool = False  # the stream has gone on with another run


@dataclass(slots=True)
class _Followed:
    """One partition of the reports topic."""

    next: int
    current: dict[str, str] = field(default_factory=dict)  # the run that each stream was in last


_DECODER = msgspec.msgpack.Decoder(Arrival)


class Arrivals:
    """Progress of the runs that are waited for. One thread uses it; `look` raises as `Records` does."""

    def __init__(self, records: Records, topic: str) -> None:
        self._records, self._topic = records, topic
        self._progress: dict[Run, Progress] = {}
        self._followed: dict[int, _Followed] = {}
        self._partitions: dict[str, int] = {}

    def wait_for(self, run: Run, since_ms: int) -> None:
        """Begins to follow a run, from the wall time `since_ms` on, unless it is followed already."""
        if run in self._progress:
            return
        partition = self._records.partition_of(self._topic, run[0])
        begin = self._records.offset_at(self._topic, partition, since_ms - EARLY_MS)
        followed = self._followed.setdefault(partition, _Followed(begin))
        if begin < followed.next:  # what is read again says the same again
            self._followed[partition] = _Followed(begin)
        self._partitions[run[0]] = partition
        self._progress[run] = Progress(time.monotonic())

    def forget_all_but(self, runs: set[Run]) -> None:
        """Ends to follow the others."""
        self._progress = {run: progress for run, progress in self._progress.items() if run in runs}
        streams = {stream_id for stream_id, _ in runs}
        self._partitions = {stream_id: p for stream_id, p in self._partitions.items() if stream_id in streams}
        awaited = set(self._partitions.values())
        self._followed = {partition: one for partition, one in self._followed.items() if partition in awaited}

    def look(self) -> None:
        """Reads what has come since."""
        for partition, followed in self._followed.items():
            for record in self._records.between(self._topic, partition, followed.next):
                followed.next = record.offset + 1
                if (record.key or b"").decode("utf-8", "replace") in self._partitions:
                    self._note(record, followed)

    def of(self, run: Run) -> Progress | None:
        """The progress of a run, None where it is not waited for."""
        return self._progress.get(run)

    def excuse(self) -> None:
        """Says that no silence until now was the runs' own."""
        now_s = time.monotonic()
        for progress in self._progress.values():
            progress.heard_s = now_s

    def _note(self, record: Record, followed: _Followed) -> None:
        try:
            report = _DECODER.decode(record.value or b"")
        except msgspec.MsgspecError:  # of a newer major version, or no report
            return
        stream_id, run_id = run = (report.identity.stream_id, report.identity.run_id)
        previous = followed.current.get(stream_id)
        if previous not in (None, run_id) and (left := self._progress.get((stream_id, previous or ""))) is not None:
            left.ended = True
        followed.current[stream_id] = run_id
        progress = self._progress.get(run)
        if progress is not None:
            progress.heard_s = time.monotonic()
            ahead_ns = 0 if report.outcome is Outcome.JUDGED else AHEAD_NS
            progress.newest_ns = max(progress.newest_ns, report.capture_ns - ahead_ns)
