"""One way to wait for what another thread or process does, and a clock for what needs no waiting."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

import pytest

LIMIT_S = 60.0  # guards against a hang, and says nothing about speed: a busy machine may take its time

Found = TypeVar("Found")


def wait_until(
    condition: Callable[[], Found],
    limit_s: float = LIMIT_S,
    what: str | Callable[[], str] = "a condition",
    poll_s: float = 0.02,
) -> Found:
    """Returns what `condition` returns once that is true; fails the test after `limit_s`."""
    deadline_s = time.monotonic() + limit_s
    while not (found := condition()):
        if time.monotonic() > deadline_s:
            pytest.fail(f"waited {limit_s:.0f} s for {what if isinstance(what, str) else what()}")
        time.sleep(poll_s)
    return found


class StoppedClock:
    """Stands still until a test sets it on."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        """Monotonic seconds."""
        return self.now_s
