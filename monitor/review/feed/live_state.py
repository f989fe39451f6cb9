"""The newest frame, overlay, report, health and scores of every camera, in memory bounded by cameras and bytes.

Beyond the bounds the camera silent longest is dropped and counted, and so is one that has been silent for too long.
Thumbnails are made on request.
"""

from __future__ import annotations

import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any

import cv2
import structlog
from msgspec.structs import replace

from gradwatch.streams.wire.messages import EncodedFrame, FrameReport, FrameStamp, HealthRecord, Outcome
from gradwatch.streams.wire.pixels import decode_picture, encode_jpeg

from ..metrics import LIVE_BYTES, LIVE_DROPPED
from ..store.schema import Json
from .camera_health import CameraHealth
from .score_ring import ScoreRing, Series

log = structlog.get_logger()

THUMBNAIL_WIDTH_PX = 320
THUMBNAIL_QUALITY = 75


@dataclass(slots=True)
class CameraState:
    """One camera; what has not arrived yet is None. `report` is the newest one without its arrays.

    `newest_ns` is the latest time of publication of its records, by the clocks of those who published them;
    `arrived_s` is when the last of them arrived, by the monotonic clock.
    """

    stream_id: str
    report: FrameReport | None = None
    frame: EncodedFrame | None = None
    overlay: bytes | None = None
    overlay_published_ns: int = 0
    health: CameraHealth = field(default_factory=CameraHealth)
    scores: ScoreRing = field(default_factory=ScoreRing)
    thumbnail: tuple[FrameStamp, bytes] | None = None
    changes: int = 0  # number of updates
    newest_ns: int = 0
    arrived_s: float = -math.inf

    @property
    def nbytes(self) -> int:
        """Memory of this camera, with a constant for its small fields."""
        pictures = len(self.frame.content) if self.frame is not None else 0
        pictures += len(self.thumbnail[1]) if self.thumbnail is not None else 0
        return pictures + len(self.overlay or b"") + self.scores.nbytes + self.health.nbytes + 4096


