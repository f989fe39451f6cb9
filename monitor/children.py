"""Other verbs of gradwatch as child processes, with their logs."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

from gradwatch import GradwatchError

STOP_TIMEOUT_S = 20.0


def end_by_exception() -> None:
    """From here on SIGTERM and a closed terminal raise SystemExit; else children would outlive this process."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup has it
            signal.signal(number, lambda *_, code=128 + number: sys.exit(code))


class ChildError(GradwatchError):
    """A child process failed; the message has the end of its log."""


class Child:
    """`gradwatch VERB ARGUMENTS…` running beside this process, its output in `log`."""

    def __init__(self, verb: str, *arguments: object, log: Path) -> None:
        self.verb = verb
        self.log = log
        command = [sys.executable, "-m", "gradwatch.monitor.commands", verb, *map(str, arguments)]
        with log.open("wb") as output:
            # its own session: Ctrl-C reaches the parent alone, which then stops its children in order
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
            )

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self.process.poll() is None

    def wait(self, timeout_s: float | None = None) -> None:
        """Waits for the end. Raises ChildError where it is not a success or does not come in time."""
        try:
            code = self.process.wait(timeout_s)
        except subprocess.TimeoutExpired as error:
            self.process.kill()
            raise ChildError(f"gradwatch {self.verb} did not end within {timeout_s:.0f} s{self._said()}") from error
        if code:
            raise ChildError(f"gradwatch {self.verb} ended with code {code}{self._said()}")

    def wait_for(self, path: Path, timeout_s: float) -> None:
        """Waits until the child has made the file `path`. Raises ChildError."""
        deadline_s = time.monotonic() + timeout_s
        while not path.exists():
            if not self.running:
                self.wait()
                raise ChildError(f"gradwatch {self.verb} ended early{self._said()}")
            if time.monotonic() > deadline_s:
                raise ChildError(f"gradwatch {self.verb} was not ready within {timeout_s:.0f} s{self._said()}")
            time.sleep(0.05)

    def stop(self) -> None:
        """Asks it to end, and makes it end where it does not."""
        if self.running:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def _said(self) -> str:
        return f"; its log {self.log} ends:\n{self.log.read_text(errors='replace')[-2000:]}"
