"""Raw images in the encodings that drivers publish, each against OpenCV's conversion of the same picture."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from gradwatch.streams.recordings.bags.raw_images import LAYOUTS, RawImageError, raw_pixels

H, W = 24, 32
IMAGE = np.zeros((H, W, 3), np.uint8)
IMAGE[:12, :16], IMAGE[:12, 16:], IMAGE[12:, :16], IMAGE[12:, 16:] = (200, 30, 20), (20, 180, 40), (30, 40, 190), 150
GRAY = cv2.cvtColor(IMAGE, cv2.COLOR_RGB2GRAY)


def bayer(pattern: str) -> np.ndarray:
    """What a sensor sees through filters in this pattern, by rows: `rggb` begins with red."""
    mosaic = np.empty((H, W), np.uint8)
    for i, color in enumerate(pattern):
        mosaic[i // 2 :: 2, i % 2 :: 2] = IMAGE[i // 2 :: 2, i % 2 :: 2, "rgb".index(color)]
    return mosaic


def yuv() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    y, u, v = cv2.split(cv2.cvtColor(IMAGE, cv2.COLOR_RGB2YUV))
    y = (16 + y.astype(float) * 219 / 255).round().astype(np.uint8)
    u = (128 + (0.564 * 2 * (IMAGE[..., 2].astype(float) - GRAY)) * 112 / 255).clip(16, 240).round().astype(np.uint8)
    v = (128 + (0.713 * 2 * (IMAGE[..., 0].astype(float) - GRAY)) * 112 / 255).clip(16, 240).round().astype(np.uint8)
    return y, u, v


def in_pairs(first: str) -> np.ndarray:
    y, u, v = yuv()
    packed = np.empty((H, W, 2), np.uint8)
    at = 1 if first == "u" else 0
    packed[..., at], packed[:, 0::2, 1 - at], packed[:, 1::2, 1 - at] = y, u[:, 0::2], v[:, 0::2]
    return packed


def semiplanar(first: str) -> np.ndarray:
    y, u, v = yuv()
    chroma = np.stack([u, v] if first == "u" else [v, u], axis=-1)[::2, ::2].reshape(H // 2, W)
    return np.concatenate([y, chroma])


CONTENTS = {
    "rgb8": IMAGE,
    "bgr8": IMAGE[..., ::-1],
    "8UC3": IMAGE[..., ::-1],
    "rgba8": np.dstack([IMAGE, np.full((H, W), 9, np.uint8)]),
    "bgra8": np.dstack([IMAGE[..., ::-1], np.full((H, W), 9, np.uint8)]),
    "8UC4": np.dstack([IMAGE[..., ::-1], np.full((H, W), 9, np.uint8)]),
    "mono8": GRAY,
    "8UC1": GRAY,
    "mono16": (GRAY.astype("<u2") << 8).view(np.uint8),
    "rgb16": (IMAGE.astype("<u2") << 8).view(np.uint8),
    "bgr16": (IMAGE[..., ::-1].astype("<u2") << 8).view(np.uint8),
    "bayer_rggb8": bayer("rggb"),
    "bayer_bggr8": bayer("bggr"),
    "bayer_gbrg8": bayer("gbrg"),
    "bayer_grbg8": bayer("grbg"),
    "yuv422": in_pairs("u"),
    "uyvy": in_pairs("u"),
    "yuv422_yuy2": in_pairs("y"),
    "yuyv": in_pairs("y"),
    "nv12": semiplanar("u"),
    "nv21": semiplanar("v"),
}


@pytest.mark.parametrize("padding", [0, 5])
@pytest.mark.parametrize("encoding", LAYOUTS)
def test_every_encoding_gives_the_colors_of_the_picture(encoding: str, padding: int) -> None:
    content = np.ascontiguousarray(CONTENTS[encoding])
    rows = np.pad(content.reshape(content.shape[0], -1), ((0, 0), (0, padding)), constant_values=255)
    pixels = raw_pixels(encoding, W, H, rows.shape[1], rows.reshape(-1))
    assert pixels.shape == (H, W, 3)
    is_gray = encoding.startswith("mono") or encoding == "8UC1"
    expected = np.repeat(GRAY[..., None], 3, axis=2) if is_gray else IMAGE
    for rows_, columns in ((4, 4), (4, 24), (20, 4), (20, 24)):
        assert np.abs(pixels[rows_, columns].astype(int) - expected[rows_, columns]).max() <= 6


def test_big_endian_rows_are_read() -> None:
    content = (GRAY.astype("u2") << 8).astype(">u2").view(np.uint8).reshape(-1)
    assert np.array_equal(raw_pixels("mono16", W, H, 2 * W, content, big_endian=True)[..., 0], GRAY)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("16UC1", 4, 4, 8), "expected encoding rgb8, .*, got '16UC1'"),
        (("rgb8", 4, 4, 8), "expected 4 x 4 px of rgb8 in rows of 8 bytes, got 64 bytes"),
        (("rgb8", 4, 40, 12), "expected 4 x 40 px"),
        (("rgb8", 0, 4, 12), "expected 0 x 4 px"),
        (("nv12", 4, 16, 4), "got 64 bytes"),
        (("nv12", 3, 3, 4), "expected nv12 of even size, got 3 x 3 px"),
    ],
)
def test_what_is_no_image_is_refused(arguments: tuple, message: str) -> None:
    with pytest.raises(RawImageError, match=message):
        raw_pixels(*arguments, np.zeros(64, np.uint8))
