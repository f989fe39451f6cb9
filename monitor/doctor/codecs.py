"""The codecs of cameras and recordings, each tried on one frame."""

from __future__ import annotations

from fractions import Fraction
from typing import Any, cast

import av
import numpy as np
from msgspec.structs import replace

from .findings import Finding, Scope, Status

CODECS = {  # -> decoder, the encoders that may be there in order, pixel format
    "H.264": ("h264", ("libx264", "libopenh264", "h264_videotoolbox"), "yuv420p"),
    "HEVC": ("hevc", ("libx265", "hevc_videotoolbox"), "yuv420p"),
    "MJPEG": ("mjpeg", ("mjpeg",), "yuvj420p"),
    "VP9": ("vp9", ("libvpx-vp9",), "yuv420p"),
}
REMEDY = "pip install --force-reinstall --only-binary av av"  # PyPI's wheels bring an FFmpeg with all four
QUIET = {"libx265": {"x265-params": "log-level=none"}}  # it writes to standard error itself
SIDE_PX = 64
WORST_ERROR = 12.0  # of 255; a smooth frame comes back within 3


def codecs(scope: Scope) -> list[Finding]:
    """What FFmpeg can decode (cameras, recordings) and encode (videos of the demo and of evidence)."""
    needed = {"H.264"} if scope.configuration.cameras else set()  # what nearly every network camera sends
    return [replace(_codec(name, *told), needed=name in needed) for name, told in CODECS.items()]


def _codec(name: str, decoder: str, encoders: tuple[str, ...], pixel_format: str) -> Finding:
    encoder = next((encoder for encoder in encoders if _is_there(encoder, "w")), None)
    if not _is_there(decoder, "r"):
        return _fault(name, Status.MISSING, f"this FFmpeg has no decoder {decoder}")
    if encoder is None:
        return _fault(name, Status.UNKNOWN, f"{decoder} is there; no encoder to try it with")
    try:
        error = _mean_error(encoder, decoder, pixel_format)
    except av.error.FFmpegError as failure:
        return _fault(name, Status.WRONG, f"{encoder} and {decoder} failed on a frame: {failure}")
    if error > WORST_ERROR:
        return _fault(name, Status.WRONG, f"{encoder} and {decoder} changed a frame by {error:.0f} of 255")
    return Finding(name, Status.OK, f"decoded ({decoder}) what was encoded ({encoder})")


def _fault(name: str, status: Status, found: str) -> Finding:
    return Finding(name, status, found, REMEDY)


def _is_there(codec: str, mode: str) -> bool:
    try:
        av.codec.Codec(codec, cast(Any, mode))
    except av.codec.codec.UnknownCodecError:
        return False
    return True


def _mean_error(encoder: str, decoder: str, pixel_format: str) -> float:
    """Mean absolute difference, 0 to 255, between a smooth frame and what comes back of it."""
    ramp = np.linspace(0, 255, SIDE_PX)
    image = np.stack(np.broadcast_arrays(ramp[:, None], ramp[None, :], 128.0), axis=2).astype(np.uint8)
    coder: Any = av.codec.CodecContext.create(encoder, "w")
    coder.width = coder.height = SIDE_PX
    coder.options = QUIET.get(encoder, {})
    coder.pix_fmt, coder.time_base, coder.framerate = pixel_format, Fraction(1, 10), Fraction(10)
    frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format=pixel_format)
    frame.pts = 0
    reader: Any = av.codec.CodecContext.create(decoder, "r")
    packets = [*coder.encode(frame), *coder.encode(None)]
    frames = [decoded for packet in packets for decoded in reader.decode(packet)] + list(reader.decode(None))
    if len(frames) != 1:
        return 255.0
    return float(np.abs(frames[0].to_ndarray(format="rgb24").astype(float) - image).mean())
