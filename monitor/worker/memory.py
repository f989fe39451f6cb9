"""What the C library's allocator may keep for itself."""

from __future__ import annotations

import ctypes
import sys

M_ARENA_MAX = -8  # of glibc's malloc.h
ARENAS = 2


def limit_arenas() -> bool:
    """Lets all threads share ARENAS arenas of glibc from now on; returns whether this system has any.

    To be called before threads are made. By default each gets an arena of its own, and what one frees no other can
    take. Here pictures go from thread to thread, so a worker would come to rest tens of MB above what it uses;
    MALLOC_ARENA_MAX does the same from outside.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # absent from musl
    return mallopt is not None and mallopt(M_ARENA_MAX, ARENAS) == 1
