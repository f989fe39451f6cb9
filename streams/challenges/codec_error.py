"""Codec errors: a coarse MPEG-2 coding of the picture, with bytes of it broken and concealed by the decoder.

CURE-TSD made this challenge by time displacement: dark pixels come from an earlier frame and bright ones from a
later frame, so that a sign's white disappears from its ring and appears smaller elsewhere. One picture has no
neighbors in time, so they are derived from it: shrunk towards its vanishing point it is the earlier frame, enlarged
the later one. The earlier frame is coded first and the displaced picture is predicted from it; where bytes of the
second are broken, a real decoder (FFmpeg's) shows real blocks, and what it copies from the earlier frame.
"""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from .reference import Image, Map

CODEC = "mpeg2video"
MACROBLOCK_PX = 16
QUANTIZER = (4, 6, 9, 12, 15)
BROKEN_SHARE = (0.12, 0.18, 0.24, 0.30, 0.36)  # of the slices: rows of macroblocks, where decoding resynchronizes
BROKEN_BYTES = 3
FIRST_SLICE, LAST_SLICE = 0x01, 0xAF  # the start codes of slices (ISO/IEC 13818-2, table 6-1)

# Fitted: the grid's sign is 1 / 1.3 of its size in the earlier frame of levels 1 and 2, 1 / 1.7 in that of 3 to 5.
APPROACH = (1.25, 1.35, 1.45, 1.55, 1.65)
VANISHING_POINT = (0.47, 0.45)  # as shares of width and height
EARLIER_BELOW, LATER_ABOVE = 64, 160  # luma; pixels between them are not displaced


def codec_error(image: Image, level: int, seed: int, seq: int) -> Image:
    """The picture torn between two times, coded coarsely and broken; every seq breaks other blocks.

    Arguments as `apply_challenge`. Single-threaded with new coders for each picture, so that the result is
    deterministic and threads share nothing.
    """
    height, width = image.shape[:2]
    below, right = -height % MACROBLOCK_PX, -width % MACROBLOCK_PX
    whole = np.asarray(cv2.copyMakeBorder(image, 0, below, 0, right, cv2.BORDER_REPLICATE), dtype=np.uint8)
    earlier, torn = _displaced(whole, level)
    key_picture, predicted = _encode((earlier, torn), QUANTIZER[level - 1])
    rng = np.random.default_rng((seed, 3, seq))
    shown = _decode((key_picture, _broken(predicted, BROKEN_SHARE[level - 1], rng)), torn)
    return np.ascontiguousarray(shown[:height, :width])


def _displaced(image: Image, level: int) -> tuple[Image, Image]:
    """The earlier frame, and the picture with dark parts from there and bright parts from a later frame."""
    height, width = image.shape[:2]
    shrunk = cv2.warpAffine(image, _approach(height, width, 1 / APPROACH[level - 1]), (width, height))
    weight = _known_earlier(height, width, level)
    earlier = cv2.blendLinear(shrunk, image, weight, np.float32(1.0) - weight)
    later = cv2.warpAffine(image, _approach(height, width, APPROACH[level - 1]), (width, height))
    luma = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY))
    torn = cv2.copyTo(earlier, (luma < EARLIER_BELOW).astype(np.uint8), image.copy())
    torn = cv2.copyTo(later, (luma > LATER_ABOVE).astype(np.uint8), torn)
    return np.asarray(earlier, dtype=np.uint8), np.asarray(torn, dtype=np.uint8)


def _approach(height: int, width: int, scale: float) -> NDArray[np.float64]:
    """The affine matrix that scales a picture about its vanishing point."""
    x, y = VANISHING_POINT[0] * width, VANISHING_POINT[1] * height
    return np.array(((scale, 0.0, (1 - scale) * x), (0.0, scale, (1 - scale) * y)))


@lru_cache(maxsize=4)
def _known_earlier(height: int, width: int, level: int) -> Map:
    """1 where the shrunk picture lies, 0 around it, where the picture is kept; a soft edge between (H, W)."""
    inside = np.full((height, width), 1.0, np.float32)
    inside[: height // 36] = inside[-height // 36 :] = 0.0
    inside[:, : width // 60] = inside[:, -width // 60 :] = 0.0
    shrunk = cv2.warpAffine(inside, _approach(height, width, 1 / APPROACH[level - 1]), (width, height))
    return np.asarray(cv2.GaussianBlur(shrunk, (0, 0), max(width / 160, 0.3)), dtype=np.float32)


def _encode(pictures: tuple[Image, Image], quantizer: int) -> tuple[bytes, bytes]:
    """The first picture intra-coded, the second predicted from it."""
    coder: Any = av.CodecContext.create(CODEC, "w")
    coder.height, coder.width = pictures[0].shape[:2]
    coder.pix_fmt, coder.thread_count = "yuv420p", 1
    coder.framerate, coder.time_base = Fraction(25), Fraction(1, 25)
    coder.gop_size, coder.max_b_frames = 12, 0
    coder.options = {"flags": "+qscale", "global_quality": str(quantizer * 118)}  # FFmpeg's FF_QP2LAMBDA
    packets = []
    for index, picture in enumerate(pictures):
        planes = cv2.cvtColor(picture, cv2.COLOR_RGB2YUV_I420)
        frame = av.VideoFrame.from_ndarray(np.asarray(planes, dtype=np.uint8), format="yuv420p")
        frame.pts = index
        packets += coder.encode(frame)
    key_picture, predicted = [bytes(packet) for packet in packets + coder.encode(None)]
    return key_picture, predicted


def _broken(coded: bytes, share: float, rng: np.random.Generator) -> bytes:
    """A coded picture with a few bytes overwritten in a share of its slices, at least in one."""
    broken = bytearray(coded)
    starts, at = [], coded.find(b"\x00\x00\x01")
    while at >= 0 and at + 3 < len(coded):
        if FIRST_SLICE <= coded[at + 3] <= LAST_SLICE:
            starts.append(at + 4)
        at = coded.find(b"\x00\x00\x01", at + 3)
    ends = [start - 4 for start in starts[1:]] + [len(coded)]
    hit = rng.permutation(len(starts))[: max(1, round(share * len(starts)))]
    for index in sorted(hit.tolist()):
        room = ends[index] - starts[index] - BROKEN_BYTES
        if room > 0:
            place = starts[index] + int(rng.integers(0, room))
            # Never 0, so that no start code is made and the damage ends with the slice.
            broken[place : place + BROKEN_BYTES] = rng.integers(1, 256, BROKEN_BYTES, dtype=np.uint8).tobytes()
    return bytes(broken)


def _decode(coded: tuple[bytes, bytes], instead: Image) -> Image:
    """The last picture as a decoder with error concealment shows it; `instead` where it shows none."""
    decoder: Any = av.CodecContext.create(CODEC, "r")
    decoder.thread_count = 1
    decoder.options = {"ec": "guess_mvs+deblock+favor_inter"}  # conceal from the earlier picture, not from neighbors
    shown: list[Any] = []
    try:
        for content in coded:
            shown += decoder.decode(av.Packet(content))
        shown += decoder.decode(None)
    except av.error.FFmpegError:  # too damaged to conceal
        return instead
    if len(shown) < len(coded):
        return instead
    planes = shown[-1].to_ndarray()
    return np.asarray(cv2.cvtColor(planes, cv2.COLOR_YUV2RGB_I420), dtype=np.uint8)
