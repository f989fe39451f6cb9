"""One connection to a camera, on PyAV: from opening it to its packets, and in plain words why it failed.

FFmpeg's own texts quote the address with its password, so none of them goes further: an error is told by its kind.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
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
READ_TIMEOUT_S = 4.0  # without a packet: a hung socket is noticed before the disturbance is 5 s old

INTRA_CODECS = frozenset(("mjpeg", "rawvideo"))  # each packet is a picture
WITHOUT_TIMES = frozenset(("mpjpeg", "mjpeg", "h264", "hevc"))  # FFmpeg counts pictures there at a made-up rate
SINGLE_PICTURES = ("image2", "_pipe")  # FFmpeg's formats for them


class CameraError(GradwatchError):
    """Why there is no connection, or no longer one, and what to do; holds no credential."""

    def __init__(self, message: str, disturbance: Disturbance = Disturbance.DISCONNECTED) -> None:
        super().__init__(message)
        self.disturbance = disturbance


@dataclass(frozen=True, slots=True)
class CodecSetup:
    """What a decoder must know of a connection's pictures; no object of FFmpeg's, so any thread may use it."""

    codec: str
    extradata: bytes | None
    width: int
    height: int
    pixel_format: str | None
    has_media_clock: bool

    @property
    def is_jpeg(self) -> bool:
        """Whether the packets are JPEGs as they should be published."""
        return self.codec == "mjpeg"

    @property
    def is_intra(self) -> bool:
        """Whether each packet can be decoded without the others."""
        return self.codec in INTRA_CODECS


@dataclass(frozen=True, slots=True)
class Packet:
    """An encoded picture. `media_ns` on the camera's clock, None where it has none."""

    content: bytes
    media_ns: int | None
    is_key: bool


class Connection:
    """An open camera. Iterating gives packets until it ends or fails, with None for what is no picture."""

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
            raise failure(error, self._shown, READ_TIMEOUT_S) from None

    def _packet(self, packet: Any) -> Packet:
        time, base = (packet.dts if packet.pts is None else packet.pts), Fraction(packet.time_base or 0)
        timed = time is not None and self.setup.has_media_clock
        return Packet(bytes(packet), round(time * base * 1_000_000_000) if timed else None, packet.is_keyframe)


@contextmanager
def connected(address: CameraAddress) -> Iterator[Connection]:
    """An open connection, closed with the block. Raises `CameraError`, here and while it is read."""
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
    raise failure(problem, address.shown, OPEN_TIMEOUT_S) from None


def _connection(container: InputContainer, address: CameraAddress) -> Connection:
    name = container.format.name
    if any(part in name for part in SINGLE_PICTURES):
        raise CameraError(f"{address.shown} gives one picture and ends; expected a stream: give its MJPEG address")
    if not container.streams.video:
        raise CameraError(f"{address.shown} gives no video; expected a stream of pictures: is the path right?")
    stream = container.streams.video[0]
    context = stream.codec_context
    if context is None:
        raise CameraError(
            f"{address.shown} sends a video codec that can't be decoded here; set the camera to H.264, H.265 or MJPEG"
        )
    has_media_clock = not WITHOUT_TIMES & set(name.split(","))
    setup = CodecSetup(context.name, context.extradata, context.width, context.height, context.pix_fmt, has_media_clock)
    return Connection(container, setup, stream.index, address.shown)


def failure(error: Exception, shown: str, timeout_s: float) -> CameraError:
    """What FFmpeg's error means, without its text."""
    if isinstance(error, av.error.HTTPUnauthorizedError | av.error.HTTPForbiddenError):
        message = "refuses user and password; check them, and what the user may see"
        return CameraError(f"{shown} {message}", Disturbance.UNAUTHORIZED)
    for kinds, meaning in MEANINGS:
        if isinstance(error, kinds):
            return CameraError(meaning(shown, timeout_s))
    number = getattr(error, "errno", None) or 0
    words = errno.errorcode.get(number, type(error).__name__)
    return CameraError(f"{shown} can't be reached or read ({words}); check name, cable and network")


def silence(shown: str, timeout_s: float) -> str:
    """What is said of a camera that does not answer, or that stops."""
    return f"{shown} said nothing for {timeout_s:g} s; is the camera on and reachable from here?"


def _no_device(shown: str, _: float) -> str:
    found = ", ".join(sorted(str(path) for path in Path("/dev").glob("video*"))) or "none"
    return f"no camera at {shown}; expected one of those that are here: {found}"


Kinds = tuple[type[BaseException], ...]
MEANINGS: tuple[tuple[Kinds, Callable[[str, float], str]], ...] = (
    ((av.error.FileNotFoundError,), _no_device),
    ((av.error.PermissionError,), lambda shown, _: f"{shown} may not be opened; add the user to the group `video`"),
    (
        (av.error.HTTPNotFoundError,),
        lambda shown, _: f"{shown} has no stream (404); expected the path that the camera's manual gives",
    ),
    (
        (av.error.ConnectionRefusedError,),
        lambda shown, _: f"nobody listens at {shown}; is the camera on, and is the port right?",
    ),
    (
        (av.error.ConnectionResetError, av.error.BrokenPipeError, av.error.EOFError),
        lambda shown, _: f"{shown} closed the connection",
    ),
    (
        (av.error.ExitError, av.error.TimeoutError),  # the first is how a time-out of ours comes back
        silence,
    ),
    (
        (av.error.InvalidDataError, av.error.DemuxerNotFoundError, av.error.PatchWelcomeError),
        lambda shown, _: f"{shown} sends what is no video; expected H.264, H.265 or MJPEG: is the path right?",
    ),
    (
        (av.error.ProtocolNotFoundError,),
        lambda shown, _: f"{shown} leads to a protocol that is not allowed from a camera",
    ),
)
