"""Pictures <-> pixels: JPEG and PNG bytes become (H, W, 3) uint8 RGB and back, within a bound on the pixels.

Pictures come from anyone who may write to a topic, so their size is read from their header and compared with the
bound before anything is decoded: a PNG of a few kilobytes can claim gigabytes of pixels.
"""

from __future__ import annotations

import struct
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from .messages import OutcomeCause

Encoding = Literal["image/jpeg", "image/png"]

MAX_PIXELS = 40_000_000  # 120 MB as RGB; an 8K picture has 33 million
JPEG_MAGIC = b"\xff\xd8\xff"
PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
# Inside the entropy-coded data every FF is followed by 00 or a restart marker, so these two are never found by chance.
START_OF_SCAN, END_OF_JPEG = b"\xff\xda", b"\xff\xd9"
# Start-of-frame markers: 0xC0 to 0xCF except DHT (C4), JPG (C8) and DAC (CC), which share the range.
START_OF_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
WITHOUT_LENGTH = frozenset(range(0xD0, 0xDA)) | {0x01}


class BadRecordError(ValueError):
    """A record that can't become a frame; `cause` is what its report will say."""

    def __init__(self, cause: OutcomeCause, message: str) -> None:
        super().__init__(message)
        self.cause = cause


def picture_encoding(content: bytes) -> Encoding:
    """Tells JPEG from PNG by the first bytes; raises `BadRecordError` (undecodable) for anything else."""
    if content.startswith(JPEG_MAGIC):
        return "image/jpeg"
    if content.startswith(PNG_MAGIC):
        return "image/png"
    raise BadRecordError(
        OutcomeCause.UNDECODABLE,
        f"expected the bytes of a JPEG or PNG, got {len(content)} bytes that begin with {content[:8]!r}",
    )


def picture_size(content: bytes) -> tuple[int, int]:
    """Reads (width, height) in px from the picture's header; decodes nothing.

    Raises `BadRecordError` (undecodable) where the header is missing, cut off or says zero.
    """
    size = _png_size(content) if picture_encoding(content) == "image/png" else _jpeg_size(content)
    if size is None or 0 in size:
        raise BadRecordError(OutcomeCause.UNDECODABLE, f"expected a size in the picture's header, got {size}")
    return size


def decode_picture(content: bytes, max_pixels: int = MAX_PIXELS) -> NDArray[np.uint8]:
    """Decodes a JPEG or PNG to (H, W, 3) uint8 RGB.

    EXIF orientation is ignored, so that boxes, `picture_size` and what the camera sent agree. Raises `BadRecordError`:
    too_large above `max_pixels`, undecodable for anything broken. A JPEG that was cut off is refused too:
    decoders fill its lost part with gray, which would be judged as if the camera had seen it.
    """
    width, height = picture_size(content)
    if width * height > max_pixels:
        raise BadRecordError(
            OutcomeCause.TOO_LARGE,
            f"expected at most {max_pixels} pixels, got {width} x {height} = {width * height}",
        )
    if content.startswith(JPEG_MAGIC) and content.rfind(END_OF_JPEG) <= content.rfind(START_OF_SCAN):
        raise BadRecordError(
            OutcomeCause.UNDECODABLE, f"expected an end-of-image marker, got {len(content)} bytes without"
        )
    try:
        flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
        image = cv2.imdecode(np.frombuffer(content, np.uint8), flags)
    except cv2.error as error:
        raise BadRecordError(
            OutcomeCause.UNDECODABLE, f"OpenCV could not decode {len(content)} bytes: {error}"
        ) from error
    if image is None:
        raise BadRecordError(OutcomeCause.UNDECODABLE, f"expected a {width} x {height} picture, got broken bytes")
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB, dst=image), np.uint8)


def encode_jpeg(image: NDArray[np.uint8], quality: int = 90) -> bytes:
    """Encodes (H, W, 3) uint8 RGB as a JPEG of `quality` 1 to 100."""
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ValueError(f"image must be (H, W, 3) uint8 RGB, got {image.shape} {image.dtype}")
    done, content = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise ValueError(f"OpenCV could not encode {image.shape} as JPEG of quality {quality}")
    return bytes(content)


def _png_size(content: bytes) -> tuple[int, int] | None:
    if content[12:16] != b"IHDR" or len(content) < 24:
        return None
    width, height = struct.unpack(">II", content[16:24])
    return width, height


def _jpeg_size(content: bytes) -> tuple[int, int] | None:
    """Walks the segments (ITU-T T.81, annex B) up to the start of frame."""
    at = 2
    while at + 9 <= len(content) and content[at] == 0xFF:
        marker = content[at + 1]
        if marker in START_OF_FRAME:
            height, width = struct.unpack(">HH", content[at + 5 : at + 9])
            return width, height
        if marker == 0xFF:  # a fill byte
            at += 1
        elif marker in WITHOUT_LENGTH:
            at += 2
        else:
            at += 2 + int.from_bytes(content[at + 2 : at + 4], "big")
    return None
