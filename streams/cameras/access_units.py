"""Key frames of H.264 and H.265 that come in parts, put together again.

Parameter sets belong before the first slice of a key frame. Some cameras send them before each of its slices
(GStreamer's RTP payloader with `config-interval=-1` does), and FFmpeg's parser then takes every slice for a picture.
A decoder that is given these would paint over what each of them lacks, and spoil all pictures up to the next key frame.
"""

from __future__ import annotations

import re
from dataclasses import replace

from .clock import Arrival
from .connection import CodecSetup, Packet

Came = tuple[Packet, Arrival]
UNIT = re.compile(rb"\x00\x00\x01(?=(...))", re.S)  # of Annex B: a start code; the bytes behind may hold the next
LENGTHS_NOT_START_CODES = b"\x01"  # how the extradata of MP4 and its like begin


class WholePictures:
    """The packets of one connection, in order, with those that are one picture as one packet.

    Whether a camera does this shows at its first key frame. That one waits for the packet behind it; later ones only
    if it came in parts, so that other cameras are not a frame late.
    """

    def __init__(self, setup: CodecSetup) -> None:
        self._codec, extradata = setup.codec, setup.extradata or b""
        self._has_units = self._codec in ("h264", "hevc") and not extradata.startswith(LENGTHS_NOT_START_CODES)
        self._expects_parts = True
        self._held: Came | None = None  # a key frame that may go on
        self._parts = 0  # that it has so far

    def put(self, packet: Packet, at: Arrival) -> list[Came]:
        """The pictures that are whole now that `packet` has come, and when they came: none, one or two."""
        if not self._has_units:
            return [(packet, at)]
        goes_on = _goes_on(packet.content, self._codec)
        if self._held is not None and goes_on and _at_one_time(self._held[0], packet):
            self._held, self._parts = (_joined(self._held[0], packet), at), self._parts + 1
            return []
        if self._held is not None:
            self._expects_parts = self._parts > 1
        self._expects_parts |= goes_on  # a part without its beginning: this picture is spoiled, the next will be whole
        whole = self.rest()
        if packet.is_key and self._expects_parts and not goes_on:
            self._held, self._parts = (packet, at), 1
            return whole
        return [*whole, (packet, at)]

    def rest(self) -> list[Came]:
        """What is held back, if anything: no more packets come."""
        held, self._held = self._held, None
        return [] if held is None else [held]


def _goes_on(content: bytes, codec: str) -> bool:
    """Whether the first slice in it is not the first of its picture: both codecs say so in one bit."""
    for unit in UNIT.finditer(content):
        first, second, third = unit[1]
        if codec == "h264" and first & 0x1F in (1, 2, 5):
            return not second & 0x80  # first_mb_in_slice is 0, in the Exp-Golomb code: a 1
        if codec == "hevc" and first >> 1 & 0x3F < 32:
            return not third & 0x80  # first_slice_segment_in_pic_flag
    return False


def _at_one_time(held: Packet, packet: Packet) -> bool:
    return held.media_ns is None or packet.media_ns is None or held.media_ns == packet.media_ns


def _joined(held: Packet, packet: Packet) -> Packet:
    media_ns = packet.media_ns if held.media_ns is None else held.media_ns
    return replace(held, content=held.content + packet.content, media_ns=media_ns)
