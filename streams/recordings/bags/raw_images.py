"""Raw images of ROS 2 and Foxglove messages to RGB, by the names that ROS gives their encodings."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from ...wire.pixels import MAX_PIXELS


class Layout(NamedTuple):
    """How an encoding lies in a row: channels of a pixel, bytes of a channel, and OpenCV's conversion to RGB.

    None leaves RGB, and makes one channel three equal ones.
    """

    channels: int
    bytes: int = 1
    to_rgb: int | None = None


_BAYER = {  # OpenCV names a pattern by its second row, ROS by its first
    "bayer_rggb8": cv2.COLOR_BayerBG2RGB,
    "bayer_bggr8": cv2.COLOR_BayerRG2RGB,
    "bayer_gbrg8": cv2.COLOR_BayerGR2RGB,
    "bayer_grbg8": cv2.COLOR_BayerGB2RGB,
}
LAYOUTS = {
    "rgb8": Layout(3),
    "bgr8": Layout(3, to_rgb=cv2.COLOR_BGR2RGB),
    "rgba8": Layout(4, to_rgb=cv2.COLOR_RGBA2RGB),
    "bgra8": Layout(4, to_rgb=cv2.COLOR_BGRA2RGB),
    "mono8": Layout(1),
    "mono16": Layout(1, 2),
    "rgb16": Layout(3, 2),
    "bgr16": Layout(3, 2, cv2.COLOR_BGR2RGB),
    "8UC1": Layout(1),
    "8UC3": Layout(3, to_rgb=cv2.COLOR_BGR2RGB),  # OpenCV's type, so in OpenCV's order
    "8UC4": Layout(4, to_rgb=cv2.COLOR_BGRA2RGB),
    "yuv422": Layout(2, to_rgb=cv2.COLOR_YUV2RGB_UYVY),
    "uyvy": Layout(2, to_rgb=cv2.COLOR_YUV2RGB_UYVY),
    "yuv422_yuy2": Layout(2, to_rgb=cv2.COLOR_YUV2RGB_YUYV),
    "yuyv": Layout(2, to_rgb=cv2.COLOR_YUV2RGB_YUYV),
    "nv12": Layout(1, to_rgb=cv2.COLOR_YUV2RGB_NV12),
    "nv21": Layout(1, to_rgb=cv2.COLOR_YUV2RGB_NV21),
} | {name: Layout(1, to_rgb=code) for name, code in _BAYER.items()}
HALF_MORE_ROWS = ("nv12", "nv21")  # the chroma follows in half as many rows


class RawImageError(ValueError):
    """Not an image in one of `LAYOUTS`."""


def raw_pixels(
    encoding: str, width: int, height: int, step: int, content: NDArray[np.uint8], big_endian: bool = False
) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 RGB of a raw image whose rows of `step` bytes may end in padding. Raises RawImageError."""
    layout = LAYOUTS.get(encoding)
    if layout is None:
        raise RawImageError(f"expected encoding {', '.join(LAYOUTS)}, got {encoding!r}; play a topic of color pictures")
    row_bytes = width * layout.channels * layout.bytes
    rows = height + height // 2 if encoding in HALF_MORE_ROWS else height
    if not (width > 0 and height > 0 and step >= row_bytes and len(content) >= step * rows):
        raise RawImageError(
            f"expected {width} x {height} px of {encoding} in rows of {step} bytes, got {len(content)} bytes"
        )
    if width * height > MAX_PIXELS:
        raise RawImageError(f"expected at most {MAX_PIXELS} pixels, got {width} x {height}")
    packed = np.ascontiguousarray(content[: step * rows].reshape(rows, step)[:, :row_bytes])
    pixels = packed.view(f"{'>' if big_endian else '<'}u2") >> 8 if layout.bytes == 2 else packed
    shaped = pixels.astype(np.uint8).reshape(rows, width, layout.channels)
    if layout.to_rgb is None:
        return np.ascontiguousarray(np.broadcast_to(shaped, (height, width, 3)))
    try:
        return np.asarray(cv2.cvtColor(shaped, layout.to_rgb), np.uint8)
    except cv2.error as error:
        raise RawImageError(f"expected {encoding} of even size, got {width} x {height} px") from error
