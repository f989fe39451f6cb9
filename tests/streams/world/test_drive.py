"""Synthetic drives: pure functions of their arguments, with truth that fits the pixels."""

from __future__ import annotations

import numpy as np
import pytest

from gradwatch.streams.world.drive import Drive, Swap, TruthBox
from gradwatch.streams.world.ego_motion import SETTINGS
from gradwatch.streams.world.people import PHASES, draw_pedestrian
from gradwatch.streams.world.signs import SIGN_LABELS

SMALL = (480, 270)


@pytest.fixture(scope="module", params=SETTINGS)
def drive(request: pytest.FixtureRequest) -> Drive:
    return Drive(request.param, seed=5, frames=300, size=SMALL)


def sign_tracks(drive: Drive) -> dict[int, list[tuple[int, TruthBox]]]:
    tracks: dict[int, list[tuple[int, TruthBox]]] = {}
    for seq in range(min(drive.frames, 150)):
        for box in drive.truth(seq):
            if box.kind == "sign":
                tracks.setdefault(box.identity, []).append((seq, box))
    return tracks


def test_a_frame_does_not_depend_on_the_frames_before_it(drive: Drive) -> None:
    late = drive.image(200).copy()
    for seq in (0, 1, 120):
        drive.image(seq)
    again = Drive(drive.setting, drive.seed, frames=drive.frames, size=SMALL)
    np.testing.assert_array_equal(again.image(200), late)
    np.testing.assert_array_equal(drive.image(200), late)
    assert again.truth(200) == drive.truth(200)


def test_images_are_rgb_and_seeds_and_frames_differ(drive: Drive) -> None:
    image = drive.image(10)
    assert image.shape == (270, 480, 3)
    assert image.dtype == np.uint8
    other = Drive(drive.setting, drive.seed + 1, frames=20, size=SMALL).image(10)
    assert np.abs(image.astype(int) - other).mean() > 5
    assert np.abs(image.astype(int) - drive.image(11)).mean() > 1


def test_truth_lies_inside_the_picture(drive: Drive) -> None:
    boxes = [box for seq in range(0, 300, 10) for box in drive.truth(seq)]
    assert any(box.kind == "sign" for box in boxes)
    assert any(box.kind == "pedestrian" for box in boxes) == (drive.setting != "motorway")
    for box in boxes:
        x0, y0, x1, y1 = box.xyxy
        assert 0 <= x0 < x1 <= 480
        assert 0 <= y0 < y1 <= 270
        assert 0 < box.visibility <= 1
        assert box.label in ((*SIGN_LABELS,) if box.kind == "sign" else ("pedestrian",))


def test_signs_grow_as_they_near(drive: Drive) -> None:
    tracks = [track for track in sign_tracks(drive).values() if len(track) >= 6 and track[-1][0] < 149]
    assert len(tracks) >= 3
    for track in tracks:
        heights = [box.xyxy[3] - box.xyxy[1] for _, box in track if box.xyxy[1] > 0]
        assert np.all(np.diff(heights) > 0)
        assert heights[-1] > 2 * heights[0]


def test_identities_are_unique_over_both_kinds(drive: Drive) -> None:
    kinds: dict[int, set[str]] = {}
    for seq in range(0, 120, 2):
        boxes = drive.truth(seq)
        assert len({box.identity for box in boxes}) == len(boxes)
        for box in boxes:
            kinds.setdefault(box.identity, set()).add(box.label)
    assert all(len(labels) == 1 for labels in kinds.values())


def test_a_swap_changes_one_sign_from_its_frame_on() -> None:
    plain = Drive("town", seed=2, frames=100)
    candidates = plain.swap_candidates()
    assert candidates
    identity, at_seq = candidates[0]
    old = next(box.label for box in plain.truth(at_seq) if box.identity == identity)
    new = "parking" if old != "parking" else "stop"
    swapped = Drive("town", seed=2, frames=100, swap=Swap(identity, at_seq, new))
    for seq in (0, at_seq - 1):
        np.testing.assert_array_equal(swapped.image(seq), plain.image(seq))
        assert swapped.truth(seq) == plain.truth(seq)
    for seq in (at_seq, at_seq + 3):
        (box,) = (box for box in swapped.truth(seq) if box.identity == identity)
        assert box.label == new
        changed = np.abs(swapped.image(seq).astype(int) - plain.image(seq)).max(axis=2) > 0
        rows, columns = np.nonzero(changed)
        x0, y0, x1, y1 = box.xyxy
        assert len(rows) > 50
        assert x0 - 2 <= columns.min() <= columns.max() <= x1 + 2
        assert y0 - 2 <= rows.min() <= rows.max() <= y1 + 2


def test_swap_candidates_keep_what_they_promise() -> None:
    drive = Drive("country", seed=7, frames=150)
    tracks = sign_tracks(drive)
    candidates = drive.swap_candidates(min_before=8, min_after=6, min_side_px=18)
    assert candidates
    for identity, at_seq in candidates:
        before = [box for seq, box in tracks[identity] if seq < at_seq and box.xyxy[3] - box.xyxy[1] >= 12]
        after = [box for seq, box in tracks[identity] if seq >= at_seq and box.xyxy[3] - box.xyxy[1] >= 18]
        assert len(before) >= 8
        assert len(after) >= 6


def test_light_varies_within_a_clean_drive_but_moderately(drive: Drive) -> None:
    luma = np.array([drive.image(seq).mean() for seq in range(0, 300, 10)])
    assert luma.std() > 5
    assert luma.min() > 50
    assert luma.max() < 200
    # it drifts: the next frame is nearer than a frame at random
    following = np.array([drive.image(seq).mean() for seq in range(1, 300, 10)])
    assert np.abs(following - luma).mean() < 0.4 * np.abs(luma[:, None] - luma[None, :]).mean()


def test_people_walk() -> None:
    steps = [draw_pedestrian(4, phase, 90, 96)[0].levels[0].astype(int) for phase in range(PHASES)]
    legs = [np.flatnonzero(step[80:, :, 3].max(axis=0) > 128) for step in steps]
    reach = [int(columns[-1] - columns[0]) for columns in legs]
    assert max(reach) > 1.8 * min(reach)


def test_wrong_arguments_are_named(drive: Drive) -> None:
    with pytest.raises(ValueError, match="'alley'"):
        Drive("alley", 0, 10)
    with pytest.raises(ValueError, match="got 999"):
        Drive("town", 0, 10, size=SMALL, swap=Swap(999, 3, "stop"))
    with pytest.raises(IndexError, match="got 300"):
        drive.image(300)
