"""Checks the codecs of cameras and recordings by encoding and decoding one frame with each."""

from __future__ import annotations

from fractions import Fraction
from typing import Any, Literal

import av
import numpy as np

from .results import Context, Result, Status

CODECS = {  # -> decoder, the encoders to try in this order, pixel format
    "H.264": ("h264", ("libx264", "libopenh264", "h264_videotoolbox"), "yuv420p"),
    "HEVC": ("hevc", ("libx265", "hevc_videotoolbox"), "yuv420p"),
    "MJPEG": ("mjpeg", ("mjpeg",), "yuvj420p"),
    "VP9": ("vp9", ("libvpx-vp9",), "yuv420p"),
}
REMEDY = "pip install --force-reinstall --only-binary av av"  # PyPI's wheels include an FFmpeg with all four
QUIET = {"libx265": {"x265-params": "log-level=none"}}  # it logs to standard error itself
SIDE_PX = 64
WORST_ERROR = 12.0  # of 255; the error of a smooth frame is below 3


def codecs(context: Context) -> list[Result]:
    """What FFmpeg can decode (cameras, recordings) and encode (videos of the demo and of evidence)."""
    needed = {"H.264"} if context.configuration.cameras else set()  # what nearly every network camera sends
    results = []
    for name, (decoder, encoders, pixel_format) in CODECS.items():
        status, found = try_codec(decoder, encoders, pixel_format)
        results.append(Result(name, status, found, "" if status is Status.OK else REMEDY, name in needed))
    return results


def try_codec(decoder: str, encoders: tuple[str, ...], pixel_format: str) -> tuple[Status, str]:
    """Encodes a frame with the first encoder that is available, decodes it, and compares."""
    encoder = next((encoder for encoder in encoders if _is_available(encoder, "w")), None)
    if not _is_available(decoder, "r"):
        return Status.MISSING, f"this FFmpeg has no decoder {decoder}"
    if encoder is None:
        return Status.UNKNOWN, f"{decoder} is available, but no encoder to test it with"
    try:
        error = _mean_error(encoder, decoder, pixel_format)
    except av.error.FFmpegError as failure:
        return Status.WRONG, f"{encoder} and {decoder} failed on a frame: {failure}"
    if error > WORST_ERROR:
        return Status.WRONG, f"{encoder} and {decoder} changed a frame by {error:.0f} of 255"
    return Status.OK, f"a frame was encoded ({encoder}) and decoded ({decoder})"


def _is_available(codec: str, mode: Literal["r", "w"]) -> bool:
    try:
        av.codec.Codec(codec, mode)
    except av.codec.codec.UnknownCodecError:
        return False
    return True


def _mean_error(encoder: str, decoder: str, pixel_format: str) -> float:
    """Mean absolute difference, 0 to 255, between a smooth frame and the same frame encoded and decoded."""
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
