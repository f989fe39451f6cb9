"""Cuts JPEGs out of a byte stream, whatever stands between them.

Cameras disagree about multipart/x-mixed-replace: boundaries that differ from the announced one, wrong or missing
lengths, parts without a type, no boundary before the first part. A JPEG says itself where it ends, so only the
markers of ITU-T T.81 (B.1.1) are read here, and all that stands outside of pictures is passed over.
"""

from __future__ import annotations

import re

from ..wire.pixels import JPEG_MAGIC, WITHOUT_LENGTH

START, END, SCAN = 0xD8, 0xD9, 0xDA  # SOI, EOI, SOS
IN_SCAN = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")  # the next marker that ends entropy-coded data
MAX_PICTURE_BYTES = 16 * 1024 * 1024
MAX_GAP_BYTES = 1024 * 1024  # without a picture


class NoPictureError(ValueError):
    """The stream holds no JPEG, or one that does not end."""


class JpegSplitter:
    """The JPEGs of one byte stream; buffers at most one picture."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._at = 0  # of the next marker, or in the entropy-coded data
        self._in_picture = self._in_scan = False
        self._gap = 0

    def feed(self, chunk: bytes) -> list[bytes]:
        """The pictures that end with this chunk. A damaged one ends where the damage is.

        Raises NoPictureError after `MAX_GAP_BYTES` without a picture, and for one of more than `MAX_PICTURE_BYTES`.
        """
        self._bytes += chunk
        found = []
        while self._in_picture or self._find_start():
            end = self._find_end()
            if end is None:
                break
            found.append(bytes(self._bytes[:end]))
            del self._bytes[:end]
            self._in_picture = False
        if len(self._bytes) > MAX_PICTURE_BYTES:
            raise NoPictureError(f"a picture of more than {MAX_PICTURE_BYTES >> 20} MiB, or one without an end")
        return found

    def _find_start(self) -> bool:
        start = self._bytes.find(JPEG_MAGIC)
        passed = start if start >= 0 else max(0, len(self._bytes) - len(JPEG_MAGIC) + 1)
        del self._bytes[:passed]
        self._gap = 0 if start >= 0 else self._gap + passed
        if self._gap > MAX_GAP_BYTES:
            raise NoPictureError(f"{MAX_GAP_BYTES >> 20} MiB without a JPEG")
        self._in_picture, self._in_scan, self._at = start >= 0, False, 2
        return self._in_picture

    def _find_end(self) -> int | None:
        """The offset behind the picture, None while more bytes are needed."""
        data = self._bytes
        while True:
            if self._in_scan:
                marker = IN_SCAN.search(data, self._at)
                if marker is None:
                    self._at = max(self._at, len(data) - 1)
                    return None
                self._at, self._in_scan = marker.start(), False
            if self._at + 4 > len(data) and not data.startswith(bytes((0xFF, END)), self._at):
                return None
            code = data[self._at + 1]
            if data[self._at] != 0xFF or code in (0x00, START):
                return self._at  # damaged: a new picture, or anything at all
            if code == END:
                return self._at + 2
            if code == 0xFF:
                self._at += 1  # fill byte
            elif code in WITHOUT_LENGTH:
                self._at += 2
            else:
                self._at += 2 + max(2, int.from_bytes(data[self._at + 2 : self._at + 4]))
                self._in_scan = code == SCAN
