"""Addresses of cameras: the URL and options for FFmpeg, and separately what may be shown of them.

Messages, logs and records name a camera by `CameraAddress.shown` only. Passwords and the values of parameters that look
like credentials are registered with `logs.hide` as soon as an address is parsed.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import quote, unquote, urlsplit

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

# What a network camera may make FFmpeg open: never a file of this machine, whatever a playlist contains.
PROTOCOLS = "rtsp,rtsps,rtp,srtp,udp,tcp,tls,http,https,httpproxy,crypto"
# Probes no more than a packet: the first picture comes after 0.15 s instead of 2 s (measured on loopback), and the
# probed packets are kept. FFmpeg's `nobuffer` drops them with the first key frame, and H.264 starts with the next.
PROBE_LITTLE = {"probesize": "32", "analyzeduration": "1", "fpsprobesize": "0"}
PROBE_TO_TELL_FORMATS = {"probesize": "500000", "analyzeduration": "500000", "fpsprobesize": "0"}
# FFmpeg's own HTTP client would keep connections of a playlist open; ours opens each file.
ONE_CONNECTION = {"http_persistent": "0", "http_multiple": "0"}
REORDERING_US = "100000"  # how late a packet may be over UDP


class CameraAddressError(GradwatchError, ValueError):
    """Not the address of a camera; the message shows the legal forms."""


@dataclass(frozen=True, slots=True)
class CameraAddress:
    """`url` and `options` are for FFmpeg and may contain credentials; `shown` may be published.

    `options` are tried in turn until the camera accepts one: a USB camera is asked for JPEG first.
    """

    url: str = field(repr=False)
    shown: str
    options: tuple[dict[str, str], ...] = field(repr=False)
    format: str | None = None  # FFmpeg's name of the device or container; None: detected
    hosts: frozenset[str] = frozenset()  # where redirects and playlists may lead to: its own, and those allowed

    @property
    def is_http(self) -> bool:
        """Whether the camera speaks HTTP."""
        return self.url.startswith("http")


def is_live(source: str | Path) -> bool:
    """Whether `source` is meant as the address of a camera; a Path never is."""
    return isinstance(source, str) and ("://" in source or DEVICE.fullmatch(source) is not None)


def camera_address(source: str, transport: Transport = "tcp", allow_hosts: Collection[str] = ()) -> CameraAddress:
    """Parses `rtsp://…`, `rtsps://…`, `http://…`, `https://…`, a number (of /dev/videoN) or /dev/videoN.

    User and password may contain any character that leaves the host recognizable, percent-encoded or not. Redirects
    and playlists may lead to the camera's own host and to `allow_hosts`. Raises `CameraAddressError`.
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
        # video only: sound that continues would hide that the pictures have stopped
        options |= {"rtsp_transport": transport, "allowed_media_types": "video", "max_delay": REORDERING_US}
        options |= PROBE_LITTLE
    else:
        options |= PROBE_TO_TELL_FORMATS | ONE_CONNECTION
    hosts = {urlsplit(f"{scheme}://{rest}").hostname or "", *(host.lower() for host in allow_hosts)}
    url = f"{scheme}://{_credentials(user_info)}{rest}"
    return CameraAddress(url, _shown(f"{scheme}://{rest}"), (options,), hosts=frozenset(hosts))


def hide_credentials_of(source: str) -> None:
    """Registers the credentials in `source`, which may be any text, so that no log shows them."""
    if is_live(source) and "://" in source:
        _credentials(_split(source.partition("://")[2])[0])
        _shown(source)


def stream_name(address: CameraAddress) -> str:
    """The default name of the camera's stream: its host and path, or its device."""
    return address.shown.partition("://")[2] or Path(address.shown).name


def _device(number: int) -> CameraAddress:
    path = f"/dev/video{number}"
    return CameraAddress(path, path, ({"input_format": "mjpeg"}, {}), "v4l2")


def _split(rest: str) -> tuple[str, str]:
    """User information and the rest, which begins with the host.

    By RFC 3986 the first of `/?#` ends the authority. Many passwords are pasted unencoded, so where the rest would
    then begin with no legal host, the last @ decides.
    """
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    user_info, _, host = authority.rpartition("@")
    if HOST.fullmatch(host) is None and "@" in rest:
        user_info = rest.rpartition("@")[0]
    return user_info, rest[len(user_info) + 1 if user_info else 0 :].removeprefix("@")


def _credentials(user_info: str) -> str:
    """User and password percent-encoded, followed by `@`; registers the password with the logs."""
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
