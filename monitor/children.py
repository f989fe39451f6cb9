"""Runs other verbs of gradwatch as child processes that log to files."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from gradwatch import GradwatchError

STOP_TIMEOUT_S = 20.0
Answer = TypeVar("Answer")


def end_by_exception() -> None:
    """From here on SIGTERM and a closed terminal raise SystemExit; else children would outlive this process."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup ignores SIGHUP
            signal.signal(number, lambda *_, code=128 + number: sys.exit(code))


def stop_together(children: Sequence[Child], within_s: float) -> None:
    """Sends SIGTERM to all children at once, and SIGKILL to those that have not ended `within_s` later."""
    running = [child.process for child in children if child.running]
    for process in running:
        process.terminate()
    deadline_s = time.monotonic() + within_s
    try:
        for process in running:
            with suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, deadline_s - time.monotonic()))
    finally:  # also after a second Ctrl-C
        for process in running:
            if process.poll() is None:
                process.kill()
                process.wait()


class ChildError(GradwatchError):
    """A child process failed; the message contains the end of its log."""


class Child:
    """`gradwatch VERB ARGUMENTS…` as a child process with its output in `log`; stops at the end of a `with` block."""

    def __init__(self, verb: str, *arguments: object, log: Path) -> None:
        self.verb = verb
        self.log = log
        command = [sys.executable, "-m", "gradwatch.monitor.commands", verb, *map(str, arguments)]
        with log.open("wb") as output:
            # in a session of its own, so that Ctrl-C reaches the parent alone, which stops its children in order
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
            )

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self.process.poll() is None

    def wait(self, timeout_s: float | None = None) -> None:
        """Waits for the end. Raises ChildError if it fails, subprocess.TimeoutExpired after `timeout_s`."""
        if code := self.process.wait(timeout_s):
            raise ChildError(f"gradwatch {self.verb} ended with code {code}{self._log_end()}")

    def wait_until(self, ready: Callable[[], Answer | None], timeout_s: float) -> Answer:
        """The answer of `ready`, asked until it is true. Raises ChildError if the child ends or takes too long."""
        deadline_s = time.monotonic() + timeout_s
        while not (answer := ready()):
            if not self.running:
                self.wait()
                raise ChildError(f"gradwatch {self.verb} ended early{self._log_end()}")
            if time.monotonic() > deadline_s:
                raise ChildError(f"gradwatch {self.verb} was not ready within {timeout_s:.0f} s{self._log_end()}")
            time.sleep(0.05)
        return answer

    def stop(self) -> None:
        """Sends SIGTERM, and SIGKILL if the child does not end within STOP_TIMEOUT_S."""
        stop_together([self], STOP_TIMEOUT_S)

    def _log_end(self) -> str:
        return f"; its log {self.log} ends:\n{self.log.read_text(errors='replace')[-2000:]}"
