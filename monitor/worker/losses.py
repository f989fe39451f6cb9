"""Accounts for frames that were published and never reach a worker: `published = reports + losses`.

Two things show a loss, and each frame counts once:

* offsets of a partition that are gone (`Loss`, from the consumer): deleted before they were read, or with their topic.
  The streams tell whose frames they were, as they go on: the numbers missing from a stream's run are its share. What
  no stream claims within SETTLE_S (its camera was switched off meanwhile) counts for the only stream of the partition,
  or for `topic.partition` where there are several. A producer's transactions take offsets too: it is an upper bound.
* numbers that are missing from a run (`seq_gap`) although no offsets are gone: its source dropped them, or they were
  lost on the way to the broker.

For one thread, the one that polls.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

import structlog

from gradwatch.streams.observability.metrics import FRAMES_LOST
from gradwatch.streams.transport.offsets import Loss
from gradwatch.streams.wire.messages import BARE_RUN, Disturbance, FrameIdentity

from .stream_health import StreamHealth

log = structlog.get_logger()

SEQ_GAP = "seq_gap"
SETTLE_S = 10.0  # in which streams go on after a gap
REPORT_EVERY_S = 60.0  # a stream that loses frames all the time is reported in sums


@dataclass(slots=True)
class _Gap:
    """Offsets of a partition that are gone."""

    cause: str
    left: int  # not claimed by a stream yet
    until_s: float
    seen: set[str] = field(default_factory=set)  # streams that went on since


@dataclass(slots=True)
class _Sum:
    """What a stream has lost since its last report."""

    run_id: str
    last_seq: int
    counts: Counter[str] = field(default_factory=Counter)


class Losses:
    """What is lost of each stream, as counter, log line and health record."""

    def __init__(self, health: StreamHealth) -> None:
        self._health = health
        self._last: dict[str, tuple[str, int]] = {}  # by stream: its run, and the highest seq that arrived
        self._unnumbered: Counter[str] = Counter()  # since the last frame of their stream
        self._gaps: dict[int, _Gap] = {}
        self._sums: dict[str, _Sum] = {}
        self._reported_s: dict[str, float] = {}

    def resume(self, stream_id: str, run_id: str, seq: int) -> None:
        """Goes on from what an earlier worker has seen of a stream."""
        if run_id:
            self._last[stream_id] = (run_id, seq)

    def forget(self, stream_id: str) -> None:
        """Drops what is known of a stream; what it lost and is not reported yet is reported now."""
        self._last.pop(stream_id, None)
        self._unnumbered.pop(stream_id, None)
        self._report(stream_id, time.monotonic())
        self._reported_s.pop(stream_id, None)

    def note_gap(self, loss: Loss, judged_below: int = 0) -> None:
        """Notes that offsets are gone; those below `judged_below` were read before."""
        count = max(0, loss.end - max(loss.first, judged_below))
        before = self._gaps.get(loss.partition)
        left = count + (before.left if before is not None else 0)
        self._gaps[loss.partition] = _Gap(loss.cause, left, time.monotonic() + SETTLE_S)

    def note_unnumbered(self, stream_id: str) -> None:
        """Notes a record of the stream whose number can't be read: it is reported, so its number is not missing."""
        if stream_id in self._last:
            self._unnumbered[stream_id] += 1

    def note_arrival(self, partition: int, identity: FrameIdentity) -> None:
        """Counts what is missing between a frame and the one of its stream before it."""
        stream_id, run_id, seq = identity.stream_id, identity.run_id, identity.seq
        last_run, last_seq = self._last.get(stream_id, ("", -1))
        same = run_id == last_run
        self._last[stream_id] = (run_id, max(last_seq, seq) if same else seq)
        if run_id == BARE_RUN:  # its seq is the offset: what is missing is claimed by nobody
            return
        gap = self._gaps.get(partition)
        is_first = gap is not None and stream_id not in gap.seen
        missing = (seq - last_seq - 1 if same else seq) - self._unnumbered.pop(stream_id, 0)
        if gap is not None and is_first:
            gap.seen.add(stream_id)
            if not same:  # how much of a run was before the gap is unknown, but for the offsets
                missing = min(missing, gap.left)
            gap.left = max(0, gap.left - max(0, missing))
        if same or is_first:
            cause = gap.cause if gap is not None and is_first else SEQ_GAP
            self._lose(stream_id, run_id, last_seq if same else -1, cause, missing)

    def extend(self, partition: int) -> None:
        """Starts the SETTLE_S of a partition's gap anew: its frames were held back, and its streams go on only now."""
        if partition in self._gaps:
            self._gaps[partition].until_s = time.monotonic() + SETTLE_S

    def settle(self, partitions: Collection[int] | None, stream_of: Callable[[int], str], now_s: float) -> None:
        """Counts what no stream has claimed, for the one that `stream_of` names, where SETTLE_S are over by `now_s`.

        In these partitions; None: in all of them.
        """
        for partition, gap in list(self._gaps.items()):
            if (partitions is None or partition in partitions) and now_s >= gap.until_s:
                del self._gaps[partition]
                stream_id = stream_of(partition)
                run_id, last_seq = self._last.get(stream_id, (BARE_RUN, -1))
                self._lose(stream_id, run_id, last_seq, gap.cause, gap.left)

    def report(self, now_s: float) -> None:
        """Reports the sums that are due; at an infinite time all of them."""
        for stream_id in list(self._sums):
            if now_s - self._reported_s.get(stream_id, -REPORT_EVERY_S) >= REPORT_EVERY_S:
                self._report(stream_id, now_s)

    def _lose(self, stream_id: str, run_id: str, last_seq: int, cause: str, count: int) -> None:
        if count <= 0:
            return
        FRAMES_LOST.labels(stream_id, cause).inc(count)
        lost = self._sums.setdefault(stream_id, _Sum(run_id, last_seq))
        lost.counts[cause] += count
        self.report(time.monotonic())

    def _report(self, stream_id: str, now_s: float) -> None:
        lost = self._sums.pop(stream_id, None)
        if lost is None:
            return
        self._reported_s[stream_id] = now_s
        detail = ", ".join(f"{count} frames ({cause})" for cause, count in sorted(lost.counts.items()))
        log.warning("frames lost", stream=stream_id, run=lost.run_id, after_seq=lost.last_seq, lost=detail)
        self._health.moment(stream_id, lost.run_id, Disturbance.FRAMES_LOST, detail, lost.last_seq, repeat_s=0.0)
