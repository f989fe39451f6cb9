"""Publishes live cameras and recordings as streams: one run each, with its frames, health records and counts.

Each source has its own threads, run and queue and shares only the producer, so that none stops another.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import Any

import structlog

from ..health_topic import HealthTopic
from ..observability.health import Condition, Health
from ..observability.logs import scrub
from ..publish import RunPublisher, SourceSummary, publish
from ..recordings.played import Playback, SourceOptionError
from ..sources import open_source
from ..transport.producer import BoundedProducer
from ..wire.topics import Topics
from .address import Transport, camera_address, is_live
from .backoff import Backoff
from .camera import LiveCamera

log: Any = structlog.get_logger(__name__)

QUEUE_BYTES = 8 * 1024 * 1024  # of frames that wait while the broker accepts none
FLUSH_S = 10.0


@dataclass(frozen=True, slots=True)
class CameraPlan:
    """One source and how to attach it; `source` may contain credentials, `stream_id` may not."""

    stream_id: str
    source: str = field(repr=False)
    transport: Transport = "tcp"
    rate_hz: float | None = None  # None: every frame
    partition: int | None = None  # None: by key
    allow_hosts: tuple[str, ...] = ()  # where a camera may lead to, beside its own host


@dataclass(frozen=True, slots=True)
class CameraSummary:
    """Counts of a source's frames and disturbances; `frames` = `published` + all `dropped`.

    `failure` is the error that ended it, "" where it was stopped or reached its end.
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
    """Publishes one source until `stop` is set, or until the end of a recording.

    Raises `CameraError` if a camera's first connection fails, unless `wait`; `CameraAddressError` for an illegal
    address, and as `open_source` for a recording.
    """
    health = health or Health()
    if not is_live(plan.source):
        source = open_source(plan.source, Playback(plan.rate_hz), plan.stream_id)
        played = publish(
            source, producer, topics, plan.stream_id, pace=True, partition=plan.partition, stop=stop, health=health
        )
        return replace(_summary(played, played.frames, {}, {}), failure=played.failure)
    run = RunPublisher(producer, topics, plan.stream_id, plan.partition, QUEUE_BYTES)
    records = HealthTopic(producer, topics)
    camera = LiveCamera(
        camera_address(plan.source, plan.transport, plan.allow_hosts),
        plan.stream_id,
        plan.rate_hz,
        wait=wait,
        run_id=run.run_id,
        report=records.put,
        backoff=backoff,
    )
    health.require(f"broker {plan.stream_id}", run.broker_condition)
    health.require(f"camera {plan.stream_id}", camera.condition)
    try:
        with closing(camera.live()) as frames:
            for frame in frames:
                health.beat(f"source {plan.stream_id}")
                if frame is None:
                    run.drain()
                else:
                    run.put(frame, wait_for_room=False)
                records.drain()
                if stop.is_set():
                    break
    finally:
        played = run.finish(FLUSH_S)
    health.rest(f"source {plan.stream_id}")
    return _summary(played, camera.received, camera.dropped, dict(camera.disturbances.counts))


def attach_all(
    plans: Sequence[CameraPlan],
    producer: BoundedProducer,
    topics: Topics,
    *,
    stop: threading.Event,
    health: Health | None = None,
) -> list[CameraSummary]:
    """Publishes every source on its own thread and returns when all have ended; an error is in its source's summary.

    Waits for cameras that can't be reached. Raises SourceOptionError where two sources have one stream: their frames
    would be mixed.
    """
    shared = [name for name, count in Counter(plan.stream_id for plan in plans).items() if count > 1]
    if shared:
        raise SourceOptionError(f"expected a stream of its own for each source, got several as {', '.join(shared)}")
    health = health or Health()
    summaries: dict[str, CameraSummary] = {}

    def run(plan: CameraPlan) -> None:
        try:
            summaries[plan.stream_id] = attach(plan, producer, topics, stop=stop, health=health, wait=True)
        except Exception as error:  # any error ends this source only
            failure = scrub(f"{type(error).__name__}: {error}")
            log.exception("source failed", stream=plan.stream_id)
            health.require(f"camera {plan.stream_id}", lambda: Condition(False, failure))
            health.rest(f"source {plan.stream_id}")
            summaries[plan.stream_id] = CameraSummary(plan.stream_id, failure=failure)

    threads = [threading.Thread(target=run, args=(plan,), name=f"attach {plan.stream_id}") for plan in plans]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [summaries[plan.stream_id] for plan in plans]


def _summary(run: SourceSummary, received: int, dropped: dict[str, int], disturbances: dict[str, int]) -> CameraSummary:
    causes = Counter({str(cause): count for cause, count in dropped.items()}) + Counter(run.dropped)
    return CameraSummary(
        run.stream_id, run.run_id, received, run.published, dict(causes), run.published_bytes, disturbances
    )
