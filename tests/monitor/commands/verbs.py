"""Runs verbs as processes of their own, as they are typed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

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
def running(*arguments: object, without: str = "") -> Iterator[subprocess.Popen[str]]:
    """`gradwatch` with these arguments, killed at the end of the block if it has not ended by itself.

    `without` names modules, separated by commas, that it can't import, as if they were not installed.
    """
    program = ["-c", WITHOUT_MODULES, without] if without else ["-m", "gradwatch.monitor.commands"]
    command = [sys.executable, *program, *map(str, arguments)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def said_by(*arguments: object, without: str = "", timeout_s: float = 240.0) -> tuple[int, str]:
    """The exit code of `gradwatch`, and its output."""
    with running(*arguments, without=without) as process:
        said, _ = process.communicate(timeout=timeout_s)
        return process.returncode, said
