"""The allocator's arenas, in a process of their own: the limit holds for the rest of its life."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

ARENAS = """
import ctypes, re, tempfile, threading
from gradwatch.monitor.worker.startup import limit_arenas
{call}
threads = [threading.Thread(target=lambda: (ctypes.create_string_buffer(1 << 20), together.wait())) for _ in range(6)]
together = threading.Barrier(7)
for thread in threads:
    thread.start()
libc = ctypes.CDLL(None)
libc.fopen.restype, libc.fopen.argtypes = ctypes.c_void_p, [ctypes.c_char_p, ctypes.c_char_p]
libc.fclose.argtypes, libc.malloc_info.argtypes = [ctypes.c_void_p], [ctypes.c_int, ctypes.c_void_p]
with tempfile.NamedTemporaryFile("r") as file:
    stream = libc.fopen(file.name.encode(), b"w")
    libc.malloc_info(0, stream)
    libc.fclose(stream)
    print(len(re.findall("<heap nr=", file.read())))
together.wait()
"""


def arenas(call: str) -> int:
    script = ARENAS.format(call=call)
    return int(subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout)


@pytest.mark.service
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="arenas are glibc's")
def test_threads_share_two_arenas():
    assert arenas("assert limit_arenas()") <= 2 < arenas("")
