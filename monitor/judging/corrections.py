"""What reviewers have decided about a stream, and how that changes the judging of its frames.

A class override says what a track is, a mute says that nothing in a part of the picture matters. Both take back
expectancy contradictions and nothing else: scores of distribution shift see neither tracks nor regions.

A verdict comes at any time, but frames judged again after a crash must say the same again. So the state records every
verdict with the seqs from and until which it is in force, and they lie LEAD frames ahead: a state that holds them is
stored before a frame is judged under them. Frames that were there when a worker took a partition over may have been
reported by the one before it; for these nothing is adopted, and what is recorded holds.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

import cv2
import msgspec
import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from gradwatch.models.outputs import Kind
from gradwatch.streams.wire.messages import IGNORE, ClassOverride, RegionMute
from gradwatch.streams.wire.messages import Correction as Verdict
from gradwatch.streams.wire.outputs import decode_correction as decode_verdict
from gradwatch.streams.wire.pixels import BadRecordError
from gradwatch.streams.wire.records import Record

LEAD = 50  # frames, more than are judged until a state is stored
MOST_VERDICTS = 1000  # of one stream; the newest count, since every frame asks all of them


class InForce(msgspec.Struct, frozen=True):
    """A verdict, and the seqs of a run that it is in force for: `from_seq` to below `until_seq` (None: no end yet)."""

    verdict: Verdict
    from_seq: int
    until_seq: int | None = None

    def holds(self, seq: int) -> bool:
        """Whether it is in force for the frame `seq`."""
        return self.from_seq <= seq and (self.until_seq is None or seq < self.until_seq)


class VerdictBook:
    """The verdicts of all streams as the compacted topic tells them: of one key the last record counts.

    `take` is called on one thread; any thread may ask `of`.
    """

    def __init__(self) -> None:
        self._of: dict[str, tuple[Verdict, ...]] = {}
        self.refused = 0  # records that are no verdicts

    def take(self, record: Record) -> None:
        """Takes one record of the topic, key `<stream>/<verdict>`; one without a value takes a verdict back.

        What can't be read, or says another stream or verdict than its key, is counted and changes nothing.
        """
        stream_id, _, verdict_id = (record.key or b"").decode("utf-8", "replace").partition("/")
        others = tuple(known for known in self._of.get(stream_id, ()) if known.verdict_id != verdict_id)
        if record.value is None:
            self._put(stream_id, others)
            return
        try:
            verdict = decode_verdict(record.value)
        except BadRecordError:
            self.refused += 1
            return
        if (verdict.stream_id, verdict.verdict_id) != (stream_id, verdict_id):
            self.refused += 1
            return
        self._put(stream_id, (*others, verdict)[-MOST_VERDICTS:])

    def of(self, stream_id: str) -> tuple[Verdict, ...]:
        """The verdicts on a stream, in the order in which they came."""
        return self._of.get(stream_id, ())

    def _put(self, stream_id: str, verdicts: tuple[Verdict, ...]) -> None:
        if verdicts:
            self._of[stream_id] = verdicts
        else:
            self._of.pop(stream_id, None)


def adopt(recorded: tuple[InForce, ...], known: Collection[Verdict], run_id: str, seq: int) -> tuple[InForce, ...]:
    """What the state records from the frame `seq` of `run_id` on, if `known` are the stream's verdicts now.

    One that is new, changed or taken back is so LEAD frames later. Equal to `recorded` where nothing changed.
    """
    wanted = {verdict.verdict_id: verdict for verdict in known if _concerns(verdict, run_id)}
    entries: list[InForce] = []
    for entry in recorded:
        if entry.until_seq is not None:
            entries += [entry] if seq < entry.until_seq else []
        elif wanted.get(entry.verdict.verdict_id) == entry.verdict:
            entries.append(entry)
            del wanted[entry.verdict.verdict_id]
        else:
            entries.append(replace(entry, until_seq=seq + LEAD))
    return (*entries, *(InForce(verdict, seq + LEAD) for verdict in wanted.values()))


def of_new_run(recorded: tuple[InForce, ...], next_seq: int) -> tuple[InForce, ...]:
    """What a new run of a stream begins with, after one that would have gone on with `next_seq`.

    Mutes hold on, and what was ahead stays as far ahead; tracks have other numbers.
    """
    return tuple(
        replace(
            entry,
            from_seq=max(entry.from_seq - next_seq, 0),
            until_seq=None if entry.until_seq is None else entry.until_seq - next_seq,
        )
        for entry in recorded
        if isinstance(entry.verdict, RegionMute) and (entry.until_seq is None or entry.until_seq > next_seq)
    )


def silenced(
    recorded: Iterable[InForce],
    seq: int,
    capture_ns: int,
    kind: Kind,
    track_id: NDArray[np.int64],
    xyxy: NDArray[Any],
) -> NDArray[np.bool_]:
    """Which (k,) of the crops of tracks `track_id` (k,), -1 for none, and boxes `xyxy` (k, 4) px contradict nothing.

    Those are the crops of a track whose class a reviewer has said, and those with their center in a muted region.
    """
    mute = np.zeros(len(track_id), bool)
    centers = (np.asarray(xyxy, np.float64)[:, :2] + np.asarray(xyxy, np.float64)[:, 2:]) / 2
    for entry in recorded:
        if not entry.holds(seq):
            continue
        if isinstance(entry.verdict, ClassOverride):
            mute |= track_id == entry.verdict.track_id
        elif _mutes(entry.verdict, capture_ns, kind):
            mute |= inside(entry.verdict.polygon, centers)
    return mute


def overridden(recorded: Iterable[InForce], seq: int) -> dict[int, str]:
    """The label that reviewers have given to tracks, by track id; "" for one that shall raise nothing."""
    found: dict[int, str] = {}
    for entry in sorted(recorded, key=lambda entry: entry.verdict.created_ns):  # the last word counts
        if entry.holds(seq) and isinstance(entry.verdict, ClassOverride):
            found[entry.verdict.track_id] = "" if entry.verdict.label == IGNORE else entry.verdict.label
    return found


def inside(polygon: Collection[tuple[float, float]], points: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which (k,) of `points` (k, 2) px lie in `polygon` (n, 2) px or on its edge; none where n < 3."""
    outline = np.asarray(list(polygon), np.float32).reshape(-1, 2)
    if len(outline) < 3 or not np.isfinite(outline).all():
        return np.zeros(len(points), bool)
    found = [bool(np.isfinite(p).all()) and cv2.pointPolygonTest(outline, p.tolist(), False) >= 0 for p in points]
    return np.array(found, bool)


def _concerns(verdict: Verdict, run_id: str) -> bool:
    return isinstance(verdict, RegionMute) or verdict.run_id == run_id


def _mutes(mute: RegionMute, capture_ns: int, kind: Kind) -> bool:
    is_due = mute.until_ns is None or capture_ns <= mute.until_ns
    return is_due and (not mute.object_kinds or kind in mute.object_kinds)
