"""Crops for a classifier: geometry, interpolation and borders."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from gradwatch.models.crops import crop


def test_box_fills_its_share_of_the_square():
    image = np.zeros((200, 300, 3), np.uint8)
    image[60:140, 100:180] = 255
    (square,) = crop(image, np.array([[100, 60, 180, 140]], np.float32), margin=0.25, size_px=40)
    # side 100 px -> 40 px: the box is the middle 32 px, 4 px of margin on each side
    np.testing.assert_array_equal(square[:3], 0)
    np.testing.assert_array_equal(square[6:34, 6:34], 255)
    assert square.mean() / 255 == pytest.approx((80 / 100) ** 2, abs=0.02)


def test_the_longer_side_sets_the_size():
    image = np.full((100, 100, 3), 50, np.uint8)
    image[40:60, 10:90] = 200
    (square,) = crop(image, np.array([[10, 40, 90, 60]], np.float32), margin=0, size_px=80)
    np.testing.assert_array_equal(square[:29], 50)
    np.testing.assert_array_equal(square[31:49], 200)


def test_crops_are_independent_of_each_other():
    image = np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)
    boxes = np.array([[3, 4, 30, 40], [-20, -10, 15, 12], [100, 70, 140, 110], [50.3, 20.7, 54.1, 24.2]], np.float32)
    together = crop(image, boxes)
    for box, square in zip(boxes, together, strict=True):
        np.testing.assert_array_equal(crop(image, box[None])[0], square)


@pytest.mark.parametrize("box", [(-30, -30, 10, 10), (90, 90, 130, 130), (-50, 20, -40, 30), (300, 300, 320, 320)])
def test_beyond_the_border_it_is_repeated(box):
    image = np.full((100, 100, 3), 77, np.uint8)
    assert (crop(image, np.array([box], np.float32)) == 77).all()


def test_small_boxes_are_interpolated_where_they_lie():
    """A crop of a gradient is that gradient, to less than half a pixel, whatever the fraction of the box."""
    ramp = np.tile(np.arange(200, dtype=np.uint8)[None, :, None], (100, 1, 3))
    for x in (40.0, 40.25, 40.5, 40.9):
        (square,) = crop(ramp, np.array([[x, 20, x + 20, 40]], np.float32), margin=0, size_px=20)
        np.testing.assert_allclose(square[10, 2:-2, 0], np.arange(x, x + 20)[2:-2], atol=0.6)


def test_large_boxes_do_not_alias():
    stripes = np.zeros((400, 400, 3), np.uint8)
    stripes[:, ::2] = 255
    (square,) = crop(stripes, np.array([[50, 50, 350, 350]], np.float32))
    assert square.std() < 10


def test_close_to_area_interpolation():
    picture = cv2.GaussianBlur(np.random.default_rng(1).integers(0, 256, (256, 256, 3), dtype=np.uint8), (0, 0), 6)
    (square,) = crop(picture, np.array([[64, 64, 192, 192]], np.float32), margin=0, size_px=32)
    wanted = cv2.resize(picture[64:192, 64:192], (32, 32), interpolation=cv2.INTER_AREA)
    assert np.abs(square.astype(int) - wanted.astype(int)).max() <= 3


def test_no_boxes():
    assert crop(np.zeros((10, 10, 3), np.uint8), np.zeros((0, 4), np.float32)).shape == (0, 32, 32, 3)


def test_boxes_of_another_shape():
    with pytest.raises(ValueError, match=r"\(n, 4\)"):
        crop(np.zeros((10, 10, 3), np.uint8), np.zeros(4, np.float32))
