from __future__ import annotations

import csv
from itertools import pairwise
from pathlib import Path

import msgspec
import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from gradwatch.monitor.judging.tracking import (
    ROWS,
    TrackerSettings,
    TrackSet,
    advance,
    confirmed,
    no_tracks,
    predict_tracks,
    select_tracks,
)
from gradwatch.monitor.worker.stored_state import decode_array, encode_array

SETTINGS = TrackerSettings()
SIGN, PEDESTRIAN = 0, 1
FRAME_NS = 100_000_000


def box(cx, cy, w, h):
    return [cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2]


def step(tracks, capture_ns, boxes, kind=PEDESTRIAN, score=0.9, settings=SETTINGS):
    n = len(boxes)
    return advance(tracks, int(capture_ns), np.reshape(boxes, (n, 4)), np.full(n, score), np.full(n, kind), settings)


def follow(frames, times_s, kind=PEDESTRIAN, score=0.9):
    """Runs boxes-by-name per frame; returns the track ids that each name was given, in order."""
    tracks, given = no_tracks(), {}
    for objects, time_s in zip(frames, times_s, strict=True):
        tracks, index = step(tracks, round(time_s * 1e9), list(objects.values()), kind, score)
        for row, detection in enumerate(index):
            if detection >= 0:
                given.setdefault(list(objects)[detection], []).append(int(tracks.track_id[row]))
    return given


def same(a: TrackSet, b: TrackSet) -> bool:
    return (a.next_id, a.time_ns) == (b.next_id, b.time_ns) and all(
        np.array_equal(getattr(a, name), getattr(b, name)) for name in ROWS
    )


def irregular_times(n, seed, rate_hz=10.0, dropped=0.3):
    """Capture times of a camera whose frames are lost at random, at most five in a row."""
    rng = np.random.default_rng(seed)
    gaps = np.minimum(rng.geometric(1 - dropped, n), 6)
    return np.cumsum(gaps) / rate_hz + rng.uniform(-0.01, 0.01, n)


def test_empty_frames_and_empty_sets_are_legal():
    tracks, index = step(no_tracks(), 5, [])
    assert len(tracks) == 0
    assert index.shape == (0,)
    assert index.dtype == np.int32
    assert tracks.time_ns == 5


def test_crossing_pedestrians_keep_their_ids():
    times = np.arange(0, 6, 0.1)
    frames = [
        {"a": box(100 + 60 * t, 200, 30, 80), "b": box(460 - 60 * t, 215, 32, 84), "c": box(280, 500, 30, 80)}
        for t in times
    ]
    given = follow(frames, times)
    assert all(len(set(ids)) == 1 for ids in given.values())
    assert len({ids[0] for ids in given.values()}) == 3


def test_an_occlusion_of_600_ms_keeps_the_id_and_a_long_one_ends_it():
    times = np.arange(0, 6, 0.1)
    path = [{"a": box(100 + 70 * t, 200, 30, 80)} for t in times]
    short = [{} if 2.0 <= t < 2.6 else f for f, t in zip(path, times, strict=True)]
    assert set(follow(short, times)["a"]) == {0}
    long = [{} if 2.0 <= t < 3.3 else f for f, t in zip(path, times, strict=True)]
    assert set(follow(long, times)["a"]) == {0, 1}


@pytest.mark.parametrize("seed", range(5))
def test_irregular_drops_keep_ids(seed):
    times = irregular_times(80, seed)
    frames = [
        {"a": box(50 + 50 * t, 200, 30, 80), "b": box(900 - 40 * t, 320, 34, 90), "c": box(400 + 20 * t, 450, 40, 99)}
        for t in times
    ]
    assert all(len(set(ids)) == 1 for ids in follow(frames, times).values())


def sign_boxes(times_s, lateral_m, distance_m, speed_mps, focal_px=1000.0, size_m=0.8):
    """A sign at the roadside, seen by a pinhole camera that drives straight past it."""
    depth_m = distance_m - speed_mps * np.asarray(times_s)
    return [
        box(800 + focal_px * lateral_m / z, 600 - focal_px * 1.5 / z, focal_px * size_m / z, focal_px * size_m / z)
        for z in depth_m
    ]


@pytest.mark.parametrize(("speed_mps", "lateral_m"), [(14.0, 2.0), (14.0, 5.0), (22.0, 2.0), (22.0, 5.0), (33.0, 2.0)])
def test_growing_signs_keep_their_ids_at_5_hz(speed_mps, lateral_m):
    times = np.arange(0, (60 - 6) / speed_mps, 0.2)
    boxes = sign_boxes(times, lateral_m, 60.0, speed_mps)
    jumps = [abs(b[0] - a[0]) / (a[2] - a[0]) for a, b in pairwise(boxes)]
    assert max(jumps) > 0.3  # in heights a frame: the case is as hard as it claims to be
    given = follow([{"s": b} for b in boxes], times, SIGN)
    assert set(given["s"]) == {0}


