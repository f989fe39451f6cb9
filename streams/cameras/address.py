"""How a camera is reached: its address as FFmpeg takes it, and apart from that what may be shown of it.

Whatever is said, logged or published names a camera by `CameraAddress.shown`. User, password and the values of
parameters that look like credentials are made known to `logs.hide` as soon as an address is read.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import quote, unquote

from gradwatch import GradwatchError

from ..observability.logs import HIDDEN, hide, scrub

Transport = Literal["tcp", "udp"]

SCHEMES = ("rtsp", "rtsps", "http", "https")
HOST = re.compile(r"(\[[^\]]+\]|[^:\[\]\s]+)(:\d*)?")
PERCENT_ENCODED = re.compile(r"(?:[^%]|%[0-9A-Fa-f]{2})*")
PARAMETER = re.compile(
    r"(?<![a-z])((?:pass(?:word|wd)?|pwd|psw|pw|token|auth|secret|key|sig(?:nature)?)=)([^&/?#]+)", re.I
)
DEVICE = re.compile(r"(?:/dev/video)?(\d{1,3})")

# What a network camera may make FFmpeg open: never a file of this machine, whatever a playlist says.
PROTOCOLS = "rtsp,rtsps,rtp,srtp,udp,tcp,tls,http,https,httpproxy,crypto"
# Probing for no longer than a packet: the first picture comes after 0.15 s instead of 2 s (measured on loopback), and
# what was probed is kept. FFmpeg's `nobuffer` throws it away, the first key frame too, and H.264 starts with the next.
PROBE_LITTLE = {"probesize": "32", "analyzeduration": "1", "fpsprobesize": "0"}
PROBE_TO_TELL_FORMATS = {"probesize": "500000", "analyzeduration": "500000", "fpsprobesize": "0"}
REORDERING_US = "100000"  # over UDP, so long may a packet be late


class CameraAddressError(GradwatchError, ValueError):
    """Not the address of a camera; says what one looks like."""


@dataclass(frozen=True, slots=True)
class CameraAddress:
    """`url` and `options` go to FFmpeg and may hold credentials; `shown` may be said to anybody.

    `options` are tried in turn until the camera takes some: a USB camera is asked for JPEG first.
    """

    url: str = field(repr=False)
    shown: str
    options: tuple[dict[str, str], ...] = field(repr=False)
    format: str | None = None  # FFmpeg's name of the device or container, None: it finds out

    @property
    def is_device(self) -> bool:
        """Whether the camera is on this machine."""
        return self.format == "v4l2"


def is_live(source: str) -> bool:
    """Whether `source` names a camera, and not a file or a folder."""
    return "://" in source or DEVICE.fullmatch(source) is not None


def camera_address(source: str, transport: Transport = "tcp") -> CameraAddress:
    """The address in `rtsp://`, `rtsps://`, `http://`, `https://`, a number (of /dev/videoN) or /dev/videoN.

    User and password may hold any character that leaves the host recognizable, percent-encoded or not.
    Raises `CameraAddressError`.
    """
    device = DEVICE.fullmatch(source)
    if device is not None:
        return _device(int(device[1]))
    scheme, _, rest = source.partition("://")
    scheme = scheme.lower()
    if scheme not in SCHEMES:
        shown = scrub(source.partition("?")[0])
        raise CameraAddressError(
            f"expected {', '.join(f'{name}://' for name in SCHEMES)}, the number of a USB camera, a video file or a "
            f"folder of pictures, got {shown}"
        )
    user_info, rest = _split(rest)
    if not re.split(r"[/?#]", rest)[0]:
        raise CameraAddressError(
            f"expected a host in the address of a camera, got {scheme}://{'***@' * bool(user_info)}"
        )
    options = {"protocol_whitelist": PROTOCOLS}
    if scheme.startswith("rtsp"):
        # only pictures: a microphone that goes on would hide that they have stopped
        options |= {"rtsp_transport": transport, "allowed_media_types": "video", "max_delay": REORDERING_US}
        options |= PROBE_LITTLE
    else:
        options |= PROBE_TO_TELL_FORMATS
    return CameraAddress(f"{scheme}://{_credentials(user_info)}{rest}", _shown(f"{scheme}://{rest}"), (options,))


def hide_credentials_of(source: str) -> None:
    """Makes the credentials in `source` known, so that no log shows them; any text may be given."""
    if is_live(source) and "://" in source:
        _credentials(_split(source.partition("://")[2])[0])
        _shown(source)


def stream_name(address: CameraAddress) -> str:
    """What the camera's stream may be called where nobody says: its host and path."""
    return address.shown.partition("://")[2] or Path(address.shown).name


def _device(number: int) -> CameraAddress:
    path = f"/dev/video{number}"
    return CameraAddress(path, path, ({"input_format": "mjpeg"}, {}), "v4l2")


def _split(rest: str) -> tuple[str, str]:
    """User information and the rest, which begins with the host.

    By the book the first of `/?#` ends the authority. People write passwords as they are, so where what would be
    the host then is none, the last @ decides.
    """
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    user_info, _, host = authority.rpartition("@")
    if HOST.fullmatch(host) is None and "@" in rest:
        user_info = rest.rpartition("@")[0]
    return user_info, rest[len(user_info) + 1 if user_info else 0 :].removeprefix("@")


def _credentials(user_info: str) -> str:
    """User and password as a URL takes them, `@` behind; makes the password known to the logs."""
    if not user_info:
        return ""
    user, colon, password = user_info.partition(":")
    parts = [unquote(part) if PERCENT_ENCODED.fullmatch(part) else part for part in (user, password)]
    encoded = [quote(part, safe="") for part in parts]
    hide([password, parts[1], encoded[1]])
    return encoded[0] + colon + encoded[1] + "@"


def _shown(url: str) -> str:
    """`url` without its query and without parameters in its path that look like credentials."""
    for _, value in PARAMETER.findall(url):
        hide([value, unquote(value)])
    path, question, _ = url.partition("?")
    return scrub(PARAMETER.sub(rf"\1{HIDDEN}", path)) + question + "…" * bool(question)
