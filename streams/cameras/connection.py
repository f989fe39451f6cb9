"""One connection to a camera: opens it and yields its packets. FFmpeg reads all but MJPEG over HTTP."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
from av.container import InputContainer

from .address import CameraAddress
from .camera_error import OPEN_TIMEOUT_S, READ_TIMEOUT_S, CameraError, camera_error
from .hosts import checked_redirects
from .http_stream import HttpClient, HttpStream
from .jpeg_splitter import JpegSplitter, NoPictureError

INTRA_CODECS = frozenset(("mjpeg", "rawvideo"))  # each packet is a picture
WITHOUT_TIMES = frozenset(("mpjpeg", "mjpeg", "h264", "hevc"))  # formats for which FFmpeg invents times
SINGLE_PICTURES = ("image2", "_pipe")  # FFmpeg's formats of single pictures
SINGLE_PICTURE = "{shown} sends a single picture; expected a stream: use the MJPEG address"


@dataclass(frozen=True, slots=True)
class CodecSetup:
    """Parameters for the decoder of a connection; holds no FFmpeg object, so any thread may use it."""

    codec: str
    extradata: bytes | None
    width: int
    height: int
    pixel_format: str | None
    has_media_clock: bool

    @property
    def is_jpeg(self) -> bool:
        """Whether the packets are JPEGs, to be published unchanged."""
        return self.codec == "mjpeg"

    @property
    def is_intra(self) -> bool:
        """Whether each packet can be decoded on its own."""
        return self.codec in INTRA_CODECS


@dataclass(frozen=True, slots=True)
class Packet:
    """An encoded picture. `media_ns` on the camera's clock, None where it has none."""

    content: bytes
    media_ns: int | None
    is_key: bool


JPEG_PARTS = CodecSetup("mjpeg", None, 0, 0, None, has_media_clock=False)
Packets = Iterator[Packet | None]


@dataclass(frozen=True, slots=True)
class Connection:
    """An open connection. `packets` end with it, or raise CameraError; None stands for data without a picture."""

    setup: CodecSetup
    packets: Packets


@contextmanager
def connect(address: CameraAddress) -> Generator[Connection]:
    """Opens a connection for a `with` block. Raises `CameraError`, when opening and while it is read."""
    if address.is_http:
        client = HttpClient(address)
        with closing(client.open(address.url)) as stream:
            if stream.content_type.startswith("image/"):
                raise CameraError(SINGLE_PICTURE.format(shown=address.shown))
            if stream.is_multipart():
                yield Connection(JPEG_PARTS, _parts(stream, address.shown))
                return
            with closing(_open_http(client, stream, address)) as container:
                yield _connection(container, address, client)
        return
    with checked_redirects(address):
        opened = _open(address)
    with closing(opened) as container:
        yield _connection(container, address)


def _parts(stream: HttpStream, shown: str) -> Packets:
    splitter = JpegSplitter()
    while chunk := stream.read():
        try:
            pictures = splitter.feed(chunk)
        except NoPictureError as error:
            raise CameraError(f"{shown} sends {error}; expected MJPEG") from None
        for picture in pictures:
            stream.client.used()
            yield Packet(picture, None, is_key=True)
        if not pictures:
            yield None


def _open_http(client: HttpClient, stream: HttpStream, address: CameraAddress) -> InputContainer:
    try:
        return av.open(
            stream,
            "r",
            container_options=address.options[0],
            io_open=lambda url, flags, options: client.open(url),
        )
    except av.error.FFmpegError as error:
        raise camera_error(error, address.shown, OPEN_TIMEOUT_S) from None


def _open(address: CameraAddress) -> InputContainer:
    problem: av.error.FFmpegError | None = None
    for options in address.options:
        try:
            return av.open(
                address.url,
                format=address.format,
                container_options=options,
                timeout=(OPEN_TIMEOUT_S, READ_TIMEOUT_S),
            )
        except av.error.FFmpegError as error:
            problem = error
    assert problem is not None
    raise camera_error(problem, address.shown, OPEN_TIMEOUT_S) from None


def _connection(container: InputContainer, address: CameraAddress, client: HttpClient | None = None) -> Connection:
    name = container.format.name
    if any(part in name for part in SINGLE_PICTURES):
        raise CameraError(SINGLE_PICTURE.format(shown=address.shown))
    if not container.streams.video:
        raise CameraError(f"{address.shown} sends no video; expected a stream of pictures: is the path right?")
    stream = container.streams.video[0]
    context = stream.codec_context
    if context is None:
        raise CameraError(
            f"{address.shown} sends a video codec that can't be decoded here; set the camera to H.264, H.265 or MJPEG"
        )
    has_media_clock = not WITHOUT_TIMES & set(name.split(","))
    setup = CodecSetup(context.name, context.extradata, context.width, context.height, context.pix_fmt, has_media_clock)
    return Connection(setup, _packets(container, stream.index, has_media_clock, address.shown, client))


def _packets(
    container: InputContainer, index: int, has_media_clock: bool, shown: str, client: HttpClient | None
) -> Packets:
    try:
        for packet in container.demux():
            if client is not None:
                client.used()
            is_picture = packet.stream_index == index and packet.size
            yield _packet(packet, has_media_clock) if is_picture else None
    except av.error.FFmpegError as error:
        raise camera_error(error, shown, READ_TIMEOUT_S) from None


def _packet(packet: Any, has_media_clock: bool) -> Packet:
    time, base = (packet.dts if packet.pts is None else packet.pts), Fraction(packet.time_base or 0)
    timed = time is not None and has_media_clock
    return Packet(bytes(packet), round(time * base * 1_000_000_000) if timed else None, packet.is_keyframe)
