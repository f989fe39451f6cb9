"""The verbs as processes of their own, as they are typed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

LIMIT_S = 240.0  # against a verb that hangs, on a machine that others keep busy


WITHOUT_MODULES = """
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in BLOCKED:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
BLOCKED = sys.argv.pop(1).split(",")
sys.meta_path.insert(0, Blocker())
from gradwatch.monitor.commands import main
main()
"""


@contextmanager
def running(
    *arguments: object, environment: Mapping[str, str] = {}, without: str = ""
) -> Iterator[subprocess.Popen[str]]:
    """`gradwatch` with these arguments; it is killed in the end if it has not ended by itself.

    `without` names modules, separated by commas, that it can't import, as if they were not installed.
    """
    program = ["-c", WITHOUT_MODULES, without] if without else ["-m", "gradwatch.monitor.commands"]
    command = [sys.executable, *program, *map(str, arguments)]
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


def said_by(*arguments: object, environment: Mapping[str, str] = {}, without: str = "") -> tuple[int, str]:
    """The exit code of `gradwatch`, and its output."""
    with running(*arguments, environment=environment, without=without) as process:
        said, _ = process.communicate(timeout=LIMIT_S)
        return process.returncode, said
