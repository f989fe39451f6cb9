"""Letterbox: boxes to the canvas and back, and the pixels of the canvas."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradwatch.models.preprocess import letterbox, resize

SIDE = st.integers(2, 900)


@settings(deadline=None, max_examples=60)
@given(width=SIDE, height=SIDE, stretch=st.booleans(), corners=st.tuples(*[st.floats(0, 1)] * 4))
def test_boxes_there_and_back(width, height, stretch, corners):
    canvas, box = letterbox(np.zeros((height, width, 3), np.uint8), (416, 288), stretch=stretch)
    assert canvas.shape == (288, 416, 3)
    x, y = sorted(corners[:2]), sorted(corners[2:])
    xyxy = np.array([[x[0] * width, y[0] * height, x[1] * width, y[1] * height]], np.float32)
    on_canvas = box.to_input(xyxy)
    assert (on_canvas >= -1e-3).all()
    assert (on_canvas <= np.array([416, 288, 416, 288]) + 1e-3).all()
    np.testing.assert_allclose(box.to_picture(on_canvas), xyxy, atol=2e-3 * max(1, width / 100, height / 100))


def test_a_box_stays_on_its_pixels():
    image = np.zeros((400, 600, 3), np.uint8)
    image[100:200, 300:450] = 255
    canvas, box = letterbox(image, (300, 300), fill=0)
    x1, y1, x2, y2 = box.to_input(np.array([[300, 100, 450, 200]], np.float32))[0].astype(int)
    assert (canvas[y1:y2, x1:x2] == 255).all()
    canvas[y1:y2, x1:x2] = 0
    assert (canvas == 0).all()


def test_rest_is_filled_and_empty_boxes_are_legal():
    canvas, box = letterbox(np.zeros((10, 20, 3), np.uint8), (100, 100), fill=9)
    assert (canvas[:25] == 9).all()
    assert (canvas[75:] == 9).all()
    assert (canvas[25:75] == 0).all()
    assert box.to_picture(np.zeros((0, 4), np.float32)).shape == (0, 4)


def test_boxes_are_cut_at_the_border():
    _, box = letterbox(np.zeros((100, 100, 3), np.uint8), (50, 50))
    np.testing.assert_array_equal(box.to_picture(np.array([[-9, 10, 99, 20]], np.float32)), [[0, 20, 100, 40]])


def test_picture_without_pixels():
    with pytest.raises(ValueError, match=r"got \(0, 5, 3\)"):
        letterbox(np.zeros((0, 5, 3), np.uint8), (10, 10))


def test_resize_does_not_alias():
    stripes = np.zeros((540, 960, 3), np.uint8)
    stripes[:, ::2] = 255
    for size in ((480, 270), (416, 234), (100, 60)):
        assert abs(int(resize(stripes, size).min()) - 127) < 65
        assert resize(stripes, size).shape == (size[1], size[0], 3)
