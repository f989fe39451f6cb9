from __future__ import annotations

import struct
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradwatch.streams.wire.frames import decode_frame
from gradwatch.streams.wire.messages import OutcomeCause
from gradwatch.streams.wire.pixels import BadRecordError, decode_picture, encode_jpeg, picture_size, without_exif
from gradwatch.streams.wire.records import Record

from ...builders import jpeg_with_exif


def picture(height: int = 24, width: int = 40) -> np.ndarray:
    return np.random.default_rng(7).integers(0, 256, (height, width, 3), np.uint8)


def as_png(image: np.ndarray) -> bytes:
    return cv2.imencode(".png", image)[1].tobytes()


@pytest.mark.parametrize("options", [[], [cv2.IMWRITE_JPEG_PROGRESSIVE, 1], [cv2.IMWRITE_JPEG_RST_INTERVAL, 1]])
def test_size_and_pixels_of_jpegs(options: list[int]) -> None:
    content = cv2.imencode(".jpg", picture()[:, :, ::-1], options)[1].tobytes()
    assert picture_size(content) == (40, 24)
    assert decode_picture(content).shape == (24, 40, 3)


def test_colors_keep_their_order() -> None:
    image = np.zeros((16, 16, 3), np.uint8)
    image[..., 0] = 250
    red = decode_picture(encode_jpeg(image))
    assert red[..., 0].min() > 240
    assert red[..., 2].max() < 10
    np.testing.assert_array_equal(decode_picture(as_png(image[:, :, ::-1])), image)


def test_gray_and_16_bit_pictures_become_rgb8() -> None:
    gray = np.full((8, 9), 77, np.uint8)
    for content in (as_png(gray), as_png(gray.astype(np.uint16) * 257), cv2.imencode(".jpg", gray)[1].tobytes()):
        image = decode_picture(content)
        assert image.shape == (8, 9, 3)
        assert image.dtype == np.uint8
        assert abs(int(image.mean()) - 77) <= 1


EXIF = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"  # orientation 6: turn by 90 degrees


def turned_jpeg(content: bytes) -> bytes:
    return jpeg_with_exif(content, EXIF)


def turned_png(content: bytes) -> bytes:
    chunk = b"eXIf" + EXIF
    end_of_header = 33
    at = struct.pack(">I", len(EXIF)) + chunk + struct.pack(">I", zlib.crc32(chunk))
    return content[:end_of_header] + at + content[end_of_header:]


@pytest.mark.parametrize(("encode", "turn"), [(encode_jpeg, turned_jpeg), (as_png, turned_png)])
def test_exif_orientation_is_ignored_and_removed(encode, turn) -> None:
    content = encode(picture())
    turned = turn(turn(content))
    assert picture_size(turned) == (40, 24)
    assert decode_picture(turned).shape == (24, 40, 3)
    assert without_exif(turned) == without_exif(content) == content
    assert decode_frame(Record("frames", 0, 0, 1, None, turned)).content == content


def test_other_segments_and_broken_lengths_survive_the_removal_of_exif() -> None:
    content = encode_jpeg(picture())
    other = b"\xff\xe1\x00\x0chttp://x\0\0"
    assert without_exif(content[:2] + other + turned_jpeg(content)[2:]) == content[:2] + other + content[2:]
    endless = content[:2] + b"\xff\xe1\xff\xffExif\0\0"
    assert without_exif(endless) == content[:2]


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("encode", [encode_jpeg, as_png])
def test_a_picture_that_was_cut_off_is_undecodable(share: float, encode) -> None:
    content = encode(picture(120, 160))
    with pytest.raises(BadRecordError) as caught:
        decode_picture(content[: int(len(content) * share)])
    assert caught.value.cause is OutcomeCause.UNDECODABLE


@settings(deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 255))
def test_flipped_bytes_never_do_more_than_refuse_a_picture(position: int, value: int) -> None:
    content = bytearray(encode_jpeg(picture()))
    content[position % len(content)] = value
    try:
        image = decode_picture(bytes(content), max_pixels=10_000_000)
    except BadRecordError:
        return
    assert image.ndim == 3


def test_encode_jpeg_refuses_what_is_no_picture() -> None:
    with pytest.raises(ValueError, match=r"image must be \(H, W, 3\) uint8 RGB, got \(4, 4\)"):
        encode_jpeg(np.zeros((4, 4), np.uint8))


@pytest.mark.parametrize(
    ("size", "shape"), [((1600, 3200), (200, 400, 3)), ((90, 330), (90, 330, 3)), ((8, 8), (8, 8, 3))]
)
def test_a_jpeg_is_decoded_no_larger_than_needed(size: tuple[int, int], shape: tuple[int, int, int]) -> None:
    rows, columns = np.indices(size)
    image = np.stack([rows % 256, columns % 256, np.full(size, 90)], axis=-1).astype(np.uint8)
    assert decode_picture(encode_jpeg(image), min_width=320).shape == shape
    assert decode_picture(encode_jpeg(image)).shape == image.shape
