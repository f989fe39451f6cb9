"""How every camera stands now, in memory, bounded by cameras and bytes: newest picture, overlay, report and scores.

The camera that was silent longest goes when there is no room; that is counted. Thumbnails are made when one asks.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

import cv2

from gradwatch.streams.wire.messages import EncodedFrame, FrameReport, FrameStamp, Outcome
from gradwatch.streams.wire.pixels import decode_picture, encode_jpeg

from ..metrics import LIVE_BYTES, LIVE_DROPPED
from ..store.schema import Json
from .score_ring import ScoreRing, Series

MAX_CAMERAS = 200
MAX_BYTES = 256 * 1024 * 1024
THUMBNAIL_WIDTH_PX = 320
THUMBNAIL_QUALITY = 75


@dataclass(frozen=True, slots=True)
class ReportFacts:
    """What the newest report of a camera says, without its arrays."""

    run_id: str
    seq: int
    capture_ns: int
    published_ns: int
    partition: int
    state: str
    outcome: str
    cause: str | None
    width_px: int
    height_px: int
    change: dict[str, float]
    open_alerts: list[str]
    latency_ms: dict[str, float]
    models_id: str
    calibration_id: str
    configuration_id: str


@dataclass(slots=True)
class CameraState:
    """One camera; what has not come yet is None."""

    stream_id: str
    report: ReportFacts | None = None
    frame: EncodedFrame | None = None
    overlay: bytes | None = None
    overlay_published_ns: int = 0
    health: Json | None = None
    health_published_ns: int = 0
    scores: ScoreRing = field(default_factory=ScoreRing)
    thumbnail: tuple[FrameStamp, bytes] | None = None
    changes: int = 0  # raised with everything that comes

    @property
    def nbytes(self) -> int:
        """What this camera holds in memory; small fields are not counted."""
        pictures = len(self.frame.content) if self.frame is not None else 0
        pictures += len(self.thumbnail[1]) if self.thumbnail is not None else 0
        return pictures + len(self.overlay or b"") + self.scores.nbytes + 4096


class LiveState:
    """Thread-safe. What is read is a copy or immutable."""

    def __init__(self, max_cameras: int = MAX_CAMERAS, max_bytes: int = MAX_BYTES) -> None:
        self.max_cameras, self.max_bytes = max_cameras, max_bytes
        self._cameras: OrderedDict[str, CameraState] = OrderedDict()
        self._sizes: dict[str, int] = {}
        self._bytes = 0
        self._lock = threading.Lock()

    @property
    def nbytes(self) -> int:
        """What all cameras hold."""
        return self._bytes

    def take_report(self, report: FrameReport) -> None:
        """The newest report; scores of judged frames go into the ring."""
        with self._lock:
            camera = self._of(report.identity.stream_id)
            camera.report = _facts(report)
            if report.outcome is Outcome.JUDGED:
                camera.scores.append(report)
            self._account(camera)

    def take_frame(self, frame: EncodedFrame) -> None:
        """A picture, unless a newer one is there."""
        with self._lock:
            camera = self._of(frame.stamp.identity.stream_id)
            if camera.frame is None or frame.stamp.published_ns >= camera.frame.stamp.published_ns:
                camera.frame = frame
            self._account(camera)

    def take_overlay(self, stream_id: str, overlay: bytes, published_ns: int) -> None:
        """`foxglove.ImageAnnotations` as JSON, as it came."""
        with self._lock:
            camera = self._of(stream_id)
            camera.overlay, camera.overlay_published_ns = overlay, published_ns
            self._account(camera)

    def take_health(self, stream_id: str, health: Json, published_ns: int) -> None:
        """What a source says of itself."""
        with self._lock:
            camera = self._of(stream_id)
            camera.health, camera.health_published_ns = health, published_ns
            self._account(camera)

    def camera(self, stream_id: str) -> CameraState | None:
        """One camera as it is now; its fields may be read, not changed."""
        with self._lock:
            return self._cameras.get(stream_id)

    def cameras(self) -> list[CameraState]:
        """All cameras by id."""
        with self._lock:
            return sorted(self._cameras.values(), key=lambda camera: camera.stream_id)

    def streams_in(self, partition: int) -> int:
        """How many cameras' frames are known to be in that partition."""
        with self._lock:
            return sum(_partition(camera) == partition for camera in self._cameras.values())

    def partition_of(self, stream_id: str) -> int | None:
        """The partition of a camera's frames, None where none has come."""
        with self._lock:
            camera = self._cameras.get(stream_id)
            return None if camera is None else _partition(camera)

    def series(self, stream_id: str, since_ns: int, max_points: int) -> Series | None:
        """The scores of a camera, None for one that is not known."""
        with self._lock:
            camera = self._cameras.get(stream_id)
            return None if camera is None else camera.scores.series(since_ns, max_points)

    def scores_at(self, stream_id: str, run_id: str, seq: int) -> list[Json] | None:
        """All scores of one frame, None where they are not (any more) here."""
        with self._lock:
            camera = self._cameras.get(stream_id)
            return None if camera is None else camera.scores.at(run_id, seq)

    def thumbnail(self, stream_id: str) -> tuple[FrameStamp, bytes] | None:
        """The newest picture made small, and which it was. Raises `BadRecordError` for one that can't be decoded."""
        camera = self.camera(stream_id)
        frame = camera.frame if camera is not None else None
        if camera is None or frame is None:
            return None
        made = camera.thumbnail
        if made is None or made[0] is not frame.stamp:
            made = (frame.stamp, _shrunk(frame.content))
            with self._lock:
                camera.thumbnail = made
                if camera.stream_id in self._cameras:
                    self._account(camera)
        return made

    def _of(self, stream_id: str) -> CameraState:
        camera = self._cameras.get(stream_id)
        if camera is None:
            camera = self._cameras[stream_id] = CameraState(stream_id)
            self._sizes[stream_id] = 0
            if len(self._cameras) > self.max_cameras:
                self._drop_silent("cameras")
        self._cameras.move_to_end(stream_id)
        camera.changes += 1
        return camera

    def _account(self, camera: CameraState) -> None:
        size = camera.nbytes
        self._bytes += size - self._sizes[camera.stream_id]
        self._sizes[camera.stream_id] = size
        while self._bytes > self.max_bytes and len(self._cameras) > 1:
            self._drop_silent("bytes")
        LIVE_BYTES.set(self._bytes)

    def _drop_silent(self, cause: str) -> None:
        stream_id, _ = self._cameras.popitem(last=False)
        self._bytes -= self._sizes.pop(stream_id)
        LIVE_DROPPED.labels(cause).inc()


def _facts(report: FrameReport) -> ReportFacts:
    return ReportFacts(
        run_id=report.identity.run_id,
        seq=report.identity.seq,
        capture_ns=report.capture_ns,
        published_ns=report.published_ns,
        partition=report.partition,
        state=report.state.value,
        outcome=report.outcome.value,
        cause=None if report.cause is None else report.cause.value,
        width_px=report.width,
        height_px=report.height,
        change=report.change,
        open_alerts=report.alert_ids,
        latency_ms=report.latency_ms,
        models_id=report.models_id,
        calibration_id=report.calibration_id,
        configuration_id=report.configuration_id,
    )


def _partition(camera: CameraState) -> int | None:
    if camera.frame is not None:
        return camera.frame.stamp.partition
    return None if camera.report is None else camera.report.partition


def _shrunk(content: bytes) -> bytes:
    image: Any = decode_picture(content)
    height, width = image.shape[:2]
    if width > THUMBNAIL_WIDTH_PX:
        size = (THUMBNAIL_WIDTH_PX, max(1, round(height * THUMBNAIL_WIDTH_PX / width)))
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return encode_jpeg(image, THUMBNAIL_QUALITY)
