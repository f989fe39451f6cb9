"""Tracks objects from frame to frame: identity, motion, and the uncertainty of the motion.

Two-stage association by overlap (ByteTrack, Zhang et al., ECCV 2022: strong detections first, weak ones
only for tracks that are left) with a third, wider look for what moved by more than its own size (buffered
overlap, C-BIoU, Yang et al., WACV 2023). Motion is a constant-velocity Kalman filter per coordinate whose
time is the frames' capture time, so dropped frames are just longer steps. Equal tracks and equal detections, in any
order, give equal tracks.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from msgspec import Meta, Struct
from msgspec.structs import replace
from numpy.typing import ArrayLike, NDArray

from gradwatch.models.boxes import iou
from gradwatch.ranges import PositiveSeconds, Share

Doubles = NDArray[np.float64]
Times = NDArray[np.int64]
Integers = NDArray[np.int32]
Rows = NDArray[np.intp]

NS_PER_S = 1e9
MIN_SIZE_PX = 1.0  # floor for widths and heights: noise scales with the height and must not vanish
MAX_LOOMING = 3.0  # the stretch of a step grows without bound near contact
MAX_SIZE_CHANGE = 4.0  # a prediction that a box grows or shrinks by more than this in one step is rejected


Heights = Annotated[float, Meta(gt=0, le=1000)]  # lengths, in heights of the box


class TrackerSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """How tracks begin, match, move and end. Noise is in box heights, so it holds near and far alike.

    `acceleration` and `initial_speed` have one value per class id (signs, pedestrians); further classes
    use the last one. The `acceleration` a of box height h is white noise of spectral density (a·h)² px²/s³.
    """

    high_score: Share = 0.5  # least score of a detection that begins a track
    low_score: Share = 0.1  # least score of one that continues a confirmed track; below it is ignored
    high_iou: Share = 0.2  # least overlap with a strong detection
    low_iou: Share = 0.4  # weak detections must fit better
    buffered_iou: Share = 0.1  # least overlap of the widened boxes
    buffer_sigmas: Annotated[float, Meta(ge=0, le=100)] = 2.0  # boxes are widened by the center's uncertainty …
    max_buffer: Annotated[float, Meta(ge=0, le=100)] = 1.0  # … but by at most this many box heights
    confirm_hits: Annotated[int, Meta(ge=1, le=1000)] = 2  # sightings after which a track counts
    max_unseen_s: PositiveSeconds = 1.0  # a confirmed track lives this long without being seen
    max_unseen_tentative_s: PositiveSeconds = 0.45  # an unconfirmed one this long: one missed frame at 5 Hz
    max_gap_s: PositiveSeconds = 2.0  # a longer gap in the stream ends all tracks
    acceleration: Annotated[tuple[Heights, ...], Meta(min_length=1)] = (3.0, 0.5)  # heights / s^1.5
    initial_speed: Annotated[tuple[Heights, ...], Meta(min_length=1)] = (3.0, 1.0)  # deviation at birth, heights / s
    measurement: Heights = 0.05  # standard deviation of a detected coordinate, heights

    def __post_init__(self) -> None:
        if self.low_score > self.high_score:
            raise ValueError(f"expected low_score <= high_score, got {self.low_score} and {self.high_score}")


class TrackSet(Struct, frozen=True, eq=False):
    """m tracks of one stream at capture time `time_ns`; ids count up from 0 and are never reused.

    `track_id` (m,), `kind` (m,) the detector's class, `mean` (m, 4, 2) = value px and rate px/s of
    (cx, cy, w, h), `covariance` (m, 4, 2, 2) of (value, rate) per coordinate, `born_ns` and `seen_ns` (m,)
    first and latest sighting, `hits` (m,) sightings, `score` (m,) of the latest one, in [0, 1].
    """

    next_id: int
    time_ns: int
    track_id: Times
    kind: Integers
    mean: Doubles
    covariance: Doubles
    born_ns: Times
    seen_ns: Times
    hits: Integers
    score: Doubles

    def __len__(self) -> int:
        return len(self.track_id)


ROWS = ("track_id", "kind", "mean", "covariance", "born_ns", "seen_ns", "hits", "score")


def no_tracks(next_id: int = 0, time_ns: int = 0) -> TrackSet:
    """The empty set, with which every stream starts."""
    return _begin(next_id, time_ns, np.empty((0, 4)), np.empty(0), np.empty(0, np.int32), TrackerSettings())


def select_tracks(tracks: TrackSet, rows: ArrayLike) -> TrackSet:
    """The tracks at `rows`, a mask (m,) or indices, in that order."""
    index = np.asarray(rows)
    return replace(tracks, **{name: getattr(tracks, name)[index] for name in ROWS})


def confirmed(tracks: TrackSet, settings: TrackerSettings) -> NDArray[np.bool_]:
    """Which tracks (m,) were seen often enough to be shown and judged."""
    return np.asarray(tracks.hits >= settings.confirm_hits)


def track_boxes(tracks: TrackSet) -> Doubles:
    """The filtered boxes, xyxy (m, 4) px."""
    return _boxes(tracks.mean[:, :, 0])


def advance(
    tracks: TrackSet,
    capture_ns: int,
    xyxy: ArrayLike,
    score: ArrayLike,
    class_id: ArrayLike,
    settings: TrackerSettings,
) -> tuple[TrackSet, Integers]:
    """Associates the detections of one frame; returns the tracks after it and the detection of each track.

    xyxy (n, 4) px, score (n,) in [0, 1], class_id (n,). The second value is (m,) into the detections, -1
    for a track that was not seen in this frame. A frame from just before `tracks.time_ns` counts as
    taken then. Only the order distinguishes detections of equal boxes, scores and classes.
    Raises ValueError for arrays of other shapes and for values that are not finite.
    """
    boxes, scores, kinds = _checked(xyxy, score, class_id)
    order = _canonical_order(boxes, scores, kinds)
    boxes, scores, kinds = boxes[order], scores[order], kinds[order]

    expected = predict_tracks(tracks, capture_ns, settings)
    step_s = max(capture_ns - tracks.time_ns, 0) / NS_PER_S
    pairs = _associate(expected, step_s, boxes, scores, kinds, settings)
    updated = _update(expected, pairs, boxes, scores, settings)
    index = np.full(len(updated), -1, np.int32)
    index[pairs[:, 0]] = order[pairs[:, 1]]

    # An unmatched strong detection begins a track; a track unseen for too long ends.
    fresh = np.setdiff1d(np.flatnonzero(scores >= settings.high_score), pairs[:, 1])
    unseen_s = (updated.time_ns - updated.seen_ns) / NS_PER_S
    limit_s = np.where(confirmed(updated, settings), settings.max_unseen_s, settings.max_unseen_tentative_s)
    alive = (index >= 0) | (unseen_s <= limit_s)
    born = _begin(updated.next_id, updated.time_ns, boxes[fresh], scores[fresh], kinds[fresh], settings)
    kept = select_tracks(updated, alive)
    joined = {name: np.concatenate([getattr(kept, name), getattr(born, name)]) for name in ROWS}
    return replace(born, **joined), np.concatenate([index[alive], order[fresh].astype(np.int32)])


def predict_tracks(tracks: TrackSet, capture_ns: int, settings: TrackerSettings) -> TrackSet:
    """The tracks predicted for `capture_ns`; empty after too long a gap, unchanged at or just before `time_ns`."""
    step_s = (capture_ns - tracks.time_ns) / NS_PER_S
    if len(tracks) == 0 or abs(step_s) > settings.max_gap_s:
        return no_tracks(tracks.next_id, capture_ns)
    if step_s <= 0:
        return tracks
    mean, covariance = extrapolate(tracks, np.array([step_s]), settings)
    mean, covariance = mean[:, 0], covariance[:, 0]
    # A size that changes so much means that its rate is noise: hold the size instead.
    before, after = tracks.mean[:, 2:, 0], mean[:, 2:, 0]
    wild = (after * MAX_SIZE_CHANGE < before) | (after > before * MAX_SIZE_CHANGE) | (after < MIN_SIZE_PX)
    mean[:, 2:, 0] = np.where(wild, np.maximum(before, MIN_SIZE_PX), after)
    mean[:, 2:, 1] = np.where(wild, 0.0, mean[:, 2:, 1])
    return replace(tracks, time_ns=capture_ns, mean=mean, covariance=covariance)


def extrapolate(tracks: TrackSet, ahead_s: Doubles, settings: TrackerSettings) -> tuple[Doubles, Doubles]:
    """Kalman prediction by each of `ahead_s` (T,) seconds ≥ 0: mean (m, T, 4, 2), covariance (m, T, 4, 2, 2).

    Constant velocity with continuous white-noise acceleration (Bar-Shalom et al. 2001, section 6.2.2),
    whose noise adds up the same however an interval is divided.
    """
    t = ahead_s[None, :, None]
    mean = np.repeat(tracks.mean[:, None], len(ahead_s), axis=1)
    mean[..., 0] += t * mean[..., 1]
    p = tracks.covariance[:, None]
    height_px = np.maximum(tracks.mean[:, 3, 0], MIN_SIZE_PX)
    density = (_per_kind(settings.acceleration, tracks.kind) * height_px)[:, None, None] ** 2
    covariance = np.empty((*mean.shape, 2))
    covariance[..., 0, 0] = p[..., 0, 0] + 2 * t * p[..., 0, 1] + t**2 * p[..., 1, 1] + density * t**3 / 3
    covariance[..., 0, 1] = p[..., 0, 1] + t * p[..., 1, 1] + density * t**2 / 2
    covariance[..., 1, 0] = covariance[..., 0, 1]
    covariance[..., 1, 1] = p[..., 1, 1] + density * t
    return mean, covariance


def _associate(
    tracks: TrackSet,
    step_s: float,
    boxes: Doubles,
    scores: Doubles,
    kinds: Integers,
    settings: TrackerSettings,
) -> Rows:
    """Pairs (k, 2) of track and detection rows, each row in at most one, in ascending track order."""
    if len(tracks) == 0 or len(boxes) == 0:
        return np.empty((0, 2), np.intp)
    predicted = _loom(tracks, step_s)
    strong = scores >= settings.high_score
    weak = ~strong & (scores >= settings.low_score)
    same_kind = tracks.kind[:, None] == kinds[None, :]
    overlap = np.where(same_kind, iou(predicted[:, None], boxes), 0.0)
    pairs = _greedy(np.where(strong, overlap, 0.0), settings.high_iou, [])
    old = confirmed(tracks, settings)[:, None]
    pairs = _greedy(np.where(weak & old, overlap, 0.0), settings.low_iou, pairs)
    if len(pairs) < len(tracks):
        widened = np.where(same_kind & strong, _buffered_iou(tracks, predicted, boxes, settings), 0.0)
        pairs = _greedy(widened, settings.buffered_iou, pairs)
    return np.array(sorted(pairs), np.intp).reshape(-1, 2)


def _loom(tracks: TrackSet, step_s: float) -> Doubles:
    """Search boxes xyxy (m, 4) of tracks that were predicted `step_s` ahead.

    The image of an object that we approach at constant speed moves with 1/Z and not linearly: with the time to contact
    τ = h/ḣ at the step's start, every displacement is longer than the linear one by 1 / (1 - step/τ).
    """
    end, rate = tracks.mean[..., 0], tracks.mean[..., 1]
    growth = step_s * rate[:, 2:].sum(axis=1) / np.maximum(end[:, 2:].sum(axis=1), MIN_SIZE_PX)
    # linear end size = size (1 + step/τ), hence growth = (step/τ) / (1 + step/τ)
    contact = growth / np.maximum(1 - growth, 1 / MAX_LOOMING)
    stretch = np.clip(1 / np.maximum(1 - contact, 1 / MAX_LOOMING), 1.0, MAX_LOOMING)
    return _boxes(end + ((stretch - 1) * step_s)[:, None] * rate)


def _greedy(similarity: Doubles, least: float, pairs: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """`pairs` and, best first, further ones of similarity >= `least` between rows and columns not yet in a pair."""
    rows, columns = np.nonzero(similarity >= max(least, np.finfo(float).tiny))
    best_first = np.argsort(-similarity[rows, columns], kind="stable")
    found = list(pairs)
    used_rows, used_columns = {r for r, _ in pairs}, {c for _, c in pairs}
    for row, column in zip(rows[best_first].tolist(), columns[best_first].tolist(), strict=True):
        if row not in used_rows and column not in used_columns:
            found.append((row, column))
            used_rows.add(row)
            used_columns.add(column)
    return found


def _buffered_iou(tracks: TrackSet, predicted: Doubles, boxes: Doubles, settings: TrackerSettings) -> Doubles:
    """Overlap (m, n) after widening both boxes of a pair by the uncertainty of the track's center."""
    spread_px = np.sqrt(np.maximum(tracks.covariance[:, :2, 0, 0].max(axis=1), 0.0))
    height_px = predicted[:, 3] - predicted[:, 1]
    buffer_px = np.minimum(settings.buffer_sigmas * spread_px, settings.max_buffer * height_px)
    widening = buffer_px[:, None, None] * np.array([-1.0, -1.0, 1.0, 1.0])
    return iou(predicted[:, None] + widening, boxes + widening)


