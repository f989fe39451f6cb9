"""What the image statistics of real pictures say: of one color, the same again, or something to calibrate on."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from gradwatch.models.autoencoder import shrink
from gradwatch.models.image_statistics import image_statistics
from gradwatch.monitor.alarms.variation import (
    SAME_PICTURE,
    SIMILAR_PICTURE,
    NoVariationError,
    check_variation,
    difference,
    one_color,
)
from gradwatch.streams.wire.pixels import decode_picture, encode_jpeg


def statistics(picture):
    """Of the picture as a camera's JPEG."""
    decoded = decode_picture(encode_jpeg(picture, 90), 10**7)
    return image_statistics(decoded, shrink(decoded))


def plain(*color):
    return np.full((360, 640, 3), color, np.uint8)


def noisy(picture, deviation, seed=0):
    noise = np.random.default_rng(seed).normal(0, deviation, picture.shape)
    return np.clip(picture + noise, 0, 255).astype(np.uint8)


def slate():
    return cv2.putText(plain(160, 20, 0), "NO SIGNAL", (180, 190), 0, 1.5, (255, 255, 255), 3)


def street(step=0):
    """Sky and road, and a car that drives by."""
    picture = np.concatenate([plain(150, 180, 220)[:180], plain(90, 92, 95)[180:]])
    return cv2.rectangle(picture, (5 * step, 160), (5 * step + 80, 220), (180, 40, 30), -1)


@pytest.mark.parametrize(
    ("picture", "found"),
    [
        (plain(0, 0, 0), "black"),
        (noisy(plain(8, 8, 8), 5), "black"),
        (plain(255, 0, 0), "one color"),
        (plain(128, 128, 128), "one color"),
        (noisy(plain(250, 250, 250), 5), "one color"),
        (slate(), "one color"),
        (noisy(slate(), 5), "one color"),
        (street(), ""),
        (noisy(street() // 8, 2), ""),  # at night
        (cv2.cvtColor(cv2.cvtColor(street(), cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB), ""),  # infrared
    ],
)
def test_pictures_of_one_color_are_told_from_others(picture, found):
    assert one_color(statistics(picture)) == found


def test_a_picture_that_stands_still_is_told_from_one_with_a_live_sensor():
    still, moved = statistics(street()), statistics(street(1))
    assert difference(still, statistics(street())) == 0
    assert difference(statistics(noisy(street(), 1)), statistics(noisy(street(), 1, seed=1))) > SAME_PICTURE
    assert difference(still, moved) > SAME_PICTURE
    assert difference(still, statistics(slate())) > SIMILAR_PICTURE


@pytest.mark.parametrize(
    ("pictures", "why"),
    [
        ([plain(0, 0, 0)] * 5, "5 of 5 that are black"),
        ([slate()] * 5, "one color"),
        ([street()] * 5, "4 of 5 that repeat the picture before"),
    ],
)
def test_frames_without_variation_are_refused_with_the_reason(pictures, why):
    with pytest.raises(NoVariationError, match=why):
        check_variation([statistics(picture) for picture in pictures])


def test_frames_that_vary_are_accepted_each_of_them_repeated_or_not():
    seen = [statistics(noisy(street(step), 2, step)) for step in range(5)]
    check_variation(seen)
    check_variation([one for one in seen for _ in range(3)])  # 10 frames a second in a recording of 30
