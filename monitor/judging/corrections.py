"""Reviewers' corrections of a stream, and how they change the judging of its frames.

A class override states the class of a track; a region mute suppresses a part of the picture. Both suppress
expectancy contradictions and nothing else: scores of distribution shift see neither tracks nor regions.

A correction arrives at any time, but frames that are judged again after a crash must give the same reports. So the
state records the seqs between which each correction applies, and they lie LEAD_FRAMES ahead: a state that contains
them is stored before a frame is judged under them. Frames that existed before a worker took over their partition may
have been reported by its predecessor: for these nothing new is scheduled.
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
from gradwatch.streams.wire.messages import IGNORE, ClassOverride, Correction, RegionMute

LEAD_FRAMES = 50  # more than are judged between two stored states


class ScheduledCorrection(msgspec.Struct, frozen=True):
    """A correction that applies from `from_seq` to below `until_seq` (None: no end yet) of its run."""

    correction: Correction = msgspec.field(name="verdict")  # the name in stored states
    from_seq: int
    until_seq: int | None = None

    def applies_at(self, seq: int) -> bool:
        """Whether it applies to the frame `seq`."""
        return self.from_seq <= seq and (self.until_seq is None or seq < self.until_seq)


Schedule = tuple[ScheduledCorrection, ...]


def schedule(scheduled: Schedule, current: Collection[Correction], run_id: str, seq: int) -> Schedule:
    """The schedule as of the frame `seq` of `run_id`, when `current` are the stream's corrections.

    A correction that is new, changed or withdrawn starts or stops to apply LEAD_FRAMES later. Returns a tuple equal to
    `scheduled` where nothing changed.
    """
    missing = {c.verdict_id: c for c in current if isinstance(c, RegionMute) or c.run_id == run_id}
    entries: list[ScheduledCorrection] = []
    for entry in scheduled:
        if entry.until_seq is not None:
            entries += [entry] if seq < entry.until_seq else []
        elif missing.get(entry.correction.verdict_id) == entry.correction:
            entries.append(entry)
            del missing[entry.correction.verdict_id]
        else:
            entries.append(replace(entry, until_seq=seq + LEAD_FRAMES))
    return (*entries, *(ScheduledCorrection(correction, seq + LEAD_FRAMES) for correction in missing.values()))


def carry_over(scheduled: Schedule, next_seq: int) -> Schedule:
    """The schedule with which a new run of a stream starts, if the old run would have continued with `next_seq`.

    Only mutes carry over, because a new run numbers its tracks anew; seqs ahead stay as far ahead.
    """
    return tuple(
        replace(
            entry,
            from_seq=max(entry.from_seq - next_seq, 0),
            until_seq=None if entry.until_seq is None else entry.until_seq - next_seq,
        )
        for entry in scheduled
        if isinstance(entry.correction, RegionMute) and (entry.until_seq is None or entry.until_seq > next_seq)
    )


def suppressed(
    scheduled: Iterable[ScheduledCorrection],
    seq: int,
    capture_ns: int,
    kind: Kind,
    track_id: NDArray[np.int64],
    xyxy: NDArray[Any],
) -> NDArray[np.bool_]:
    """Mask (k,) of the crops whose contradictions are suppressed.

    Those are the crops of a track with a class override, and those with their center in a muted region. The crops
    belong to the tracks `track_id` (k,), -1 for none, and have the boxes `xyxy` (k, 4) px.
    """
    mask = np.zeros(len(track_id), bool)
    centers = (np.asarray(xyxy, np.float64)[:, :2] + np.asarray(xyxy, np.float64)[:, 2:]) / 2
    for entry in scheduled:
        if not entry.applies_at(seq):
            continue
        if isinstance(entry.correction, ClassOverride):
            mask |= track_id == entry.correction.track_id
        elif _mutes(entry.correction, capture_ns, kind):
            mask |= points_inside(entry.correction.polygon, centers)
    return mask


def override_labels(scheduled: Iterable[ScheduledCorrection], seq: int) -> dict[int, str]:
    """The label that a reviewer gave to a track, by track id; "" for a track that must raise nothing."""
    labels: dict[int, str] = {}
    for entry in sorted(scheduled, key=lambda entry: entry.correction.created_ns):  # the latest wins
        if entry.applies_at(seq) and isinstance(entry.correction, ClassOverride):
            labels[entry.correction.track_id] = "" if entry.correction.label == IGNORE else entry.correction.label
    return labels


def points_inside(polygon: Collection[tuple[float, float]], points: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Mask (k,) of the `points` (k, 2) px that lie in `polygon` (n, 2) px or on its edge; none where n < 3."""
    outline = np.asarray(list(polygon), np.float32).reshape(-1, 2)
    if len(outline) < 3 or not np.isfinite(outline).all():
        return np.zeros(len(points), bool)
    mask = [bool(np.isfinite(p).all()) and cv2.pointPolygonTest(outline, p.tolist(), False) >= 0 for p in points]
    return np.array(mask, bool)


def _mutes(mute: RegionMute, capture_ns: int, kind: Kind) -> bool:
    in_time = mute.until_ns is None or capture_ns <= mute.until_ns
    return in_time and (not mute.object_kinds or kind in mute.object_kinds)
