"""Video files and folders of pictures <-> RGB arrays with media times, on PyAV.

Two ways of writing, because a codec is a challenge of its own (CURE-TSD's type 3): for viewing in a browser
VP9 in its real-time setting; for recordings that models shall judge, near-lossless H.264 in RGB (54 dB on a
clear road, 48 dB under noise, 10 to 20 ms a frame of 960x540), or lossless VP9 where FFmpeg came without x264.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from gradwatch import GradwatchError, MissingFileError

Image = NDArray[np.uint8]

PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp")
RAW_STREAM_RATE_HZ = 25  # of streams that state neither times nor a rate
BT709, VIDEO_RANGE = 1, 1  # FFmpeg's numbers


class VideoError(GradwatchError, ValueError):
    """A file that can't be read as a video or picture, or pictures that can't be written as a video."""


@dataclass(frozen=True, slots=True)
class VideoFrame:
    """One frame: `index` counts from 0, `time_ns` on the medium's own timeline, `image` (H, W, 3) uint8 RGB."""

    index: int
    time_ns: int
    image: Image


@dataclass(frozen=True, slots=True)
class _Encoding:
    codec: str
    pixel_format: str
    options: dict[str, str]


# About 100 frames of 960x540 a second on one core; VP9's default options manage 8.
_VP9_REALTIME = {"deadline": "realtime", "cpu-used": "8", "row-mt": "1"}
_VIEWING = _Encoding("libvpx-vp9", "yuv420p", {**_VP9_REALTIME, "crf": "32", "b": "0"})
_RECORDING = _Encoding("libx264rgb", "rgb24", {"crf": "6", "preset": "ultrafast"})
_RECORDING_WITHOUT_X264 = _Encoding("libvpx-vp9", "gbrp", {**_VP9_REALTIME, "lossless": "1"})


def read_video(path: Path | str) -> Iterator[VideoFrame]:
    """The frames of a video file in order, decoded as they are asked for.

    Streams without times (raw H.264) get index / rate. Raises MissingFileError at once, VideoError for a file
    without decodable video at once, and VideoError in mid-file where decoding fails there.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingFileError(f"expected a video file at {path}, got nothing there")
    try:
        container = av.open(str(path))
    except av.error.FFmpegError as error:
        raise VideoError(f"expected a video at {path}, got a file that FFmpeg refuses: {error}") from error
    if not container.streams.video:
        container.close()
        raise VideoError(f"expected a video at {path}, got a file without a video stream")
    return _decode(container, path)


def _decode(container: Any, path: Path) -> Iterator[VideoFrame]:
    rate_hz = container.streams.video[0].average_rate or Fraction(RAW_STREAM_RATE_HZ)
    index = 0
    with container:
        try:
            for frame in container.decode(video=0):
                time_s = Fraction(index) / rate_hz if frame.pts is None else frame.pts * frame.time_base
                yield VideoFrame(index, round(time_s * 1_000_000_000), frame.to_ndarray(format="rgb24"))
                index += 1
        except av.error.FFmpegError as error:
            raise VideoError(f"{path} breaks off after {index} decoded frames: {error}") from error
    if index == 0:
        raise VideoError(f"expected a video at {path}, got a video stream without frames")


def write_video(path: Path | str, images: Iterable[Image], rate_hz: float, lossless: bool = False) -> int:
    """Writes (H, W, 3) uint8 RGB pictures of one size as a video and returns how many they were.

    The suffix chooses the container: .webm (viewing only) or .mp4, both play in browsers. `lossless` writes a
    recording, near-lossless (over 45 dB even under noise), which browsers need not play.
    Raises VideoError for no pictures, unequal sizes or another suffix.
    """
    path = Path(path)
    allowed = (".mp4",) if lossless else (".mp4", ".webm")
    if path.suffix not in allowed:
        raise VideoError(f"expected a file name ending in {' or '.join(allowed)}, got {path}")
    iterator = iter(images)
    first = next(iterator, None)
    if first is None:
        raise VideoError(f"expected at least one picture for {path}, got none")
    with av.open(str(path), "w") as container:
        stream = _add_stream(container, _recording() if lossless else _VIEWING, first, rate_hz)
        count = 0
        for count, image in enumerate(_with_first(first, iterator), start=1):
            if image.shape != first.shape or image.dtype != np.uint8:
                raise VideoError(
                    f"picture {count - 1} of {path}: expected {first.shape} uint8, got {image.shape} {image.dtype}"
                )
            container.mux(stream.encode(_as_frame(image, stream.pix_fmt)))
        container.mux(stream.encode(None))
    return count


def read_pictures(folder: Path | str, rate_hz: float = 10.0) -> Iterator[VideoFrame]:
    """The pictures of a folder by name, as if taken `rate_hz` times a second.

    Raises MissingFileError for a folder that is missing or has no pictures, VideoError for a broken picture.
    """
    folder = Path(folder)
    paths = sorted(path for path in folder.glob("*") if path.suffix.lower() in PICTURE_SUFFIXES)
    if not paths:
        raise MissingFileError(f"expected a folder of {', '.join(PICTURE_SUFFIXES)} files at {folder}, got none")
    return _read_each(paths, rate_hz)


def _read_each(paths: list[Path], rate_hz: float) -> Iterator[VideoFrame]:
    for index, path in enumerate(paths):
        image = cv2.imread(str(path), cv2.IMREAD_COLOR_RGB)
        if image is None:
            raise VideoError(f"expected a picture at {path}, got {path.stat().st_size} bytes that can't be decoded")
        yield VideoFrame(index, round(index / rate_hz * 1e9), np.asarray(image, dtype=np.uint8))


def _recording() -> _Encoding:
    return _RECORDING if _RECORDING.codec in av.codecs_available else _RECORDING_WITHOUT_X264


def _add_stream(container: Any, encoding: _Encoding, first: Image, rate_hz: float) -> Any:
    if first.ndim != 3 or first.shape[2] != 3:
        raise VideoError(f"expected (H, W, 3) uint8 pictures, got {first.shape} {first.dtype}")
    stream = container.add_stream(encoding.codec, rate=Fraction(rate_hz).limit_denominator(1001))
    stream.height, stream.width = first.shape[:2]
    stream.pix_fmt = encoding.pixel_format
    stream.options = dict(encoding.options)
    if encoding.pixel_format == "yuv420p":
        # Without the tag, players guess the color matrix by the picture's height.
        stream.codec_context.colorspace = BT709
        stream.codec_context.color_range = VIDEO_RANGE
    return stream


def _as_frame(image: Image, pixel_format: str) -> av.VideoFrame:
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
    if pixel_format == "yuv420p":
        return frame.reformat(format=pixel_format, dst_colorspace=BT709, dst_color_range=VIDEO_RANGE)
    return frame


def _with_first(first: Image, rest: Iterator[Image]) -> Iterator[Image]:
    yield first
    yield from rest