def test_a_box_that_moved_by_more_than_its_size_is_found_by_the_wider_look():
    tracks, _ = step(no_tracks(), 0, [box(100, 100, 20, 20)], SIGN)
    moved = [box(125, 100, 22, 22)]
    found, _ = step(tracks, 2 * FRAME_NS, moved, SIGN)
    assert found.track_id.tolist() == [0]
    narrow = msgspec.structs.replace(SETTINGS, max_buffer=0.0)
    missed, index = step(tracks, 2 * FRAME_NS, moved, SIGN, settings=narrow)
    assert missed.track_id[index >= 0].tolist() == [1]


def test_weak_detections_continue_confirmed_tracks_but_begin_none():
    here = [box(100, 100, 30, 80)]
    assert len(step(no_tracks(), 0, here, score=0.2)[0]) == 0
    once, _ = step(no_tracks(), 0, here)
    assert step(once, FRAME_NS, here, score=0.2)[1].tolist() == [-1]
    twice, _ = step(once, FRAME_NS, here)
    after, index = step(twice, 2 * FRAME_NS, here, score=0.2)
    assert (after.track_id.tolist(), index.tolist(), after.score.tolist()) == ([0], [0], [0.2])
    assert step(twice, 2 * FRAME_NS, here, score=0.05)[1].tolist() == [-1]


def test_strong_detections_come_before_better_fitting_weak_ones():
    tracks = no_tracks()
    for i in range(3):
        tracks, _ = step(tracks, i * FRAME_NS, [box(100, 100, 30, 80)])
    boxes = np.array([box(100, 100, 30, 80), box(104, 104, 30, 80)])
    _, index = advance(tracks, 3 * FRAME_NS, boxes, [0.2, 0.8], [PEDESTRIAN] * 2, SETTINGS)
    assert index.tolist() == [1]


def test_kinds_never_mix():
    tracks, _ = step(no_tracks(), 0, [box(100, 100, 30, 80)], SIGN)
    tracks, index = step(tracks, FRAME_NS, [box(100, 100, 30, 80)], PEDESTRIAN)
    assert tracks.kind.tolist() == [SIGN, PEDESTRIAN]
    assert index.tolist() == [-1, 0]


def test_unconfirmed_tracks_end_sooner_and_ids_never_return():
    tracks, _ = step(no_tracks(), 0, [box(100, 100, 30, 80)])
    assert not confirmed(tracks, SETTINGS).any()
    tracks, _ = step(tracks, 5 * FRAME_NS, [])
    assert len(tracks) == 0
    tracks, _ = step(tracks, 6 * FRAME_NS, [box(100, 100, 30, 80)])
    assert tracks.track_id.tolist() == [1]


@pytest.mark.parametrize("step_ns", [0, -1, -FRAME_NS])
def test_time_that_stands_still_or_steps_back_a_little_keeps_tracks(step_ns):
    here = [box(100, 100, 30, 80)]
    tracks, _ = step(no_tracks(), 50 * FRAME_NS, here)
    again, index = step(tracks, 50 * FRAME_NS + step_ns, here)
    assert index.tolist() == [0]
    assert again.time_ns == 50 * FRAME_NS
    assert np.isfinite(again.mean).all()
    assert (np.linalg.eigvalsh(again.covariance) > 0).all()


@pytest.mark.parametrize("step_ns", [-(10**12), 21 * FRAME_NS])
def test_a_long_gap_or_jump_back_forgets_tracks(step_ns):
    here = [box(100, 100, 30, 80)]
    tracks, _ = step(no_tracks(), 10**13, here)
    after, _ = step(tracks, 10**13 + step_ns, here)
    assert after.track_id.tolist() == [1]
    assert after.time_ns == 10**13 + step_ns


def test_frames_two_seconds_apart_still_follow_what_stands():
    times = np.arange(0, 20, 2.0)
    assert set(follow([{"a": box(100, 100, 30, 80)}] * len(times), times)["a"]) == {0}


def test_a_box_predicted_to_vanish_keeps_its_size():
    tracks = no_tracks()
    for i, size in enumerate([80, 60, 40]):
        tracks, _ = step(tracks, i * FRAME_NS, [box(100, 100, size, size)], SIGN)
    ahead = predict_tracks(tracks, tracks.time_ns + 9 * FRAME_NS, SETTINGS)
    np.testing.assert_array_equal(ahead.mean[:, 2:, 0], tracks.mean[:, 2:, 0])
    assert (ahead.mean[:, 2:, 1] == 0).all()


