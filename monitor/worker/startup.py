"""When a worker is ready: its networks and calibrations are loaded, and it has joined its group."""

from __future__ import annotations

from functools import partial

from gradwatch.streams.observability.health import Condition, Health

from .pipeline import Pipeline
from .threads import Worker


def require_loading(health: Health) -> None:
    """Not ready while networks and calibrations are being loaded; `require_worker` takes this back."""
    health.require("models", lambda: Condition(False, "networks and calibrations are being loaded"))


def require_worker(health: Health, worker: Worker) -> None:
    """Ready once `worker` has joined its group, unless it is stopping or has refused a calibration."""
    health.require("models", lambda: Condition(True, worker.pipeline.judge_frame.models_id))
    health.require("calibrations", partial(bound_calibrations, worker.pipeline))
    health.require("group", partial(group, worker))


def bound_calibrations(pipeline: Pipeline) -> Condition:
    """Whether every stream that names a calibration is judged by it, as far as its frames have come.

    One for pictures of another size is refused when the first of them comes, and its stream then calibrates on its
    own start: a worker in that state is not what its configuration asks for, and a rollout should halt.
    """
    refused = []
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

    A member without a partition is ready: it stands by, and takes over when another leaves.
    """
    if worker.stopping.is_set():
        return Condition(False, "stopping")
    if not worker.consumer.joined:
        return Condition(False, "has not joined yet")
    count = len(worker.consumer.assigned)
    return Condition(True, f"joined, {count} partitions" if count else "joined, stands by without a partition")
