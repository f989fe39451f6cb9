"""Turns a camera's packets into JPEGs: an upright JPEG passes unchanged, others are decoded and encoded once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import av
import simplejpeg
from av.video.codeccontext import VideoCodecContext

from ..recordings.upright import AS_STORED, exif_turn, frame_pixels, frame_size, whole_picture
from ..wire.pixels import JPEG_MAGIC, MAX_PIXELS, BadRecordError, picture_size
from .connection import CodecSetup, Packet
from .picture_health import Luma, jpeg_thumbnail, thumbnail

JPEG_QUALITY = 90


class UndecodableError(ValueError):
    """A packet that can't be decoded to a picture."""


@dataclass(frozen=True, slots=True)
class CameraPicture:
    """A camera's picture: the JPEG that it sent, or a decoded frame; `size` is (width, height), px."""

    size: tuple[int, int]
    media_ns: int | None
    jpeg: bytes | None = None
    frame: av.VideoFrame | None = None

    def encode(self, with_thumbnail: bool) -> tuple[bytes, Luma | None]:
        """The JPEG to publish and, if asked for, its thumbnail; None for a damaged picture."""
        if self.jpeg is not None:
            return self.jpeg, jpeg_thumbnail(self.jpeg) if with_thumbnail else None
        assert self.frame is not None
        image = frame_pixels(self.frame)
        content = simplejpeg.encode_jpeg(image, JPEG_QUALITY, "RGB", "420")
        return content, thumbnail(image) if with_thumbnail else None


class Decoder:
    """Decodes the packets of one connection, in their order and on one thread."""

    def __init__(self, setup: CodecSetup) -> None:
        self.setup = setup
        self._context = None if setup.is_jpeg else _context(setup)
        self._has_key = setup.is_intra

    def decode(self, packet: Packet) -> list[CameraPicture]:
        """The pictures that are complete with this packet: none, one or several. Raises `UndecodableError`."""
        if self._context is None:
            return [_jpeg_picture(packet)]
        self._has_key = self._has_key or packet.is_key
        if not self._has_key:
            raise UndecodableError("no key frame yet")
        sent = av.Packet(packet.content)
        sent.pts = packet.media_ns
        return self._decode(sent)

    def flush(self) -> list[CameraPicture]:
        """The pictures that the decoder still holds."""
        try:
            return [] if self._context is None else self._decode(None)
        except UndecodableError:
            return []

    def _decode(self, packet: av.Packet[Any] | None) -> list[CameraPicture]:
        context = cast(VideoCodecContext, self._context)
        try:
            frames = context.decode(packet)
        except av.error.FFmpegError as error:
            raise UndecodableError(type(error).__name__) from None
        return [CameraPicture(frame_size(frame), frame.pts, frame=frame) for frame in frames]


def _context(setup: CodecSetup) -> VideoCodecContext:
    context = cast(VideoCodecContext, av.CodecContext.create(setup.codec, "r"))
    if setup.extradata is not None:
        context.extradata = setup.extradata
    context.width, context.height = setup.width, setup.height
    if setup.pixel_format is not None:
        context.pix_fmt = setup.pixel_format
    context.thread_count = 1  # each further thread would delay the pictures by a frame
    context.options = {"flags": "low_delay", "max_pixels": str(MAX_PIXELS)}
    return context


def _jpeg_picture(packet: Packet) -> CameraPicture:
    if not packet.content.startswith(JPEG_MAGIC):
        raise UndecodableError("not a JPEG")
    try:
        upright = packet.content if exif_turn(packet.content) == AS_STORED else whole_picture(packet.content)
        return CameraPicture(picture_size(upright), packet.media_ns, jpeg=upright)
    except BadRecordError as error:
        raise UndecodableError(str(error)) from None
