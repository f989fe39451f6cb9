"""Codec errors are a real decoder's: blocks of 16 px in what was broken, and the picture where nothing was."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from gradwatch.streams.challenges import codec_error
from gradwatch.streams.challenges.table import apply_challenge

Image = NDArray[np.uint8]


@pytest.fixture(scope="module")
def road() -> Image:
    """Mid-gray road with texture, a bright sign with a dark arrow, dark trees."""
    rng = np.random.default_rng(5)
    image = np.full((288, 512, 3), (118, 122, 120), np.uint8)
    image[:120] = (50, 60, 48)
    cv2.circle(image, (420, 90), 40, (200, 30, 40), -1)
    cv2.circle(image, (420, 90), 30, (240, 240, 240), -1)
    grain = cv2.GaussianBlur(rng.normal(0, 30, image.shape), (0, 0), 2)
    return np.clip(image + grain, 0, 255).astype(np.uint8)


def coded(road: Image, level: int = 3) -> tuple[Image, Image, bytes, bytes]:
    earlier, torn = codec_error._displaced(road, level)
    return earlier, torn, *codec_error._encode((earlier, torn), codec_error.QUANTIZER[level - 1])


def test_what_is_not_broken_is_the_displaced_picture(road: Image) -> None:
    _, torn, key_picture, predicted = coded(road)
    shown = codec_error._decode((key_picture, predicted), torn)
    assert cv2.PSNR(shown, torn) > 27


def test_damage_ends_with_its_row_of_macroblocks(road: Image) -> None:
    _, torn, key_picture, predicted = coded(road)
    intact = codec_error._decode((key_picture, predicted), torn)
    broken = codec_error._broken(predicted, 0.01, np.random.default_rng(2))
    assert sum(a != b for a, b in zip(predicted, broken, strict=True)) <= codec_error.BROKEN_BYTES
    shown = codec_error._decode((key_picture, broken), torn)
    rows = np.flatnonzero((shown != intact).any(axis=(1, 2)))
    assert len(rows) > 0
    # A row and what the deblocking of concealed blocks reaches of its neighbors.
    assert np.ptp(rows) < codec_error.MACROBLOCK_PX + 2 * 8


def test_start_codes_are_left_alone(road: Image) -> None:
    *_, predicted = coded(road)
    broken = codec_error._broken(predicted, 1.0, np.random.default_rng(4))
    assert broken != predicted
    assert len(broken) == len(predicted)
    assert broken.count(b"\x00\x00\x01") == predicted.count(b"\x00\x00\x01")


def test_a_sign_loses_its_white_and_stands_smaller_elsewhere(road: Image) -> None:
    _, torn = codec_error._displaced(road, 3)
    assert road[90, 420].min() > 200
    assert torn[90, 395].max() < 160  # white at this time, trees or road at the later one
    x = round(0.47 * 512 + (420 - 0.47 * 512) / codec_error.APPROACH[2])
    y = round(0.45 * 288 + (90 - 0.45 * 288) / codec_error.APPROACH[2])
    assert torn[y, x].min() > 200


def test_damage_grows_with_the_level(road: Image) -> None:
    errors = []
    for level in (1, 3, 5):
        _, torn = codec_error._displaced(road, level)
        shown = [apply_challenge(road, "codec_error", level, 1, seq) for seq in range(6)]
        errors.append(np.mean([np.abs(picture.astype(int) - torn) for picture in shown]))
    assert errors == sorted(errors)


def test_a_picture_is_shown_even_if_nothing_can_be_decoded(road: Image) -> None:
    np.testing.assert_array_equal(codec_error._decode((b"\xff" * 40, b""), road), road)