def _update(tracks: TrackSet, pairs: Rows, boxes: Doubles, scores: Doubles, settings: TrackerSettings) -> TrackSet:
    """Kalman update of the matched tracks; the coordinates are independent."""
    rows, columns = pairs[:, 0], pairs[:, 1]
    measured = _centers(boxes[columns])
    noise = (settings.measurement * measured[:, 3:4]) ** 2
    mean, covariance = tracks.mean.copy(), tracks.covariance.copy()
    prior, p = mean[rows], covariance[rows]
    gain = p[..., 0] / (p[..., 0, 0] + noise)[..., None]
    mean[rows] = prior + gain * (measured - prior[..., 0])[..., None]
    covariance[rows] = p - gain[..., :, None] * p[..., None, 0, :]
    seen_ns, hits, score = tracks.seen_ns.copy(), tracks.hits.copy(), tracks.score.copy()
    seen_ns[rows] = tracks.time_ns
    hits[rows] += 1
    score[rows] = scores[columns]
    return replace(tracks, mean=mean, covariance=covariance, seen_ns=seen_ns, hits=hits, score=score)


def _begin(
    next_id: int, time_ns: int, boxes: Doubles, scores: Doubles, kinds: Integers, settings: TrackerSettings
) -> TrackSet:
    """New tracks at rest, one per box, with ids from `next_id` on."""
    n = len(boxes)
    mean = np.zeros((n, 4, 2))
    mean[..., 0] = _centers(boxes)
    height_px = mean[:, 3:4, 0]
    covariance = np.zeros((n, 4, 2, 2))
    covariance[..., 0, 0] = (settings.measurement * height_px) ** 2
    covariance[..., 1, 1] = (_per_kind(settings.initial_speed, kinds)[:, None] * height_px) ** 2
    now = np.full(n, time_ns, np.int64)
    return TrackSet(
        next_id=next_id + n,
        time_ns=time_ns,
        track_id=np.arange(next_id, next_id + n, dtype=np.int64),
        kind=kinds,
        mean=mean,
        covariance=covariance,
        born_ns=now,
        seen_ns=now,
        hits=np.ones(n, np.int32),
        score=scores,
    )


