"""Pictures from the wire: decoded only where all of their data is there.

OpenCV decodes a damaged JPEG to the end and fills what it could not read with gray or garbage; all that it says goes
to standard error. Such a picture would be judged as if the camera had seen it. libjpeg-turbo's own interface, which
simplejpeg wraps, stops at the first warning instead, gives the same pixels bit by bit and takes less time.
"""

from __future__ import annotations

import re

import numpy as np
import simplejpeg
from numpy.typing import NDArray

from .messages import OutcomeCause
from .pixels import JPEG_MAGIC, MAX_PIXELS, START_OF_SCAN, BadRecordError, picture_size
from .pixels import decode_picture as decode_leniently

MAX_SCANS = 100  # a progressive JPEG has about ten; each costs a pass over all pixels, however few bytes it has
PIXELS_PER_BYTE = 512  # at most: Huffman coding spends at least a bit on each block of 8 x 8
# Many USB cameras pad their pictures so; nothing is missing.
PADDING = re.compile(r"Corrupt JPEG data: (\d{1,2}) extraneous bytes before marker 0xd9")
MAX_PADDING_BYTES = 16


def decode_picture(content: bytes, max_pixels: int = MAX_PIXELS) -> NDArray[np.uint8]:
    """Decodes a JPEG or PNG to (H, W, 3) uint8 RGB; EXIF orientation is ignored.

    Raises `BadRecordError`: too_large above `max_pixels` (read from the header, nothing is decoded) or `MAX_SCANS`,
    undecodable for anything broken, cut off or damaged. A flipped bit that leaves a legal picture can't be told.
    """
    if not content.startswith(JPEG_MAGIC):
        return decode_leniently(content, max_pixels)  # a PNG has checksums
    _check_cost(content, max_pixels)
    try:
        return _decode_jpeg(content, strict=True)
    except ValueError as error:
        if _only_padded(str(error)):
            return _decode_jpeg(content, strict=False)
        message = f"expected a whole JPEG, got {len(content)} bytes of which libjpeg says: {error}"
        raise BadRecordError(OutcomeCause.UNDECODABLE, message) from error


def _check_cost(content: bytes, max_pixels: int) -> None:
    """Refuses what claims more than its bytes can hold, and what would take long, before anything is decoded."""
    width, height = picture_size(content)
    pixels, scans = width * height, content.count(START_OF_SCAN)
    if pixels > max_pixels:
        message = f"expected at most {max_pixels} pixels, got {width} x {height} = {pixels}"
        raise BadRecordError(OutcomeCause.TOO_LARGE, message)
    if scans > MAX_SCANS:
        raise BadRecordError(OutcomeCause.TOO_LARGE, f"expected a JPEG of at most {MAX_SCANS} scans, got {scans}")
    if pixels > PIXELS_PER_BYTE * len(content):
        message = f"expected {pixels // PIXELS_PER_BYTE} bytes or more for {width} x {height} px, got {len(content)}"
        raise BadRecordError(OutcomeCause.UNDECODABLE, message)


def _decode_jpeg(content: bytes, strict: bool) -> NDArray[np.uint8]:
    return np.asarray(simplejpeg.decode_jpeg(content, strict=strict), np.uint8)


def _only_padded(said: str) -> bool:
    padding = PADDING.match(said)
    return padding is not None and int(padding[1]) <= MAX_PADDING_BYTES
