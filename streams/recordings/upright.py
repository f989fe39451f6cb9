"""Pictures as a person sees them: the colors and the orientation that a video frame or a stored picture states.

Recordings and live cameras share `frame_pixels`, so that a stream has the same pixels whether it is calibrated on,
replayed or attached. YUV becomes RGB by the matrix and the range that the frame states. One that states no matrix is
taken for BT.709 from 720 lines on and for BT.601 below, as players take it; one that states no range for limited range.
"""

from __future__ import annotations

import struct
from typing import NamedTuple, cast

import av
import numpy as np
from av.buffer import Buffer
from av.video.reformatter import Colorspace
from numpy.typing import NDArray

from ..wire.pixels import JPEG_EXIF, JPEG_MAGIC, decode_picture, encode_jpeg, jpeg_exif

Image = NDArray[np.uint8]

UNSPECIFIED = 2  # the color matrix of a frame that states none, by its number in H.273
HD_HEIGHT = 720
TURNED_QUALITY = 95  # of a JPEG that is decoded and encoded once more, only to turn it
ORIENTATION_TAG = 0x0112


class Turn(NamedTuple):
    """How to make a picture upright: swap rows and columns, then reverse either."""

    swap: bool = False
    reverse_rows: bool = False
    reverse_columns: bool = False


AS_STORED = Turn()
EXIF_TURNS = {
    2: Turn(reverse_columns=True),
    3: Turn(reverse_rows=True, reverse_columns=True),
    4: Turn(reverse_rows=True),
    5: Turn(swap=True),
    6: Turn(swap=True, reverse_columns=True),
    7: Turn(swap=True, reverse_rows=True, reverse_columns=True),
    8: Turn(swap=True, reverse_rows=True),
}
"""By the values of EXIF's tag Orientation; 1, and any other, is upright as stored."""


def frame_pixels(frame: av.VideoFrame) -> Image:
    """(H, W, 3) uint8 RGB of a decoded video frame, upright."""
    matrix = None
    if int(frame.colorspace) == UNSPECIFIED and not frame.format.is_rgb:
        matrix = Colorspace.ITU709 if frame.height >= HD_HEIGHT else Colorspace.ITU601
    image = np.asarray(frame.reformat(format="rgb24", src_colorspace=matrix).to_ndarray(), np.uint8)
    return turned(image, frame_turn(frame))


def frame_size(frame: av.VideoFrame) -> tuple[int, int]:
    """(width, height) of `frame_pixels`, px."""
    return (frame.height, frame.width) if frame_turn(frame).swap else (frame.width, frame.height)


def frame_turn(frame: av.VideoFrame) -> Turn:
    """The turn that a frame's display matrix asks for, in whole quarters; a matrix in between is ignored."""
    matrix = frame.side_data.get("DISPLAYMATRIX")
    if matrix is None:
        return AS_STORED
    a, b, _, c, d, *_ = struct.unpack("=9i", bytes(cast(Buffer, matrix))[:36])  # FFmpeg: x' = a x + c y, y' = b x + d y
    if abs(a) > 2 * abs(b) and abs(d) > 2 * abs(c):
        return Turn(False, d < 0, a < 0)
    if abs(b) > 2 * abs(a) and abs(c) > 2 * abs(d):
        return Turn(True, b < 0, c < 0)
    return AS_STORED


def turned(image: Image, turn: Turn) -> Image:
    """`image` (H, W, 3) made upright by `turn`."""
    if turn == AS_STORED:
        return image
    image = image.transpose(1, 0, 2) if turn.swap else image
    return np.ascontiguousarray(image[:: -1 if turn.reverse_rows else 1, :: -1 if turn.reverse_columns else 1])


def whole_picture(content: bytes) -> bytes:
    """`content`, a JPEG or PNG that was checked by decoding it; one that EXIF turns is encoded anew as an upright JPEG.

    Raises `BadRecordError`.
    """
    image, turn = decode_picture(content), exif_turn(content)
    return content if turn == AS_STORED else encode_jpeg(turned(image, turn), TURNED_QUALITY)


def exif_turn(content: bytes) -> Turn:
    """The turn that the EXIF of a JPEG asks for, `AS_STORED` where it has none that can be read."""
    exif = next(jpeg_exif(content), None) if content.startswith(JPEG_MAGIC) else None
    if exif is None:
        return AS_STORED
    start, end = exif
    return EXIF_TURNS.get(_orientation(content[start + 4 + len(JPEG_EXIF) : end]), AS_STORED)


def _orientation(tiff: bytes) -> int:
    """The tag Orientation of the first directory of a TIFF header, 1 where there is none."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(tiff[:4])
    try:
        if order is not None:
            (at,) = struct.unpack_from(order + "I", tiff, 4)
            (entries,) = struct.unpack_from(order + "H", tiff, at)
            for entry in range(entries):
                tag, kind, count, value = struct.unpack_from(order + "HHIH", tiff, at + 2 + 12 * entry)
                if (tag, kind, count) == (ORIENTATION_TAG, 3, 1):
                    return int(value)
    except struct.error:  # cut off
        pass
    return 1