def _checked(xyxy: ArrayLike, score: ArrayLike, class_id: ArrayLike) -> tuple[Doubles, Doubles, Integers]:
    boxes, scores = np.asarray(xyxy, np.float64), np.asarray(score, np.float64)
    kinds = np.asarray(class_id).astype(np.int32)
    n = len(scores)
    if boxes.shape != (n, 4) or scores.shape != (n,) or kinds.shape != (n,):
        raise ValueError(
            f"advance: expected xyxy (n, 4), score (n,) and class_id (n,), "
            f"got {boxes.shape}, {scores.shape} and {kinds.shape}"
        )
    if not (np.isfinite(boxes).all() and np.isfinite(scores).all()):
        raise ValueError(f"advance: expected finite boxes and scores, got {boxes.tolist()} and {scores.tolist()}")
    return boxes, scores, kinds


def _canonical_order(boxes: Doubles, scores: Doubles, kinds: Integers) -> Rows:
    """An order of the detections by their values, independent of the order in which the detector listed them."""
    return np.lexsort((*boxes.T[::-1], kinds, -scores))


def _per_kind(values: tuple[float, ...], kind: Integers) -> Doubles:
    return np.take(np.array(values), kind, mode="clip")


def _centers(xyxy: Doubles) -> Doubles:
    """(cx, cy, w, h) of boxes (n, 4), sizes at least `MIN_SIZE_PX`."""
    size = np.maximum(xyxy[:, 2:] - xyxy[:, :2], MIN_SIZE_PX)
    return np.concatenate([(xyxy[:, :2] + xyxy[:, 2:]) / 2, size], axis=1)


def _boxes(centers: Doubles) -> Doubles:
    half = np.maximum(centers[:, 2:], MIN_SIZE_PX) / 2
    return np.concatenate([centers[:, :2] - half, centers[:, :2] + half], axis=1)
