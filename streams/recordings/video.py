"""Video files <-> RGB arrays with media times, on PyAV; a video file as a source.

There are two ways of writing, because a codec is a challenge of its own (CURE-TSD's type 3): for viewing in a browser
VP9 in its real-time setting; for recordings that models will judge near-lossless H.264 in RGB (54 dB on a clear road,
48 dB under noise, 10 to 20 ms a frame of 960x540), or lossless VP9 where FFmpeg was built without x264.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from gradwatch import MissingFileError

from .played import AS_RECORDED, FrameSource, Playback, PlayedSource, RecordingError, Still

Image = NDArray[np.uint8]

RAW_STREAM_RATE_HZ = 25  # of streams that have neither times nor a rate
BT709, VIDEO_RANGE = 1, 1  # FFmpeg's numbers


@dataclass(frozen=True, slots=True)
class _Codec:
    name: str
    pixel_format: str
    options: dict[str, str]


# About 100 frames of 960x540 a second on one core; VP9's default options manage 8.
_VP9_REALTIME = {"deadline": "realtime", "cpu-used": "8", "row-mt": "1"}
_VIEWING = _Codec("libvpx-vp9", "yuv420p", {**_VP9_REALTIME, "crf": "32", "b": "0"})
_RECORDING = _Codec("libx264rgb", "rgb24", {"crf": "6", "preset": "ultrafast"})
_RECORDING_WITHOUT_X264 = _Codec("libvpx-vp9", "gbrp", {**_VP9_REALTIME, "lossless": "1"})


def video(path: Path | str, playback: Playback = AS_RECORDED, name: str | None = None) -> FrameSource:
    """A video file as a source; its frames become JPEG."""
    path = Path(path)
    return PlayedSource(name or path.stem, lambda: read_video(path), playback)


def read_video(path: Path | str) -> Iterator[Still]:
    """The frames of a video file in order, decoded on demand; streams without times (raw H.264) get index / rate.

    Raises MissingFileError, and RecordingError for a file without decodable video, at once; RecordingError in mid-file
    where decoding fails there.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingFileError(f"expected a video file at {path}, got nothing there")
    try:
        container = av.open(str(path))
    except av.error.FFmpegError as error:
        raise RecordingError(f"expected a video at {path}, got a file that FFmpeg can't open: {error}") from error
    if not container.streams.video:
        container.close()
        raise RecordingError(f"expected a video at {path}, got a file without a video stream")
    return _decode(container, path)


def _decode(container: Any, path: Path) -> Iterator[Still]:
    rate_hz = container.streams.video[0].average_rate or Fraction(RAW_STREAM_RATE_HZ)
    index = 0
    with container:
        try:
            for frame in container.decode(video=0):
                time_s = Fraction(index) / rate_hz if frame.pts is None else frame.pts * frame.time_base
                yield Still(round(time_s * 1_000_000_000), image=frame.to_ndarray(format="rgb24"))
                index += 1
        except av.error.FFmpegError as error:
            raise RecordingError(f"{path} breaks off after {index} decoded frames: {error}") from error
    if index == 0:
        raise RecordingError(f"expected a video at {path}, got a video stream without frames")


def write_video(path: Path | str, images: Iterable[Image], rate_hz: float, lossless: bool = False) -> int:
    """Writes (H, W, 3) uint8 RGB pictures of one size as a video and returns how many there were.

    The suffix chooses the container: .webm (viewing only) or .mp4, both play in browsers. `lossless` writes a
    recording, near-lossless (over 45 dB even under noise), which browsers may be unable to play.
    Raises RecordingError for no pictures, unequal sizes or another suffix.
    """
    path = Path(path)
    allowed = (".mp4",) if lossless else (".mp4", ".webm")
    if path.suffix not in allowed:
        raise RecordingError(f"expected a file name ending in {' or '.join(allowed)}, got {path}")
    iterator = iter(images)
    first = next(iterator, None)
    if first is None:
        raise RecordingError(f"expected at least one picture for {path}, got none")
    with av.open(str(path), "w") as container:
        stream = _add_stream(container, _recording_codec() if lossless else _VIEWING, first, rate_hz)
        count = 0
        for count, image in enumerate(itertools.chain([first], iterator), start=1):
            if image.shape != first.shape or image.dtype != np.uint8:
                raise RecordingError(
                    f"picture {count - 1} of {path}: expected {first.shape} uint8, got {image.shape} {image.dtype}"
                )
            container.mux(stream.encode(_as_frame(image, stream.pix_fmt)))
        container.mux(stream.encode(None))
    return count


def _recording_codec() -> _Codec:
    return _RECORDING if _RECORDING.name in av.codecs_available else _RECORDING_WITHOUT_X264


def _add_stream(container: Any, codec: _Codec, first: Image, rate_hz: float) -> Any:
    if first.ndim != 3 or first.shape[2] != 3:
        raise RecordingError(f"expected (H, W, 3) uint8 pictures, got {first.shape} {first.dtype}")
    stream = container.add_stream(codec.name, rate=Fraction(rate_hz).limit_denominator(1001))
    stream.height, stream.width = first.shape[:2]
    stream.pix_fmt = codec.pixel_format
    stream.options = dict(codec.options)
    if codec.pixel_format == "yuv420p":
        # Without the tag, players guess the color matrix by the picture's height.
        stream.codec_context.colorspace = BT709
        stream.codec_context.color_range = VIDEO_RANGE
    return stream


def _as_frame(image: Image, pixel_format: str) -> av.VideoFrame:
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
    if pixel_format == "yuv420p":
        return frame.reformat(format=pixel_format, dst_colorspace=BT709, dst_color_range=VIDEO_RANGE)
    return frame
