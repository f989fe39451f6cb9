"""Checks memory, disk, ports and the machine's own clock."""

from __future__ import annotations

import os
import shlex
import shutil
import socket
import subprocess
import tempfile
import urllib.request
from pathlib import Path

from .results import Context, Result, Status

GIB = 1 << 30
WORKER_BYTES = 512 << 20  # of a worker with its networks, without frames that wait
DISK_BYTES = 1 * GIB
CGROUPS = (  # limit and use of memory of a container: version 2 and 1
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
)


def memory(context: Context) -> list[Result]:
    """Free memory, against that of a worker and the frames that may wait in it."""
    needed = WORKER_BYTES + context.configuration.worker.max_pending_bytes
    free = _available_bytes()
    if free is None:
        return [Result("memory", Status.UNKNOWN, "this system does not report free memory", needed=False)]
    found = f"{free / GIB:.1f} GiB free, a worker takes up to {needed / GIB:.1f}"
    if free < needed:
        return [Result("memory", Status.WRONG, found, "free memory, or lower worker.max_pending_bytes")]
    return [Result("memory", Status.OK, found)]


def _available_bytes() -> int | None:
    """Free memory of the machine, or what the container may still allocate if that is less."""
    try:
        rows = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
        free = int(rows["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        return None
    rooms = [_number(limit) - _number(used) for limit, used in CGROUPS if _number(limit) > 0]
    return min([free, *rooms])


def _number(path: str) -> int:
    """The number in a file of the kernel, 0 if there is none."""
    try:
        text = Path(path).read_text().strip()
    except OSError:
        return 0
    return int(text) if text.isdigit() else 0


def disk(context: Context) -> list[Result]:
    """Free space in the working folder and for temporary files, and whether both can be written."""
    return [_space("disk, this folder", Path.cwd()), _space("disk, temporary", Path(tempfile.gettempdir()))]


def _space(subject: str, folder: Path) -> Result:
    if not os.access(folder, os.W_OK):
        remedy = f"chmod u+w {shlex.quote(str(folder))}"
        return Result(subject, Status.WRONG, f"{folder} can't be written", remedy, needed=False)
    free = shutil.disk_usage(folder).free
    found = f"{free / GIB:.1f} GiB free at {folder}"
    if free < DISK_BYTES:
        return Result(subject, Status.WRONG, found, f"free {DISK_BYTES / GIB:.0f} GiB there", needed=False)
    return Result(subject, Status.OK, found, needed=False)


def ports(context: Context) -> list[Result]:
    """Whether the worker's metrics port is free, or used by a gradwatch already."""
    settings = context.configuration.worker
    port, address = settings.metrics_port, settings.metrics_address
    if port is None:
        return [Result("metrics port", Status.OK, "none configured (worker.metrics_port)", needed=False)]
    try:
        with socket.create_server((address, port)):
            return [Result("metrics port", Status.OK, f"{address}:{port} is free")]
    except OSError as error:
        if _is_gradwatch(address, port):
            return [Result("metrics port", Status.OK, f"{address}:{port} is used by a running gradwatch")]
        remedy = "end what uses it, or set another worker.metrics_port"
        found = f"{address}:{port}: {os.strerror(error.errno or 0)}"
        return [Result("metrics port", Status.WRONG, found, remedy)]


def _is_gradwatch(address: str, port: int) -> bool:
    """Whether a worker or source serves its metrics there."""
    host = "127.0.0.1" if address == "0.0.0.0" else address
    try:
        with urllib.request.urlopen(f"http://{host}:{port}/metrics", timeout=2) as answer:
            return b"gradwatch_build_info" in answer.read(1 << 20)
    except (OSError, ValueError):
        return False


def own_clock(context: Context) -> list[Result]:
    """Whether this machine's clock is synchronized."""
    subject = "clock of this machine"
    if shutil.which("timedatectl") is None:
        return [Result(subject, Status.UNKNOWN, "no timedatectl here to ask for NTP", needed=False)]
    command = ["timedatectl", "show", "--property=NTPSynchronized", "--value"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False, timeout=5).stdout.strip()
    if answer == "yes":
        return [Result(subject, Status.OK, "synchronized by NTP", needed=False)]
    if answer == "no":
        return [Result(subject, Status.WRONG, "not synchronized", "timedatectl set-ntp true", needed=False)]
    return [Result(subject, Status.UNKNOWN, "timedatectl does not report NTP", needed=False)]
