"""Pictures come out with the colors and the orientation that their files state, the same from a file and a camera."""

from __future__ import annotations

import struct

import av
import cv2
import numpy as np
import pytest

from gradwatch.streams.recordings.upright import exif_turn, frame_pixels, turned, whole_picture
from gradwatch.streams.wire.pixels import BadRecordError, decode_picture, encode_jpeg

from ...builders import jpeg_with_exif

RED, GREEN = (210, 30, 20), (20, 190, 40)


def corners(height: int = 48, width: int = 64) -> np.ndarray:
    """A picture whose four corners differ."""
    image = np.zeros((height, width, 3), np.uint8)
    image[: height // 2, : width // 2] = 60
    image[: height // 2, width // 2 :] = 120
    image[height // 2 :, : width // 2] = 180
    image[height // 2 :, width // 2 :] = 240
    return image


def with_orientation(jpeg: bytes, orientation: int, order: str = "<") -> bytes:
    """`jpeg` with an EXIF header that says so."""
    magic = b"II*\0" if order == "<" else b"MM\0*"
    tiff = magic + struct.pack(order + "IHHHIHHI", 8, 1, 0x0112, 3, 1, orientation, 0, 0)
    return jpeg_with_exif(jpeg, tiff)


def frame(image: np.ndarray, colorspace: int, color_range: int = 1) -> av.VideoFrame:
    """`image` as YUV by BT.709 in limited range, which states the matrix `colorspace`."""
    made = av.VideoFrame.from_ndarray(image, format="rgb24")
    made = made.reformat(format="yuv444p", dst_colorspace=1, dst_color_range=1)
    made.colorspace, made.color_range = colorspace, color_range
    return made


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientations_are_those_of_opencv(orientation: int, order: str) -> None:
    jpeg = with_orientation(encode_jpeg(corners(), 95), orientation, order)
    expected = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    upright = whole_picture(jpeg)
    assert (upright == jpeg) == (orientation == 1)
    image = decode_picture(upright)
    assert image.shape == expected.shape
    assert np.abs(image.astype(int) - expected).mean() < 3
    assert np.array_equal(turned(decode_picture(jpeg), exif_turn(jpeg)), expected)


@pytest.mark.parametrize("damage", [b"II*\0\xff\xff\xff\xff", b"II*\0", b"", b"II*\0\x08\0\0\0\xff\xff"])
def test_a_damaged_exif_header_leaves_the_picture_as_it_is(damage: bytes) -> None:
    jpeg = jpeg_with_exif(encode_jpeg(corners()), damage)
    assert whole_picture(jpeg) == jpeg


def test_a_picture_that_can_not_be_decoded_is_refused() -> None:
    for broken in (b"", encode_jpeg(corners())[:300], b"\x89PNG\r\n\x1a\n"):
        with pytest.raises(BadRecordError):
            whole_picture(broken)


@pytest.mark.parametrize(("height", "colorspace"), [(720, 2), (720, 1), (48, 1)])
def test_a_frame_without_a_matrix_is_taken_for_bt709_from_720_lines_on(height: int, colorspace: int) -> None:
    image = np.empty((height, 64, 3), np.uint8)
    image[:, :32], image[:, 32:] = RED, GREEN
    pixels = frame_pixels(frame(image, colorspace))
    assert np.abs(pixels.astype(int) - image).max() < 4


def test_a_small_frame_without_a_matrix_is_taken_for_bt601() -> None:
    image = np.full((48, 64, 3), RED, np.uint8)
    taken = frame_pixels(frame(image, 2))
    assert np.array_equal(taken, frame_pixels(frame(image, 5)))
    assert np.abs(taken.astype(int) - image).max() > 8