class LiveState:
    """The state of all cameras. Thread-safe; callers may read the fields of a returned camera, not change them."""

    def __init__(
        self,
        max_cameras: int,
        max_bytes: int,
        forget_after_s: float = math.inf,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.max_cameras, self.max_bytes, self.forget_after_s = max_cameras, max_bytes, forget_after_s
        self._clock = clock
        self._forgotten: Mapping[str, int] = {}
        self._cameras: OrderedDict[str, CameraState] = OrderedDict()
        self._sizes: dict[str, int] = {}
        self._bytes = 0
        self._lock = threading.Lock()

    @property
    def nbytes(self) -> int:
        """Memory of all cameras."""
        return self._bytes

    def put_report(self, report: FrameReport) -> None:
        """Replaces the report; the scores of a judged frame are appended to the ring."""
        with self._updating(report.identity.stream_id, report.published_ns) as camera:
            camera.report = replace(report, detections=None, scores={}, p_values={}, tracks=None, forecasts=None)
            if report.outcome is Outcome.JUDGED:
                camera.scores.append(report)
                camera.health.judged(report.identity.run_id, report.published_ns)

    def put_frame(self, frame: EncodedFrame) -> None:
        """Replaces the frame by one that is not older."""
        with self._updating(frame.stamp.identity.stream_id, frame.stamp.published_ns) as camera:
            if camera.frame is None or frame.stamp.published_ns >= camera.frame.stamp.published_ns:
                camera.frame = frame

    def put_overlay(self, stream_id: str, overlay: bytes, published_ns: int) -> None:
        """Replaces the overlay, `foxglove.ImageAnnotations` as JSON."""
        with self._updating(stream_id, published_ns) as camera:
            camera.overlay, camera.overlay_published_ns = overlay, published_ns

    def put_health(self, record: HealthRecord, published_ns: int) -> None:
        """Takes a health record of the camera's source or of the worker."""
        with self._updating(record.stream_id, published_ns) as camera:
            camera.health.put(record)

    def forget(self, forgotten: Mapping[str, int]) -> None:
        """Drops cameras whose records were all published at the given times (ns since 1970) or before.

        Their earlier records, which are read again after a restart, don't bring them back; a later one does.
        """
        with self._lock:
            self._forgotten = forgotten
            for stream_id in [one.stream_id for one in self._cameras.values() if self._is_forgotten(one)]:
                self._drop(stream_id, "forgotten")

    def forget_silent(self) -> None:
        """Drops every camera of which nothing has arrived for `forget_after_s`."""
        with self._lock:
            now_s = self._clock()
            for camera in list(self._cameras.values()):  # the one silent longest is the first
                if now_s - camera.arrived_s <= self.forget_after_s:
                    return
                log.info("forgot a silent camera", stream=camera.stream_id, silent_s=round(now_s - camera.arrived_s))
                self._drop(camera.stream_id, "silent")

    def silent_s(self, camera: CameraState) -> float:
        """Seconds since the last record of a camera arrived."""
        return self._clock() - camera.arrived_s

    def camera(self, stream_id: str) -> CameraState | None:
        """One camera, None for an unknown one."""
        with self._lock:
            return self._cameras.get(stream_id)

    def cameras(self) -> list[CameraState]:
        """All cameras by id."""
        with self._lock:
            return sorted(self._cameras.values(), key=lambda camera: camera.stream_id)

    def streams_in(self, partition: int) -> int:
        """Number of cameras whose frames are in that partition."""
        with self._lock:
            return sum(_partition(camera) == partition for camera in self._cameras.values())

    def partition_of(self, stream_id: str) -> int | None:
        """The partition of a camera's frames, None while it is unknown."""
        with self._lock:
            camera = self._cameras.get(stream_id)
            return None if camera is None else _partition(camera)

    def series(self, stream_id: str, since_ns: int, max_points: int) -> Series | None:
        """The scores of a camera, None for an unknown one."""
        with self._lock:
            camera = self._cameras.get(stream_id)
            return None if camera is None else camera.scores.series(since_ns, max_points)

    def scores_at(self, stream_id: str, run_id: str, seq: int) -> list[Json] | None:
        """All scores of one frame, None where they are not (or no longer) held."""
        with self._lock:
            camera = self._cameras.get(stream_id)
            return None if camera is None else camera.scores.at(run_id, seq)

    def thumbnail(self, stream_id: str, turn: AbstractContextManager[None]) -> tuple[FrameStamp, bytes] | None:
        """The newest frame and a small JPEG of it, made in `turn`. Raises `BadRecordError` if it can't be decoded."""
        camera = self.camera(stream_id)
        frame = camera.frame if camera is not None else None
        if camera is None or frame is None:
            return None
        made = camera.thumbnail
        if made is None or made[0] is not frame.stamp:
            with turn:
                made = camera.thumbnail  # whoever had the turn before may have made it
                if made is None or made[0] is not frame.stamp:
                    made = (frame.stamp, _shrink(frame.content))
            with self._lock:
                camera.thumbnail = made
                if camera.stream_id in self._cameras:
                    self._account(camera)
        return made

    @contextmanager
    def _updating(self, stream_id: str, published_ns: int) -> Iterator[CameraState]:
        with self._lock:
            if published_ns <= self._forgotten.get(stream_id, -1):
                yield CameraState(stream_id)  # which nobody sees
                return
            camera = self._cameras.get(stream_id)
            if camera is None:
                camera = self._cameras[stream_id] = CameraState(stream_id)
                self._sizes[stream_id] = 0
                if len(self._cameras) > self.max_cameras:
                    self._drop_longest_silent("cameras")
            self._cameras.move_to_end(stream_id)
            camera.changes += 1
            camera.newest_ns, camera.arrived_s = max(camera.newest_ns, published_ns), self._clock()
            yield camera
            self._account(camera)

    def _account(self, camera: CameraState) -> None:
        size = camera.nbytes
        self._bytes += size - self._sizes[camera.stream_id]
        self._sizes[camera.stream_id] = size
        while self._bytes > self.max_bytes and len(self._cameras) > 1:
            self._drop_longest_silent("bytes")
        LIVE_BYTES.set(self._bytes)

    def _is_forgotten(self, camera: CameraState) -> bool:
        return camera.newest_ns <= self._forgotten.get(camera.stream_id, -1)

    def _drop_longest_silent(self, cause: str) -> None:
        self._drop(next(iter(self._cameras)), cause)

    def _drop(self, stream_id: str, cause: str) -> None:
        del self._cameras[stream_id]
        self._bytes -= self._sizes.pop(stream_id)
        LIVE_BYTES.set(self._bytes)
        LIVE_DROPPED.labels(cause).inc()


def _partition(camera: CameraState) -> int | None:
    if camera.frame is not None:
        return camera.frame.stamp.partition
    return None if camera.report is None else camera.report.partition


def _shrink(content: bytes) -> bytes:
    image: Any = decode_picture(content, min_width=THUMBNAIL_WIDTH_PX)
    height, width = image.shape[:2]
    if width > THUMBNAIL_WIDTH_PX:
        size = (THUMBNAIL_WIDTH_PX, max(1, round(height * THUMBNAIL_WIDTH_PX / width)))
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return encode_jpeg(image, THUMBNAIL_QUALITY)
