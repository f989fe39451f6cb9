"""Records that a producer should not write, and the cause that their dead letter must name.

A table for several tests and for the fuzzers.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, field

import cv2
import numpy as np

from gradwatch.streams.wire.frames import encode_frame
from gradwatch.streams.wire.messages import EncodedFrame, FrameIdentity, FrameStamp
from gradwatch.streams.wire.pixels import encode_jpeg

RUN = "01JD0000000000000000000000"
PICTURE = cv2.GaussianBlur(np.random.default_rng(3).integers(0, 256, (96, 128, 3), np.uint8), (9, 9), 3)
JPEG = encode_jpeg(PICTURE)
PNG = cv2.imencode(".png", PICTURE)[1].tobytes()
HALF = len(JPEG) // 2
MIB_8 = 8 * 1024 * 1024

HOSTILE_STREAM_IDS = {
    "path": b"../../etc/passwd",
    "absolute": b"/etc/passwd",
    "label": b'a",outcome="judged',
    "url": b"a?b=c#d",
    "markup": b"<script>alert(1)</script>",
    "newline": b"north\nsouth",
    "trailing newline": b"north\n",
    "control": b"north\x1b[2J\x00",
    "10 kB": b"n" * 10_000,
    "cyrillic": "n\u043erth".encode(),
    "fullwidth": "\uff4eorth".encode(),
    "right to left": "north\u202egpj".encode(),
    "not utf-8": b"\xff\xfe",
    "empty": b"",
    "absent": None,
}


@dataclass(frozen=True)
class Wire:
    """What a producer sends; `cause` is that of its dead letter, None for a good frame."""

    cause: str | None
    value: bytes | None = JPEG
    key: bytes | None = b"north"
    headers: tuple[tuple[str, bytes | None], ...] = field(default=())


def headers(content_type: str | None = None, **changes: bytes | None) -> tuple[tuple[str, bytes | None], ...]:
    """Headers of a good frame; `changes` replace some, None removes one."""
    wire = encode_frame(EncodedFrame(FrameStamp(FrameIdentity("north", RUN, 41), 1_790_000_000_123_456_789, 0), JPEG))
    if content_type is not None:
        changes["content-type"] = content_type.encode()
    kept = [(name, changes.get(name, value)) for name, value in wire.headers]
    new = [(name, value) for name, value in changes.items() if name not in dict(wire.headers)]
    return tuple((name, value) for name, value in kept + new if value is not None)


def jpeg_of(width: int, height: int) -> bytes:
    """A good JPEG whose header claims another size."""
    at = JPEG.index(b"\xff\xc0") + 5
    return JPEG[:at] + struct.pack(">HH", height, width) + JPEG[at + 4 :]


def png_of(width: int, height: int) -> bytes:
    """A PNG of that size in few bytes."""
    parts = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)), (b"IDAT", zlib.compress(bytes(1000)))]
    chunks = [
        struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in [*parts, (b"IEND", b"")]
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def pictures() -> dict[str, Wire]:
    """Values that are no picture, or a damaged one."""
    flipped = bytearray(PNG)
    flipped[len(PNG) // 2] ^= 0x55
    progressive = cv2.imencode(".jpg", PICTURE, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1].tobytes()
    scan = progressive[progressive.rfind(b"\xff\xda") : -2]
    values = {
        "JPEG cut off": JPEG[:HALF],
        "JPEG cut off and ended": JPEG[:HALF] + b"\xff\xd9",
        "JPEG with a hole": JPEG[:HALF] + JPEG[HALF + 200 :],
        "JPEG without data": JPEG[:400],
        "progressive JPEG cut off": progressive[: len(progressive) * 2 // 3] + b"\xff\xd9",
        "JPEG that claims more than it holds": jpeg_of(6000, 6000),
        "PNG cut off": PNG[: len(PNG) // 2],
        "PNG with a flipped byte": bytes(flipped),
        "PNG that claims more than it holds": png_of(5000, 5000),
        "random bytes": np.random.default_rng(1).bytes(1000),
        "text": b"no picture",
        "GIF": b"GIF89a\x01\x00\x01\x00",
        "start of a JPEG": b"\xff\xd8",
        "empty": b"",
        "null": None,
    }
    bombs = {
        "JPEG bomb": jpeg_of(30_000, 30_000),
        "PNG bomb": png_of(30_000, 30_000),
        "PNG bomb of 2^31": png_of(2**31 - 1, 2**31 - 1),
        "JPEG of 1000 scans": progressive[:-2] + 1000 * scan + b"\xff\xd9",
    }
    made = {name: Wire("undecodable", v, headers=headers(content_type=_type(v))) for name, v in values.items()}
    return made | {
        name: Wire("too_large", value, headers=headers(content_type=_type(value))) for name, value in bombs.items()
    }


def _type(value: bytes | None) -> str:
    return "image/png" if (value or b"").startswith(b"\x89PNG") else "image/jpeg"


def metadata() -> dict[str, Wire]:
    """Headers and keys that break the contract."""
    changed: dict[str, dict[str, bytes | None]] = {
        "newer major version": {"gw_schema": b"2"},
        "newer version with a point": {"gw_schema": b"2.0"},
        "version in words": {"gw_schema": b"one"},
        "version of 10 kB": {"gw_schema": b"9" * 10_000},
        "seq -1": {"gw_seq": b"-1"},
        "seq 1_0": {"gw_seq": b"1_0"},
        "seq with a space": {"gw_seq": b" 1"},
        "seq 2^70": {"gw_seq": str(2**70).encode()},
        "seq of 5000 digits": {"gw_seq": b"9" * 5000},
        "seq NaN": {"gw_seq": b"nan"},
        "seq in other digits": {"gw_seq": "٣".encode()},
        "capture before 1970": {"gw_capture_ns": b"-1"},
        "capture 1.5": {"gw_capture_ns": b"1.5"},
        "capture beyond 64 bits": {"gw_capture_ns": str(2**63).encode()},
        "unknown clock": {"gw_clock": b"gps"},
        "run that is a path": {"gw_run": b"../../run"},
        "run not UTF-8": {"gw_run": b"\xff\xfe"},
        "clock not UTF-8": {"gw_clock": b"utc\xff"},
        "seq not UTF-8": {"gw_seq": b"\xb2"},
        "another stream's source": {"ce_source": b"south"},
        "wrong content type": {"content-type": b"text/html"},
        "content type of the other picture": {"content-type": b"image/png"},
        **{f"without {name}": {name: None} for name in ("gw_schema", "gw_run", "gw_seq", "gw_capture_ns", "gw_clock")},
    }
    made = {name: Wire("bad_schema", headers=headers(**changes)) for name, changes in changed.items()}
    made["one header of ours alone"] = Wire("bad_schema", headers=(("gw_seq", b"1"),))
    made["two seqs"] = Wire("bad_schema", headers=(*headers(), ("gw_seq", b"42")))
    made["two versions"] = Wire("bad_schema", headers=(("gw_schema", b"2"), *headers()))
    for name, key in HOSTILE_STREAM_IDS.items():
        source = b"" if key is None else key
        made[f"stream id: {name}"] = Wire("bad_schema", key=key, headers=headers(ce_source=source))
    return made


BAD: dict[str, Wire] = pictures() | metadata()

GOOD: dict[str, Wire] = {
    "as it should be": Wire(None, headers=headers()),
    "newer minor version": Wire(None, headers=headers(gw_schema=b"1.7", gw_weather=b"rain")),
    "unknown header not UTF-8": Wire(None, headers=headers(x_vendor=b"\xff\xfe")),
    "a header twice with one value": Wire(None, headers=(*headers(), ("gw_seq", b"41"))),
    "broken traceparent": Wire(None, headers=headers(traceparent=b"00-zz")),
    "captured in 1970": Wire(None, headers=headers(gw_capture_ns=b"0")),
    "captured in 2262": Wire(None, headers=headers(gw_capture_ns=str(2**63 - 1).encode())),
    "without CloudEvents": Wire(None, headers=tuple(h for h in headers() if h[0].startswith("gw_"))),
    "bare, of any content type": Wire(None, key=None, headers=(("content-type", b"application/octet-stream"),)),
    "bare, with a hostile key": Wire(None, key=b"../..", headers=()),
    "padded as USB cameras do": Wire(None, JPEG[:-2] + b"\0\0\0" + JPEG[-2:], headers=headers()),
    "followed by zeros": Wire(None, JPEG + bytes(100), headers=headers()),
}
