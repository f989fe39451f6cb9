"""Encoded pictures: JPEG and PNG bytes to (H, W, 3) uint8 RGB and back; damaged or huge pictures are refused.

Anyone who may write to a topic may send a picture, so its size is read from the header and checked before anything is
decoded: a PNG of a few kilobytes can claim gigabytes of pixels. JPEGs are decoded by libjpeg-turbo's own interface,
which stops at the first warning. OpenCV returns the same pixels, but fills what it can't read with gray or garbage,
and such a picture would be judged as if the camera had seen it.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from typing import Literal

import cv2
import numpy as np
import simplejpeg
from numpy.typing import NDArray

from .messages import OutcomeCause

Encoding = Literal["image/jpeg", "image/png"]

MAX_PIXELS = 40_000_000  # 120 MB as RGB; an 8K picture has 33 million
MAX_SCANS = 100  # a progressive JPEG has about ten; each costs a pass over all pixels, however few bytes it has
PIXELS_PER_BYTE = 512  # at most: Huffman coding spends at least a bit on each block of 8 x 8
JPEG_MAGIC = b"\xff\xd8\xff"
PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
JPEG_EXIF, PNG_EXIF = b"Exif\0\0", b"eXIf"
APP1 = 0xE1
# Inside the entropy-coded data every FF is followed by 00 or a restart marker, so this is never found by chance.
START_OF_SCAN = b"\xff\xda"
# Start-of-frame markers: 0xC0 to 0xCF except DHT (C4), JPG (C8) and DAC (CC), which share the range.
START_OF_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
WITHOUT_LENGTH = frozenset(range(0xD0, 0xDA)) | {0x01}  # markers: RST0 to RST7, SOI, EOI and TEM
# Many USB cameras pad their pictures so; nothing is missing.
PADDING = re.compile(r"Corrupt JPEG data: (\d{1,2}) extraneous bytes before marker 0xd9")
MAX_PADDING_BYTES = 16


class BadRecordError(ValueError):
    """A record that can't become a frame; `cause` goes into its report."""

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

    Raises `BadRecordError` (undecodable) where the header is missing, truncated or contains a zero.
    """
    size = _png_size(content) if picture_encoding(content) == "image/png" else _jpeg_size(content)
    if size is None or 0 in size:
        raise BadRecordError(OutcomeCause.UNDECODABLE, f"expected a size in the picture's header, got {size}")
    return size


def without_exif(content: bytes) -> bytes:
    """A JPEG or PNG without its EXIF blocks, by whose orientation browsers and viewers turn a picture.

    Boxes are in the pixels as they are stored, so nobody may turn them. Everything else stays, byte by byte.
    """
    is_png = content.startswith(PNG_MAGIC)
    if (PNG_EXIF if is_png else JPEG_EXIF) not in content:
        return content
    kept, copied = bytearray(), 0
    for start, end in _png_exif(content) if is_png else jpeg_exif(content):
        kept += content[copied:start]
        copied = end
    return bytes(kept) + content[copied:]


def jpeg_exif(content: bytes) -> Iterator[tuple[int, int]]:
    """Begin and end of each segment of a JPEG with EXIF: marker, length, `JPEG_EXIF` and a TIFF header."""
    for marker, start, end in _jpeg_segments(content):
        if marker == APP1 and content.startswith(JPEG_EXIF, start + 4):
            yield start, end


def decode_picture(content: bytes, max_pixels: int = MAX_PIXELS, min_width: int = 0) -> NDArray[np.uint8]:
    """Decodes a JPEG or PNG to (H, W, 3) uint8 RGB.

    With `min_width` px a JPEG is decoded at the smallest eighths of its size that are as wide, in as little memory.
    EXIF orientation is ignored, so that boxes, `picture_size` and what the camera sent agree. Raises `BadRecordError`:
    too_large above `max_pixels` or `MAX_SCANS`, undecodable for anything truncated or damaged. A flipped bit that
    leaves a legal JPEG can't be detected.
    """
    width, height = picture_size(content)
    pixels = width * height
    if pixels > max_pixels:
        message = f"expected at most {max_pixels} pixels, got {width} x {height} = {pixels}"
        raise BadRecordError(OutcomeCause.TOO_LARGE, message)
    return _decode_jpeg(content, pixels, min_width) if content.startswith(JPEG_MAGIC) else _decode_png(content)


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
    for marker, start, _ in _jpeg_segments(content):
        if marker in START_OF_FRAME and start + 9 <= len(content):
            height, width = struct.unpack(">HH", content[start + 5 : start + 9])
            return width, height
    return None


def _jpeg_segments(content: bytes) -> Iterator[tuple[int, int, int]]:
    """Marker, begin and end of the segments (ITU-T T.81, annex B) up to the first scan."""
    at = 2
    while at + 4 <= len(content) and content[at] == 0xFF and content[at + 1] != START_OF_SCAN[1]:
        marker = content[at + 1]
        if marker == 0xFF:  # a fill byte
            at += 1
        elif marker in WITHOUT_LENGTH:
            at += 2
        else:
            end = at + 2 + int.from_bytes(content[at + 2 : at + 4], "big")
            yield marker, at, end
            at = end


def _png_exif(content: bytes) -> Iterator[tuple[int, int]]:
    """Begin and end of each chunk with EXIF: length, type, content and checksum."""
    at = len(PNG_MAGIC)
    while at + 12 <= len(content):
        end = at + 12 + int.from_bytes(content[at : at + 4], "big")
        if content[at + 4 : at + 8] == PNG_EXIF:
            yield at, end
        at = end


def _decode_jpeg(content: bytes, pixels: int, min_width: int) -> NDArray[np.uint8]:
    scans = content.count(START_OF_SCAN)
    if scans > MAX_SCANS:
        raise BadRecordError(OutcomeCause.TOO_LARGE, f"expected a JPEG of at most {MAX_SCANS} scans, got {scans}")
    if pixels > PIXELS_PER_BYTE * len(content):
        message = f"expected {pixels // PIXELS_PER_BYTE} bytes or more for {pixels} pixels, got {len(content)}"
        raise BadRecordError(OutcomeCause.UNDECODABLE, message)
    try:
        return np.asarray(simplejpeg.decode_jpeg(content, min_width=min_width), np.uint8)
    except ValueError as error:
        padding = PADDING.match(str(error))
        if padding is not None and int(padding[1]) <= MAX_PADDING_BYTES:
            return np.asarray(simplejpeg.decode_jpeg(content, min_width=min_width, strict=False), np.uint8)
        message = f"expected a whole JPEG, got {len(content)} bytes that libjpeg can't decode: {error}"
        raise BadRecordError(OutcomeCause.UNDECODABLE, message) from error


def _decode_png(content: bytes) -> NDArray[np.uint8]:
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        image = cv2.imdecode(np.frombuffer(content, np.uint8), flags)
    except cv2.error as error:
        message = f"expected a whole PNG, got {len(content)} bytes that OpenCV can't decode: {error}"
        raise BadRecordError(OutcomeCause.UNDECODABLE, message) from error
    if image is None:  # a checksum does not match
        message = f"expected a whole PNG, got {len(content)} damaged bytes"
        raise BadRecordError(OutcomeCause.UNDECODABLE, message)
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB, dst=image), np.uint8)
