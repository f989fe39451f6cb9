"""Frames, reports, alerts, observations and scores for tests: everything that a test does not name has a plain default.

Reports and alerts take their times from `seq`, at 5 frames a second.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradwatch.models.image_statistics import STATISTICS as IMAGE_STATISTICS
from gradwatch.models.outputs import NO_DETECTIONS, Detections, HeadOutputs, Observation, Tiles
from gradwatch.monitor.scorers import ClosedForm
from gradwatch.streams.wire.frames import encode_frame
from gradwatch.streams.wire.messages import (
    Alert,
    AlertKind,
    AlertState,
    EncodedFrame,
    FrameIdentity,
    FrameReport,
    FrameStamp,
    Outcome,
    Severity,
    StreamState,
    alert_id,
)
from gradwatch.streams.wire.pixels import JPEG_EXIF, encode_jpeg
from gradwatch.streams.wire.records import Record

SECOND_NS = 1_000_000_000
STEP_NS = SECOND_NS // 5
RUN = "01JD0000000000000000000000"

ROWS, COLUMNS, TILES_PER_FRAME, STATISTICS = 10, 18, 9, len(IMAGE_STATISTICS)
CONTRAST = np.zeros(STATISTICS, np.float32)
CONTRAST[3] = 20.0  # of the image statistics: a picture whose lumas differ, so that it is not of one color

NO_TILES = Tiles(
    np.empty((0, 2), np.int32),
    np.empty(0, np.float32),
    np.empty((0, 4), np.float32),
)


def gray_jpeg(level: int = 120, size: tuple[int, int] = (96, 54)) -> bytes:
    """A gray picture of `size` (width, height)."""
    return encode_jpeg(np.full((size[1], size[0], 3), level, np.uint8))


def jpeg_with_exif(jpeg: bytes, tiff: bytes) -> bytes:
    """`jpeg` with an EXIF block of this content."""
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(JPEG_EXIF + tiff) + 2) + JPEG_EXIF + tiff + jpeg[2:]


def noise_jpeg(seed: int = 0, size: tuple[int, int] = (64, 48), quality: int = 90) -> bytes:
    """A picture of noise: as large as JPEG makes any, and unlike that of any other seed."""
    noise = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    return encode_jpeg(noise, quality)


def frame_stamp(
    stream_id: str, seq: int, run_id: str = "run", *, capture_ns: int = 0, published_ns: int = 0, **rest: Any
) -> FrameStamp:
    """The stamp of a frame; `rest` are further fields of FrameStamp."""
    return FrameStamp(FrameIdentity(stream_id, run_id, seq), capture_ns, published_ns, **rest)


def encoded_frame(stream_id: str, seq: int, run_id: str = "run", *, content: bytes = b"", **stamp: Any) -> EncodedFrame:
    """A JPEG as it came from its camera; `stamp` are fields of FrameStamp."""
    return EncodedFrame(frame_stamp(stream_id, seq, run_id, size_bytes=len(content), **stamp), content)


def frame_record(frame: EncodedFrame, partition: int = 0, offset: int = 0, timestamp_ms: int = 0) -> Record:
    """`frame` as a consumer gets it."""
    wire = encode_frame(frame)
    return Record("frames", partition, offset, timestamp_ms, wire.key, wire.value, tuple(wire.headers))


def frame_report(stream_id: str, seq: int, run_id: str = "run", **changes: Any) -> FrameReport:
    """The report of a judged frame in which nothing was seen."""
    fields: dict[str, Any] = {
        "identity": FrameIdentity(stream_id, run_id, seq),
        "partition": 0,
        "offset": seq,
        "capture_ns": seq * STEP_NS,
        "published_ns": 0,
        "clock": "media",
        "outcome": Outcome.JUDGED,
        "state": StreamState.WATCHING,
    }
    return FrameReport(**fields | changes)


def shift_alert(
    stream_id: str, onset_seq: int, run_id: str = "run", *, last_seq: int | None = None, **changes: Any
) -> Alert:
    """The first revision of a shift of distribution that was last seen three frames after its onset."""
    last_seq = onset_seq + 3 if last_seq is None else last_seq
    kind = changes.get("kind", AlertKind.DISTRIBUTION_SHIFT)
    fields: dict[str, Any] = {
        "alert_id": alert_id(stream_id, run_id, kind, onset_seq),
        "revision": 1,
        "kind": kind,
        "severity": Severity.WARNING,
        "state": AlertState.OPEN,
        "stream_id": stream_id,
        "run_id": run_id,
        "onset_seq": onset_seq,
        "last_seq": last_seq,
        "onset_capture_ns": onset_seq * STEP_NS,
        "last_capture_ns": last_seq * STEP_NS,
        "partition": 0,
        "first_offset": onset_seq,
        "last_offset": last_seq,
        "score": 1.25,
        "p_value": 0.002,
        "threshold": 9.5,
        "mean_time_between_false_alarms_s": 3600.0,
        "carried_by": ["image_statistics"],
        "reason": "frames differ from the clean ones of this stream",
    }
    return Alert(**fields | changes)


def plain_observation(**changes: Any) -> Observation:
    """A picture of 96 x 54 px in which nothing was seen, at the middle of all statistics but that of its contrast."""
    fields: dict[str, Any] = {
        "size": (96, 54),
        "detections": NO_DETECTIONS,
        "heads": {},
        "tiles": NO_TILES,
        "image_statistics": CONTRAST,
    }
    return Observation(**fields | changes)


def draw_tiles(generator: np.random.Generator, moved: float) -> Tiles:
    """Tiles that lie `moved` deviations from the clean ones: losses above, cosines below."""
    position = generator.permutation(ROWS * COLUMNS)[:TILES_PER_FRAME]
    row = position // COLUMNS
    cosines = 0.5 + 0.02 * row[:, None] + 0.05 * generator.normal(size=(TILES_PER_FRAME, 4)) - 0.05 * moved
    loss = np.exp(-5 + 0.2 * row + 0.3 * generator.normal(size=TILES_PER_FRAME) + 0.3 * moved)
    return Tiles(
        np.stack([row, position % COLUMNS], axis=1).astype(np.int32),
        loss.astype(np.float32),
        cosines.astype(np.float32),
    )


def draw_observations(frames: int, seed: int, shift: float = 0.0, shifted_from: int | None = None) -> list[Observation]:
    """`frames` observations whose statistics are AR(1), dependent in time like a drive's.

    `shift` deviations are added from frame `shifted_from` on.
    """
    generator = np.random.default_rng(seed)
    level = np.zeros(STATISTICS)
    result = []
    for t in range(frames):
        level = 0.9 * level + np.sqrt(1 - 0.81) * generator.normal(size=STATISTICS)
        moved = shift if shifted_from is not None and t >= shifted_from else 0.0
        statistics = (level + moved + CONTRAST).astype(np.float32)
        tiles = draw_tiles(generator, moved)
        result.append(plain_observation(size=(960, 540), tiles=tiles, image_statistics=statistics))
    return result


def add_signs(
    observation: Observation, logits: NDArray[Any], features: NDArray[Any], xyxy: NDArray[Any]
) -> Observation:
    """`observation` with sign boxes `xyxy` (k, 4) that head `signs` reads as `logits` (k, C)."""
    count = len(xyxy)
    outputs = HeadOutputs(np.arange(count, dtype=np.int32), logits.astype(np.float32), features.astype(np.float32))
    return Observation(
        observation.size,
        Detections(xyxy.astype(np.float32), np.full(count, 0.9, np.float32), np.zeros(count, np.int32)),
        {"signs": outputs},
        observation.tiles,
        observation.image_statistics,
    )


def closed_form(values: Any, head: Any = 0) -> ClosedForm:
    """A closed form of the first detections of a frame, read by `head`, one for all or one each."""
    count = len(values)
    return ClosedForm(np.float32(values), np.arange(count, dtype=np.int32), np.full(count, head, np.int32))


class StubObserver:
    """Stands where `gradwatch.models.observe.Observer` stands: observation `seq` of a list, whatever the picture.

    The list is repeated when it ends. `before` is called with each seq first, and may wait or raise. `asked` keeps
    (shape, type, seq) of every picture.
    """

    def __init__(self, observations: list[Observation], before: Callable[[int], object] = lambda seq: None) -> None:
        self.observations, self.before = observations, before
        self.asked: list[tuple[tuple[int, ...], np.dtype[Any], int]] = []

    def observe(self, images: list[NDArray[np.uint8]], seqs: list[int]) -> list[Observation]:
        for image, seq in zip(images, seqs, strict=True):
            self.before(seq)
            self.asked.append((image.shape, image.dtype, seq))
        return [self.observations[seq % len(self.observations)] for seq in seqs]
