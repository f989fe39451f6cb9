"""The drawn signs: complete, distinct, varied, and one face per seed at every size."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from gradwatch.models.outputs import SIGN_CLASSES
from gradwatch.streams.world.signs import SIGN_LABELS, draw_sign
from gradwatch.streams.world.sprites import Image

MIRROR_TWINS = {"no_left", "no_right"}


def on_gray(rgba: Image) -> np.ndarray:
    """The sign over mid gray, float32."""
    alpha = rgba[..., 3:].astype(np.float32) / 255
    return np.asarray(rgba[..., :3] * alpha + 128 * (1 - alpha), np.float32)


def mean_face(label: str, seeds: range) -> np.ndarray:
    return np.mean([on_gray(draw_sign(label, 32, seed)) for seed in seeds], axis=0)


def test_labels_are_those_of_the_models_in_the_same_order() -> None:
    assert SIGN_LABELS == SIGN_CLASSES


@pytest.mark.parametrize("label", SIGN_LABELS)
@pytest.mark.parametrize("size_px", [12, 33, 70])
def test_a_sign_fills_its_square_and_is_cut_out(label: str, size_px: int) -> None:
    rgba = draw_sign(label, size_px, 3)
    assert rgba.shape == (size_px, size_px, 4)
    assert rgba.dtype == np.uint8
    solid = rgba[..., 3] > 128
    assert 0.3 < solid.mean() < 0.95
    rows, columns = np.flatnonzero(solid.any(axis=1)), np.flatnonzero(solid.any(axis=0))
    assert rows[-1] - rows[0] + 1 >= 0.7 * size_px
    assert columns[-1] - columns[0] + 1 >= 0.6 * size_px


def test_every_type_is_nearer_to_its_own_mean_than_to_any_other() -> None:
    means = np.stack([mean_face(label, range(100, 112)) for label in SIGN_LABELS])
    right = 0
    for index, label in enumerate(SIGN_LABELS):
        for seed in range(6):
            distance = np.abs(means - on_gray(draw_sign(label, 32, seed))).mean(axis=(1, 2, 3))
            right += int(np.argmin(distance) == index)
    # fading and tint outweigh some symbols in plain pixels; chance is 6 of 84
    assert right >= 0.7 * 6 * len(SIGN_LABELS)


def test_turns_mirror_each_other() -> None:
    left, right = mean_face("no_left", range(24)), mean_face("no_right", range(24))
    assert np.abs(left[:, ::-1] - right).mean() < 0.6 * np.abs(left - right).mean()


def test_a_seed_gives_one_face_at_every_size_and_seeds_differ() -> None:
    for label in SIGN_LABELS:
        large, small = on_gray(draw_sign(label, 96, 5)), on_gray(draw_sign(label, 24, 5))
        shrunk = cv2.resize(large, (24, 24), interpolation=cv2.INTER_AREA)
        other = on_gray(draw_sign(label, 24, 6))
        assert np.abs(shrunk - small).mean() < 0.5 * np.abs(other - small).mean() + 1
        np.testing.assert_array_equal(draw_sign(label, 24, 5), draw_sign(label, 24, 5))


@pytest.mark.parametrize(("label", "size_px", "message"), [("halt", 32, "'halt'"), ("stop", 3, "got 3")])
def test_wrong_arguments_are_named(label: str, size_px: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        draw_sign(label, size_px, 0)