def textbook_step(x, P, dt, z, kind, settings):
    """One predict and update of an 8-state filter in matrices, Bar-Shalom et al. 2001."""
    F1 = np.array([[1, dt], [0, 1]])
    q = (settings.acceleration[kind] * x[6]) ** 2
    F = np.kron(np.eye(4), F1)
    Q = np.kron(np.eye(4), q * np.array([[dt**3 / 3, dt**2 / 2], [dt**2 / 2, dt]]))
    x, P = F @ x, F @ P @ F.T + Q
    if z is None:
        return x, P
    H = np.kron(np.eye(4), [[1.0, 0.0]])
    S = H @ P @ H.T + (settings.measurement * z[3]) ** 2 * np.eye(4)
    K = P @ H.T @ np.linalg.inv(S)
    return x + K @ (z - H @ x), (np.eye(8) - K @ H) @ P


@pytest.mark.parametrize("kind", [SIGN, PEDESTRIAN])
def test_filter_equals_the_textbook_loop(kind):
    rng = np.random.default_rng(3)
    times = irregular_times(40, seed=3)
    paths = {i: (np.array([200.0 * i + 100, 300, 40, 90]), rng.normal(0, 8, 4)) for i in range(3)}
    tracks, reference, before = no_tracks(), {}, None
    for n, t in enumerate(times):
        visible = [i for i in paths if n == 0 or rng.random() > 0.2]
        z = {i: paths[i][0] + paths[i][1] * t * [1, 1, 0.1, 0.1] + rng.normal(0, 1, 4) for i in visible}
        capture_ns = round(t * 1e9)
        tracks, _ = step(tracks, capture_ns, [box(*z[i]) for i in visible], kind)
        for i in paths:
            if n == 0:
                x = np.stack([z[i], np.zeros(4)], 1).ravel()
                variances = [(SETTINGS.measurement * z[i][3]) ** 2, (SETTINGS.initial_speed[kind] * z[i][3]) ** 2]
                reference[i] = (x, np.diag(variances * 4))
            else:
                dt = (capture_ns - before) / 1e9
                reference[i] = textbook_step(*reference[i], dt, z.get(i), kind, SETTINGS)
        before = capture_ns
        for x, P in reference.values():
            row = np.argmin(np.abs(tracks.mean[:, 0, 0] - x[0]))
            blocks = np.stack([P[2 * c : 2 * c + 2, 2 * c : 2 * c + 2] for c in range(4)])
            np.testing.assert_allclose(tracks.mean[row].ravel(), x, rtol=1e-9, atol=1e-9)
            np.testing.assert_allclose(tracks.covariance[row], blocks, rtol=1e-9, atol=1e-9)
    assert tracks.next_id == 3


def random_frames(seed, n_frames=40, n_objects=8):
    """Noisy boxes in a crowded picture, with misses, clutter and mixed scores and kinds."""
    rng = np.random.default_rng(seed)
    start = rng.uniform([0, 0, 20, 40], [400, 300, 40, 90], (n_objects, 4))
    speed = rng.normal(0, 30, (n_objects, 4)) * [1, 1, 0.05, 0.05]
    kinds = rng.integers(0, 2, n_objects)
    for t in irregular_times(n_frames, seed):
        shown = rng.random(n_objects) > 0.15
        clutter = rng.uniform([0, 0, 20, 40], [400, 300, 40, 90], (2, 4))
        centers = np.concatenate([(start + speed * t + rng.normal(0, 1, start.shape))[shown], clutter])
        scores = rng.uniform(0.05, 1, len(centers))
        yield round(t * 1e9), np.array([box(*c) for c in centers]), scores, np.append(kinds[shown], [0, 1])


@pytest.mark.parametrize("seed", range(3))
def test_the_order_of_detections_does_not_matter(seed):
    rng = np.random.default_rng(100 + seed)
    a = b = no_tracks()
    for capture_ns, boxes, scores, kinds in random_frames(seed):
        shuffle = rng.permutation(len(boxes))
        a, index_a = advance(a, capture_ns, boxes, scores, kinds, SETTINGS)
        b, index_b = advance(b, capture_ns, boxes[shuffle], scores[shuffle], kinds[shuffle], SETTINGS)
        assert same(a, b)
        seen = index_a >= 0
        np.testing.assert_array_equal(seen, index_b >= 0)
        np.testing.assert_array_equal(index_a[seen], shuffle[index_b[seen]])


def stored(tracks: TrackSet) -> TrackSet:
    """The tracks as a store gives them back, made read-only: any write into a state would raise."""
    content = msgspec.msgpack.encode(tracks, enc_hook=encode_array)
    back = msgspec.msgpack.decode(content, type=TrackSet, dec_hook=decode_array)
    for name in ROWS:
        getattr(back, name).setflags(write=False)
    return back


