"""One connection to a camera, on PyAV: opens it, yields its packets, and explains failures.

FFmpeg's own error texts quote the address with its password, so none is passed on: messages follow from the error type.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer

from gradwatch import GradwatchError

from ..wire.messages import Disturbance
from .address import CameraAddress

OPEN_TIMEOUT_S = 5.0
READ_TIMEOUT_S = 4.0  # without a packet, so that a hung socket is reported within 5 s

INTRA_CODECS = frozenset(("mjpeg", "rawvideo"))  # each packet is a picture
WITHOUT_TIMES = frozenset(("mpjpeg", "mjpeg", "h264", "hevc"))  # formats for which FFmpeg invents times
SINGLE_PICTURES = ("image2", "_pipe")  # FFmpeg's formats of single pictures


TIMEOUT_MESSAGE = "{shown} sent nothing for {timeout_s:g} s; is the camera on and reachable from here?"
MESSAGES = (
    ((av.error.FileNotFoundError,), "no camera at {shown}; expected one of those on this machine: {devices}"),
    ((av.error.PermissionError,), "{shown} may not be opened; add the user to the group `video`"),
    ((av.error.HTTPNotFoundError,), "{shown} has no stream (404); expected the path in the camera's manual"),
    ((av.error.ConnectionRefusedError,), "nobody listens at {shown}; is the camera on, and is the port right?"),
    ((av.error.ConnectionResetError, av.error.BrokenPipeError, av.error.EOFError), "{shown} closed the connection"),
    ((av.error.ExitError, av.error.TimeoutError), TIMEOUT_MESSAGE),  # FFmpeg returns the first when PyAV interrupts it
    (
        (av.error.InvalidDataError, av.error.DemuxerNotFoundError, av.error.PatchWelcomeError),
        "{shown} sends something other than video; expected H.264, H.265 or MJPEG: is the path right?",
    ),
    ((av.error.ProtocolNotFoundError,), "{shown} redirects to a protocol that a camera may not use"),
)


class CameraError(GradwatchError):
    """Why a connection could not be opened or was lost, and what to do; contains no credential."""

    def __init__(self, message: str, disturbance: Disturbance = Disturbance.DISCONNECTED) -> None:
        super().__init__(message)
        self.disturbance = disturbance


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


class Connection:
    """An open connection. Iterating yields packets until it ends or fails, None for a packet without a picture."""

    def __init__(self, container: InputContainer, setup: CodecSetup, index: int, shown: str) -> None:
        self.setup = setup
        self._container, self._index, self._shown = container, index, shown

    def __iter__(self) -> Iterator[Packet | None]:
        try:
            for packet in self._container.demux():
                if packet.stream_index == self._index and packet.size:
                    yield self._packet(packet)
                else:
                    yield None
        except av.error.FFmpegError as error:
            raise camera_error(error, self._shown, READ_TIMEOUT_S) from None

    def _packet(self, packet: Any) -> Packet:
        time, base = (packet.dts if packet.pts is None else packet.pts), Fraction(packet.time_base or 0)
        timed = time is not None and self.setup.has_media_clock
        return Packet(bytes(packet), round(time * base * 1_000_000_000) if timed else None, packet.is_keyframe)


@contextmanager
def connect(address: CameraAddress) -> Iterator[Connection]:
    """Opens a connection for a `with` block. Raises `CameraError`, when opening and while it is read."""
    container = _open(address)
    try:
        yield _connection(container, address)
    finally:
        container.close()


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


def _connection(container: InputContainer, address: CameraAddress) -> Connection:
    name = container.format.name
    if any(part in name for part in SINGLE_PICTURES):
        raise CameraError(f"{address.shown} sends a single picture; expected a stream: use the MJPEG address")
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
    return Connection(container, setup, stream.index, address.shown)


def camera_error(error: Exception, shown: str, timeout_s: float) -> CameraError:
    """The meaning of an FFmpeg error, without its text."""
    if isinstance(error, av.error.HTTPUnauthorizedError | av.error.HTTPForbiddenError):
        refusal = f"{shown} refuses user and password; check them, and the user's permissions"
        return CameraError(refusal, Disturbance.UNAUTHORIZED)
    for types, message in MESSAGES:
        if isinstance(error, types):
            devices = ", ".join(sorted(str(path) for path in Path("/dev").glob("video*"))) or "none"
            return CameraError(message.format(shown=shown, timeout_s=timeout_s, devices=devices))
    number = getattr(error, "errno", None) or 0
    code = errno.errorcode.get(number, type(error).__name__)
    return CameraError(f"{shown} can't be reached or read ({code}); check name, cable and network")
