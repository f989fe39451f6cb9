"""Reassembles key frames of H.264 and H.265 that FFmpeg's parser has split into several packets.

Parameter sets belong before the first slice of a key frame. Some cameras send them before each of its slices
(GStreamer's RTP payloader with `config-interval=-1` does), and FFmpeg's parser then takes every slice for a picture.
A decoder would conceal the missing parts of each, and spoil all pictures up to the next key frame.
"""

from __future__ import annotations

import re
from dataclasses import replace

from .clock import Instant
from .connection import CodecSetup, Packet

TimedPacket = tuple[Packet, Instant]
"""A packet and its arrival."""
UNIT = re.compile(rb"\x00\x00\x01(?=(...))", re.S)  # Annex B: a start code and its 3 bytes, which may overlap the next
LENGTHS_NOT_START_CODES = b"\x01"  # the first byte of the extradata of MP4 and its like


class AccessUnitAssembler:
    """Joins the packets of one connection that belong to one picture; keeps their order.

    A camera's first key frame waits for the packet after it. Later ones wait only if that one was in parts, so that
    other cameras are not delayed by a frame.
    """

    def __init__(self, setup: CodecSetup) -> None:
        self._codec, extradata = setup.codec, setup.extradata or b""
        self._has_units = self._codec in ("h264", "hevc") and not extradata.startswith(LENGTHS_NOT_START_CODES)
        self._expects_parts = True
        self._held: TimedPacket | None = None  # a key frame that may continue
        self._parts = 0  # of the held key frame so far

    def put(self, packet: Packet, at: Instant) -> list[TimedPacket]:
        """Adds a packet that arrived at `at`; returns the pictures that are whole now: none, one or two."""
        if not self._has_units:
            return [(packet, at)]
        continues = _continues_picture(packet.content, self._codec)
        if self._held is not None and continues and _have_same_time(self._held[0], packet):
            self._held, self._parts = (_joined(self._held[0], packet), at), self._parts + 1
            return []
        if self._held is not None:
            self._expects_parts = self._parts > 1
        self._expects_parts |= continues  # a part whose beginning was not held: only later pictures will be whole
        whole = self.flush()
        if packet.is_key and self._expects_parts and not continues:
            self._held, self._parts = (packet, at), 1
            return whole
        return [*whole, (packet, at)]

    def flush(self) -> list[TimedPacket]:
        """The picture that is held back, if any: no more packets follow."""
        held, self._held = self._held, None
        return [] if held is None else [held]


def _continues_picture(content: bytes, codec: str) -> bool:
    """Whether the first slice in `content` is not the first of its picture, which one bit tells in both codecs."""
    for unit in UNIT.finditer(content):
        first, second, third = unit[1]
        if codec == "h264" and first & 0x1F in (1, 2, 5):
            return not second & 0x80  # first_mb_in_slice is 0, in the Exp-Golomb code: a 1
        if codec == "hevc" and first >> 1 & 0x3F < 32:
            return not third & 0x80  # first_slice_segment_in_pic_flag
    return False


def _have_same_time(held: Packet, packet: Packet) -> bool:
    return held.media_ns is None or packet.media_ns is None or held.media_ns == packet.media_ns


def _joined(held: Packet, packet: Packet) -> Packet:
    media_ns = packet.media_ns if held.media_ns is None else held.media_ns
    return replace(held, content=held.content + packet.content, media_ns=media_ns)
