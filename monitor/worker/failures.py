"""What goes wrong in judging one frame of one stream is that stream's: how long it waits then, and what is logged.

Errors of the machine (`MACHINE`: no memory, no broker) are not a stream's. They end the worker, so that whoever
supervises it starts it anew, perhaps elsewhere.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from gradwatch.streams.transport.connection import BrokerRefusedError, BrokerUnavailableError

log = structlog.get_logger()

MACHINE = (MemoryError, BrokerUnavailableError, BrokerRefusedError)
MAX_BACK_OFF = 256  # frames
RECOVERED = 50  # frames judged without a failure, after which the next failure counts as a first one
LOG_EVERY_S = 60.0  # a traceback; between two of them failures are counted only


@dataclass(slots=True)
class _Trouble:
    failures: int = 0
    frames_to_wait: int = 0
    judged: int = 0  # since the last failure
    logged_s: float = float("-inf")


class StreamFailures:
    """The failures of each stream and its back-off, which is counted in frames. Thread-safe.

    After the n-th failure in a row the next 2^(n-1) frames of the stream are passed over, at most MAX_BACK_OFF.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._streams: dict[str, _Trouble] = {}
        self._lock = threading.Lock()

    def waits(self, stream_id: str) -> bool:
        """Whether the next frame of the stream is passed over; to be asked once for each frame."""
        with self._lock:
            trouble = self._streams.get(stream_id)
            if trouble is None or not trouble.frames_to_wait:
                return False
            trouble.frames_to_wait -= 1
            return True

    def failed(self, stream_id: str, where: str, error: Exception) -> int:
        """Notes a failure and logs it, with its traceback once a minute; returns how many there were in a row."""
        with self._lock:
            trouble = self._streams.setdefault(stream_id, _Trouble())
            trouble.failures += 1
            trouble.judged = 0
            trouble.frames_to_wait = min(2 ** min(trouble.failures - 1, 62), MAX_BACK_OFF)
            row, waits, now_s = trouble.failures, trouble.frames_to_wait, self._clock()
            is_due = now_s - trouble.logged_s >= LOG_EVERY_S
            if is_due:
                trouble.logged_s = now_s
        if is_due:
            log.error(
                "judging failed, the stream begins anew",
                stream=stream_id,
                where=where,
                failures_in_a_row=row,
                frames_passed_over=waits,
                exc_info=error,
            )
        return row

    def judged(self, stream_id: str) -> None:
        """Notes a frame that was judged."""
        if stream_id not in self._streams:
            return
        with self._lock:
            trouble = self._streams.get(stream_id)
            if trouble is not None:
                trouble.judged += 1
                if trouble.judged >= RECOVERED:
                    del self._streams[stream_id]

    def forget(self, stream_id: str) -> None:
        """Drops what is kept of a stream."""
        with self._lock:
            self._streams.pop(stream_id, None)
