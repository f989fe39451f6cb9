"""Videos as cameras, phones and editors leave them, for the tests that read them."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

RED, GREEN = (210, 30, 20), (20, 190, 40)


def halves(height: int = 96, width: int = 128) -> np.ndarray:
    """Red above, green below, as (H, W, 3)."""
    image = np.empty((height, width, 3), np.uint8)
    image[: height // 2], image[height // 2 :] = RED, GREEN
    return image


def write(
    path: Path,
    images: Sequence[np.ndarray],
    codec: str = "libx264",
    times: Sequence[int] | None = None,
    container_options: dict[str, str] | None = None,
    **options: str,
) -> Path:
    """Pictures at 10 a second, or at `times` (tenths of a second), as YUV by BT.709, which the file does not say."""
    full = codec == "mjpeg"
    with av.open(str(path), "w", container_options=container_options or {}) as out:
        stream: Any = out.add_stream(codec, rate=10)
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt, stream.options = "yuvj420p" if full else "yuv420p", options
        for i, image in enumerate(images):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
            if not full:
                frame = frame.reformat(format="yuv420p", dst_colorspace=1, dst_color_range=1)
                frame.colorspace, frame.color_range = 2, 0
            frame.pts, frame.time_base = (i if times is None else times[i]), Fraction(1, 10)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def turn(path: Path, degrees: int, width: int, height: int) -> Path:
    """Writes a rotation by 90 or 180 degrees into the track's header of an MP4, as phones do."""
    one = 1 << 16
    matrix = {
        90: (0, one, 0, -one, 0, 0, height << 16, 0, 1 << 30),
        180: (-one, 0, 0, 0, -one, 0, width << 16, height << 16, 1 << 30),
    }[degrees]
    content = bytearray(path.read_bytes())
    at = content.index(b"tkhd") + 4 + 40
    content[at : at + 36] = struct.pack(">9i", *matrix)
    path.write_bytes(content)
    return path


def zero_packet(path: Path, number: int) -> Path:
    """Overwrites the first half of a packet with zeros, as a bad sector does."""
    with av.open(str(path)) as container:
        packets = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    at, size = packets[number]
    # a transport stream loses whole cells
    damaged = 188 * 4 if path.suffix == ".ts" else max(64, size // 2)
    content = bytearray(path.read_bytes())
    content[at : at + damaged] = bytes(damaged)
    path.write_bytes(content)
    return path
