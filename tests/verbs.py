"""The verbs as processes of their own, as they are typed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

LIMIT_S = 240.0  # against a verb that hangs, on a machine that others keep busy


@contextmanager
def running(*arguments: object, environment: Mapping[str, str] = {}) -> Iterator[subprocess.Popen[str]]:
    """`gradwatch` with these arguments; it is killed in the end if it has not ended by itself."""
    command = [sys.executable, "-m", "gradwatch.monitor.commands", *map(str, arguments)]
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | environment,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def said_by(*arguments: object, environment: Mapping[str, str] = {}) -> tuple[int, str]:
    """The exit code of `gradwatch`, and all that it said."""
    with running(*arguments, environment=environment) as process:
        said, _ = process.communicate(timeout=LIMIT_S)
        return process.returncode, said
