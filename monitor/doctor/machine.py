"""Memory, disk, ports and the machine's own clock."""

from __future__ import annotations

import os
import shlex
import shutil
import socket
import subprocess
import tempfile
import urllib.request
from pathlib import Path

from .findings import Finding, Scope, Status

GIB = 1 << 30
WORKER_BYTES = 512 << 20  # a worker with its networks, without the frames that wait
DISK_BYTES = 1 * GIB
CGROUPS = (  # what a container may hold, and what it holds: version 2 and 1
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
)


def memory(scope: Scope) -> list[Finding]:
    """What is free, against a worker and the frames that may wait in it."""
    wanted = WORKER_BYTES + scope.configuration.worker.max_pending_bytes
    free = _available_bytes()
    if free is None:
        return [Finding("memory", Status.UNKNOWN, "this system does not tell what is free", needed=False)]
    found = f"{free / GIB:.1f} GiB free, a worker takes up to {wanted / GIB:.1f}"
    if free < wanted:
        return [Finding("memory", Status.WRONG, found, "free memory, or lower worker.max_pending_bytes")]
    return [Finding("memory", Status.OK, found)]


def _available_bytes() -> int | None:
    """Free memory of the machine, or what the container may still take where that is less."""
    try:
        rows = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
        free = int(rows["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        return None
    rooms = [_number(limit) - _number(used) for limit, used in CGROUPS if _number(limit) > 0]
    return min([free, *rooms])


def _number(path: str) -> int:
    """What a file of the kernel says, 0 where it says none."""
    try:
        text = Path(path).read_text().strip()
    except OSError:
        return 0
    return int(text) if text.isdigit() else 0


def disk(scope: Scope) -> list[Finding]:
    """Room in the working folder and for temporary files, and that both can be written."""
    return [_room("disk, this folder", Path.cwd()), _room("disk, temporary", Path(tempfile.gettempdir()))]


def _room(subject: str, folder: Path) -> Finding:
    if not os.access(folder, os.W_OK):
        remedy = f"chmod u+w {shlex.quote(str(folder))}"
        return Finding(subject, Status.WRONG, f"{folder} can't be written", remedy, needed=False)
    free = shutil.disk_usage(folder).free
    found = f"{free / GIB:.1f} GiB free at {folder}"
    if free < DISK_BYTES:
        return Finding(subject, Status.WRONG, found, f"free {DISK_BYTES / GIB:.0f} GiB there", needed=False)
    return Finding(subject, Status.OK, found, needed=False)


def ports(scope: Scope) -> list[Finding]:
    """The port that the worker is told to serve."""
    settings = scope.configuration.worker
    port, address = settings.metrics_port, settings.metrics_address
    if port is None:
        return [Finding("metrics port", Status.OK, "none is asked for (worker.metrics_port)", needed=False)]
    try:
        with socket.create_server((address, port)):
            return [Finding("metrics port", Status.OK, f"{address}:{port} is free")]
    except OSError as error:
        if _is_gradwatch(address, port):
            return [Finding("metrics port", Status.OK, f"{address}:{port} is served by a gradwatch that runs")]
        remedy = "end what uses it, or set another worker.metrics_port"
        return [Finding("metrics port", Status.WRONG, f"{address}:{port}: {os.strerror(error.errno or 0)}", remedy)]


def _is_gradwatch(address: str, port: int) -> bool:
    """Whether what answers there is the status page of a worker or source."""
    host = "127.0.0.1" if address == "0.0.0.0" else address
    try:
        with urllib.request.urlopen(f"http://{host}:{port}/metrics", timeout=2) as answer:
            return b"gradwatch_build_info" in answer.read(1 << 20)
    except (OSError, ValueError):
        return False


def own_clock(scope: Scope) -> list[Finding]:
    """Whether this machine's clock follows a reference."""
    subject = "clock of this machine"
    if shutil.which("timedatectl") is None:
        return [Finding(subject, Status.UNKNOWN, "nothing here tells whether NTP holds it", needed=False)]
    asked = ["timedatectl", "show", "--property=NTPSynchronized", "--value"]
    told = subprocess.run(asked, capture_output=True, text=True, check=False, timeout=5).stdout.strip()
    if told == "yes":
        return [Finding(subject, Status.OK, "held by NTP", needed=False)]
    if told == "no":
        return [Finding(subject, Status.WRONG, "not held by NTP", "timedatectl set-ntp true", needed=False)]
    return [Finding(subject, Status.UNKNOWN, "timedatectl does not tell whether NTP holds it", needed=False)]