@pytest.mark.parametrize("seed", range(3))
def test_state_read_back_continues_equally_and_arguments_stay_unchanged(seed):
    live = back = no_tracks()
    for capture_ns, boxes, scores, kinds in random_frames(seed):
        back, index_b = advance(stored(back), capture_ns, boxes, scores, kinds, SETTINGS)
        live, index_a = advance(live, capture_ns, boxes, scores, kinds, SETTINGS)
        assert same(live, back)
        np.testing.assert_array_equal(index_a, index_b)
    assert len(live)


def test_select_takes_masks_and_indices():
    tracks, _ = step(no_tracks(), 0, [box(100, 100, 30, 80), box(400, 300, 20, 60)])
    assert select_tracks(tracks, [False, True]).track_id.tolist() == [1]
    assert select_tracks(tracks, [1, 0]).track_id.tolist() == [1, 0]
    assert select_tracks(tracks, confirmed(tracks, SETTINGS)).next_id == 2


@pytest.mark.parametrize(
    ("boxes", "score", "kind"),
    [(np.zeros((1, 3)), [1.0], [0]), (np.zeros((2, 4)), [1.0], [0]), ([[0, 0, np.nan, 1]], [1.0], [0])],
)
def test_bad_detections_are_refused(boxes, score, kind):
    with pytest.raises(ValueError, match="expected"):
        advance(no_tracks(), 0, boxes, score, kind, SETTINGS)


# On real walkers ---------------------------------------------------------------------------------------


def pets_truth(shared: Path) -> dict[int, tuple[list[str], np.ndarray]]:
    """Names and boxes xyxy of the persons in each frame of PETS09 S2L1, view 1, at 10 Hz."""
    path = shared / "data" / "pets09_s2l1" / "pets_a_gt.csv"
    if not path.is_file():
        pytest.skip(f"not found: {path}")
    frames: dict[int, tuple[list[str], list[list[float]]]] = {}
    with path.open() as lines:
        for row in csv.DictReader(lines):
            names, boxes = frames.setdefault(int(row["frame"]), ([], []))
            x, y, w, h = (float(row[k]) for k in "xywh")
            names.append(row["track_id"])
            boxes.append([x, y, x + w, y + h])
    return {i: (names, np.array(boxes)) for i, (names, boxes) in sorted(frames.items())}


def identity_figures(pairs: list[tuple[str, int]], n_truth: int) -> tuple[int, float]:
    """Identity switches and IDF1 (Ristani et al. 2016) from the (name, track id) of every matched box."""
    switches = sum(a != b for name in {n for n, _ in pairs} for a, b in pairwise([t for n, t in pairs if n == name]))
    names, name_row = np.unique([n for n, _ in pairs], return_inverse=True)
    ids, id_row = np.unique([t for _, t in pairs], return_inverse=True)
    shared_frames = np.zeros((len(names), len(ids)))
    np.add.at(shared_frames, (name_row, id_row), 1)
    rows, columns = linear_sum_assignment(-shared_frames)
    return switches, 2 * shared_frames[rows, columns].sum() / (n_truth + len(pairs))


@pytest.mark.shared
@pytest.mark.parametrize(
    ("every", "jitter", "missed", "most_switches", "least_idf1"),
    [(1, 0.0, 0.0, 2, 0.97), (2, 0.0, 0.0, 4, 0.95), (1, 0.04, 0.15, 20, 0.85), (2, 0.04, 0.15, 20, 0.8)],
)
def test_identities_of_real_walkers(shared, every, jitter, missed, most_switches, least_idf1):
    """True boxes as detections: as they are, and shaken by `jitter` heights with a share `missed`."""
    rng = np.random.default_rng(1)
    tracks, pairs = no_tracks(), []
    for frame, (names, boxes) in pets_truth(shared).items():
        if frame % every:
            continue
        shown = np.flatnonzero(rng.random(len(names)) >= missed)
        height_px = boxes[shown, 3:] - boxes[shown, 1:2]
        detected = boxes[shown] + rng.normal(0, 1, (len(shown), 4)) * jitter * height_px
        tracks, index = step(tracks, frame * FRAME_NS, detected)
        pairs += [(names[shown[d]], int(i)) for i, d in zip(tracks.track_id, index, strict=True) if d >= 0]
    switches, idf1 = identity_figures(pairs, len(pairs))
    print(
        f"PETS at {10 / every:g} Hz, jitter {jitter}, missed {missed}: "
        f"{switches} identity switches, IDF1 {idf1:.4f}, {tracks.next_id} tracks"
    )
    assert switches <= most_switches
    assert idf1 >= least_idf1
