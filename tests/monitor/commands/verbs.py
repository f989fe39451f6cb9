"""The verbs as processes of their own, as they are typed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def running(*arguments: object) -> Iterator[subprocess.Popen[str]]:
    """`gradwatch` with these arguments; it is killed in the end if it has not ended by itself."""
    command = [sys.executable, "-m", "gradwatch.monitor.commands", *map(str, arguments)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def said_by(*arguments: object) -> tuple[int, str]:
    """The exit code of `gradwatch`, and all that it said."""
    with running(*arguments) as process:
        said, _ = process.communicate(timeout=60)
        return process.returncode, said
