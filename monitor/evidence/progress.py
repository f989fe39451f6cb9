"""How far the reports of some runs have come, which tells when all frames of an alert's window are on their topic.

Reads the reports, which are small, rather than the frames, and only of runs that somebody waits for. A run's reports
come in order of capture, after their frames: once one lies at the end of a window, everything in the window is there.
"""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import dataclass

import msgspec

from gradwatch.streams.transport.ranges import TopicRanges
from gradwatch.streams.wire.messages import FrameIdentity, Outcome

EARLY_MS = 5_000  # an alert's reports may be this much older than the alert
AHEAD_NS = 5_000_000_000  # dropped frames may be reported this much before earlier frames that are judged
Run = tuple[str, str]  # stream_id, run_id


class _ReportStart(msgspec.Struct, frozen=True):
    """The fields of a report that are read here."""

    identity: FrameIdentity
    capture_ns: int
    outcome: Outcome


_DECODER = msgspec.msgpack.Decoder(_ReportStart)


@dataclass(slots=True)
class RunProgress:
    """How far a run has come: `newest_ns` on its capture clock, -1 before the first report.

    `heard_s` is the monotonic time of the last report, or of the first request to follow the run.
    """

    heard_s: float
    newest_ns: int = -1
    ended: bool = False  # its stream has begun another run


class ProgressReader:
    """The progress of followed runs. For one thread; `follow` and `poll` raise what `TopicRanges` does."""

    def __init__(self, records: TopicRanges, topic: str) -> None:
        self._records, self._topic = records, topic
        self._progress: dict[Run, RunProgress] = {}
        self._partitions: dict[str, int] = {}  # of the reports of each followed stream
        self._latest_run: dict[str, str] = {}  # of each followed stream
        self._next: dict[int, int] = {}  # offset to read next in each partition

    def follow(self, run: Run, since_ms: int) -> None:
        """Starts to follow a run from the wall time `since_ms` on, unless it is followed already."""
        if run in self._progress:
            return
        partition = self._records.partition_of(self._topic, run[0])
        begin = self._records.offset_at(self._topic, partition, since_ms - EARLY_MS)
        if begin < self._next.setdefault(partition, begin):  # go back; reading a report twice changes nothing
            self._next[partition] = begin
            self._latest_run = {s: run_id for s, run_id in self._latest_run.items() if self._partitions[s] != partition}
        self._partitions[run[0]] = partition
        self._progress[run] = RunProgress(time.monotonic())

    def keep_only(self, runs: Collection[Run]) -> None:
        """Stops following all other runs."""
        streams = {stream_id for stream_id, _ in runs}
        self._progress = {run: progress for run, progress in self._progress.items() if run in runs}
        self._partitions = {stream_id: n for stream_id, n in self._partitions.items() if stream_id in streams}
        self._latest_run = {stream_id: run for stream_id, run in self._latest_run.items() if stream_id in streams}
        needed = set(self._partitions.values())
        self._next = {partition: offset for partition, offset in self._next.items() if partition in needed}

    def poll(self) -> None:
        """Reads the reports that have come since the last call."""
        for partition, begin in list(self._next.items()):
            for record in self._records.between(self._topic, partition, begin):
                self._next[partition] = record.offset + 1
                if (stream_id := (record.key or b"").decode("utf-8", "replace")) in self._partitions:
                    self._take(record.value or b"", stream_id)

    def of(self, run: Run) -> RunProgress | None:
        """The progress of a run, None if it is not followed."""
        return self._progress.get(run)

    def reset_silence(self) -> None:
        """Starts the silence of every run anew, after the broker could not be asked."""
        now_s = time.monotonic()
        for progress in self._progress.values():
            progress.heard_s = now_s

    def _take(self, content: bytes, stream_id: str) -> None:
        try:
            report = _DECODER.decode(content)
        except msgspec.MsgspecError:  # of a newer major version, or not a report
            return
        run_id = report.identity.run_id
        if report.identity.stream_id != stream_id:  # its key and content contradict each other
            return
        previous = self._latest_run.get(stream_id, run_id)
        if previous != run_id and (left := self._progress.get((stream_id, previous))) is not None:
            left.ended = True
        self._latest_run[stream_id] = run_id
        progress = self._progress.get((stream_id, run_id))
        if progress is not None:
            progress.heard_s = time.monotonic()
            ahead_ns = 0 if report.outcome is Outcome.JUDGED else AHEAD_NS
            progress.newest_ns = max(progress.newest_ns, report.capture_ns - ahead_ns)
