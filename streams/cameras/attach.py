"""Cameras attached to the topics: one run each, with its frames, its health records and its counts.

Each camera has threads, a run and a queue of its own and shares only the producer, so that none stops another.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog

from gradwatch import MissingFileError

from ..health_topic import HealthTopic
from ..observability.health import Condition, Health
from ..observability.logs import scrub
from ..publish import Run, SourceSummary, publish
from ..recordings.bag_storage import is_bag
from ..sources import SOURCES, FrameSource, Playback
from ..transport.producer import BoundedProducer
from ..wire.topics import Topics
from .address import Transport, camera_address, is_live
from .backoff import Backoff
from .camera import LiveCamera

log: Any = structlog.get_logger(__name__)

QUEUE_BYTES = 8 * 1024 * 1024  # of frames that wait while the broker takes nothing
FLUSH_S = 10.0


@dataclass(frozen=True, slots=True)
class CameraPlan:
    """One source and how it is attached; `source` may hold credentials, `stream_id` may not."""

    stream_id: str
    source: str = field(repr=False)
    transport: Transport = "tcp"
    rate_hz: float | None = None  # None: as many frames as come
    partition: int | None = None  # None: by key


@dataclass(frozen=True, slots=True)
class CameraSummary:
    """What became of a camera's frames and how often it was disturbed; `frames` = `published` + all `dropped`.

    `failure` says in words what ended it, "" where it was stopped or came to its end.
    """

    stream_id: str
    run_id: str = ""
    frames: int = 0
    published: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    published_bytes: int = 0
    disturbances: dict[str, int] = field(default_factory=dict)
    failure: str = ""


def attach(
    plan: CameraPlan,
    producer: BoundedProducer,
    topics: Topics,
    *,
    stop: threading.Event,
    health: Health | None = None,
    wait: bool = False,
    backoff: Backoff | None = None,
) -> CameraSummary:
    """Publishes one source until `stop` is set, or until it ends where it is a recording.

    A camera's first connection must come about unless `wait`: raises `CameraError`; `CameraAddressError` for what
    is no address, FileNotFoundError for a recording that is not there.
    """
    health = health or Health()
    if not is_live(plan.source):
        source = recorded(Path(plan.source), Playback(plan.rate_hz), plan.stream_id)
        played = publish(
            source, producer, topics, plan.stream_id, pace=True, partition=plan.partition, stop=stop, health=health
        )
        return _summary(played, played.frames, {}, {})
    run, records = Run(producer, topics, plan.stream_id, plan.partition, QUEUE_BYTES), HealthTopic(producer, topics)
    camera = LiveCamera(
        camera_address(plan.source, plan.transport),
        plan.stream_id,
        plan.rate_hz,
        wait=wait,
        run_id=run.run_id,
        report=records.put,
        backoff=backoff,
    )
    health.require(f"broker {plan.stream_id}", run.broker)
    health.require(f"camera {plan.stream_id}", camera.condition)
    with closing(camera.live()) as frames:
        for frame in frames:
            health.beat(f"source {plan.stream_id}")
            if frame is None:
                run.drain()
            else:
                run.take(frame, wait_for_room=False)
            records.drain()
            if stop.is_set():
                break
    health.rest(f"source {plan.stream_id}")
    return _summary(run.finish(FLUSH_S), camera.came, camera.dropped, camera.disturbances.counts)


def attach_all(
    plans: Sequence[CameraPlan],
    producer: BoundedProducer,
    topics: Topics,
    *,
    stop: threading.Event,
    health: Health | None = None,
) -> list[CameraSummary]:
    """Publishes every source on a thread of its own and returns when all have ended; a failure is told in its summary.

    Cameras that are away are waited for.
    """
    health = health or Health()
    summaries: dict[str, CameraSummary] = {}

    def run(plan: CameraPlan) -> None:
        try:
            summaries[plan.stream_id] = attach(plan, producer, topics, stop=stop, health=health, wait=True)
        except Exception as error:  # whatever it is, the other cameras go on
            failure = scrub(f"{type(error).__name__}: {error}")
            log.exception("camera ended", stream=plan.stream_id)
            health.require(f"camera {plan.stream_id}", lambda: Condition(False, failure))
            health.rest(f"source {plan.stream_id}")
            summaries[plan.stream_id] = CameraSummary(plan.stream_id, failure=failure)

    threads = [threading.Thread(target=run, args=(plan,), name=f"attach {plan.stream_id}") for plan in plans]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [summaries[plan.stream_id] for plan in plans]


def recorded(path: Path, playback: Playback, name: str | None) -> FrameSource:
    """A bag (ROS 2 or MCAP), a folder of pictures or a video. Raises MissingFileError where there is nothing."""
    if not path.exists():
        raise MissingFileError(
            f"expected a camera's address (rtsp://…, http://…, a number), a file or a folder, got {scrub(str(path))}"
        )
    if is_bag(path):
        return SOURCES["bag"](path, playback=playback, name=name)
    return SOURCES["pictures" if path.is_dir() else "video"](path, playback, name)


def _summary(run: SourceSummary, came: int, dropped: dict[str, int], disturbances: dict[str, int]) -> CameraSummary:
    causes = Counter({str(cause): count for cause, count in dropped.items()}) + Counter(run.dropped)
    return CameraSummary(
        run.stream_id, run.run_id, came, run.published, dict(causes), run.published_bytes, disturbances
    )
