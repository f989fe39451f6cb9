"""Before and while a worker starts: checks of the broker and its topics, readiness, and the allocator's limit."""

from __future__ import annotations

import ctypes
import sys
from functools import partial

import structlog

from gradwatch import GradwatchError
from gradwatch.streams.observability.health import Condition, Health
from gradwatch.streams.transport.admin import TopicProblem, check_topics
from gradwatch.streams.transport.connection import BrokerUnavailableError

from ..config import Configuration
from .build import topics_of
from .pipeline import Pipeline
from .threads import Worker

log = structlog.get_logger()

M_ARENA_MAX = -8  # of glibc's malloc.h
ARENAS = 2


class UnfitTopicsError(GradwatchError):
    """A topic is missing, or partition counts of topics differ; the message has the command that fixes it."""


def check_broker(configuration: Configuration, remedy: str, wait: bool = False) -> None:
    """Checks that the broker answers and its topics are as the contract needs; `remedy` is the command to fix them.

    With `wait` it waits for a broker that does not answer. Problems that do not stop a worker (sizes, retention) are
    logged as warnings. Raises BrokerUnavailableError, BrokerRefusedError, UnfitTopicsError.
    """
    problems = _problems(configuration, wait)
    unknown = [problem for problem in problems if problem.is_unknown]
    if unknown:
        log.info("topic settings unknown", settings=len(unknown), why="this broker does not report them")
    wrong = [problem for problem in problems if not problem.is_unknown and not problem.is_fatal]
    for problem in wrong:
        log.warning(str(problem))
    if wrong:
        log.warning(f"or let gradwatch do it: {remedy}")
    fatal = [str(problem) for problem in problems if problem.is_fatal]
    if fatal:
        raise UnfitTopicsError(
            "\n".join(["topics are not fit to work with:", *fatal, f"or let gradwatch do it: {remedy}"])
        )


def _problems(configuration: Configuration, wait: bool) -> list[TopicProblem]:
    broker = configuration.broker
    while True:
        try:
            return check_topics(broker.bootstrap_servers, topics_of(configuration), client_settings=broker.client)
        except BrokerUnavailableError as error:
            if not wait:
                raise
            log.warning("waiting for the broker", error=str(error))


def require_loading(health: Health) -> None:
    """Not ready while networks and calibrations are loading; `require_worker` replaces this condition."""
    health.require("models", lambda: Condition(False, "networks and calibrations are being loaded"))


def require_worker(health: Health, worker: Worker) -> None:
    """Ready once `worker` has joined its group, unless it stops, has refused a calibration or can't publish."""
    health.require("models", lambda: Condition(True, worker.pipeline.judge_frame.models_id))
    health.require("calibrations", partial(bound_calibrations, worker.pipeline))
    health.require("group", partial(group, worker))
    health.require("outputs", partial(outputs, worker))


def bound_calibrations(pipeline: Pipeline) -> Condition:
    """Whether every stream that names a calibration is judged by it, as far as its frames have come.

    A file that can't be used is refused before, a calibration for another picture size at the stream's first frame.
    Either way the stream calibrates on its own start: that is not what the configuration asks for, and a rollout should
    halt.
    """
    refused = list(pipeline.refused_calibrations)
    for stream_id, given in pipeline.calibrations.items():
        state = pipeline.states.get(stream_id)
        if state is not None and (
            state.calibration is None or state.calibration.calibration_id != given.calibration_id
        ):
            refused.append(stream_id)
    if refused:
        return Condition(False, f"refused, so that they calibrate on their own start: {', '.join(sorted(refused))}")
    return Condition(True, f"{len(pipeline.calibrations)} bound")


def group(worker: Worker) -> Condition:
    """Whether the worker is a member of its consumer group.

    A member without a partition is ready: it stands by and takes over when another leaves.
    """
    if worker.stopping.is_set():
        return Condition(False, "stopping")
    if not worker.consumer.joined:
        return Condition(False, "has not joined yet")
    count = len(worker.consumer.assigned)
    return Condition(True, f"joined, {count} partitions" if count else "joined, stands by without a partition")


def outputs(worker: Worker) -> Condition:
    """Whether reports, alerts and states are published; best-effort outputs don't count."""
    blocked = worker.blocked()
    return Condition(not blocked, blocked or "published")


def limit_arenas() -> bool:
    """Limits glibc's allocator to ARENAS arenas; returns whether this system has them. Call it before threads start.

    By default each thread gets an arena of its own, and no other thread can reuse what one frees. Pictures go from
    thread to thread here, so a worker would hold tens of MB more than it uses. MALLOC_ARENA_MAX does the same.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # absent from musl
    return mallopt is not None and mallopt(M_ARENA_MAX, ARENAS) == 1
