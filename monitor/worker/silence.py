"""What becomes of streams from which nothing comes: their open alerts are closed, later the streams are forgotten.

A source need not say that it ends: its process may be killed, its network cut. So silence counts, by this worker's
clock and from the arrival of the last frame, or from when the worker took the stream over.

To forget a stream frees memory and metrics. Its stored state remains if the stream has calibrated itself, so that a
camera that was off for a weekend goes on with its calibration; the worker that reads it after `remove_state_after_s`
removes it.
"""

from __future__ import annotations

import ctypes
import sys

import structlog

from gradwatch.streams.observability.metrics import forget_streams
from gradwatch.streams.transport.connection import BrokerUnavailableError
from gradwatch.streams.wire.messages import ClosedBecause

from ..config import WorkerSettings
from .admission import Admission
from .ownership import Ownership
from .pipeline import Pipeline
from .stateless import Stateless

log = structlog.get_logger()

CHECK_EVERY_S = 1.0
AWAY_S = 5.0  # without a check: this process was suspended, or the broker took nothing; then nobody knows who is silent


class Silence:
    """Closes the alerts of silent streams and forgets the streams, after the times in `settings`.

    The judge's thread alone uses it.
    """

    def __init__(
        self, pipeline: Pipeline, ownership: Ownership | Stateless, admission: Admission, settings: WorkerSettings
    ) -> None:
        self._pipeline, self._ownership, self._admission, self._settings = pipeline, ownership, admission, settings
        self._checked_s = self._listening_since_s = -AWAY_S

    def tick(self, now_s: float) -> None:
        """Closes and forgets what is due at `now_s`, on the monotonic clock; must be called often."""
        if now_s - self._checked_s < CHECK_EVERY_S:
            return
        if now_s - self._checked_s > AWAY_S:
            self._listening_since_s = now_s
        self._checked_s = now_s
        for stream_id, silent_s in self._ownership.idle_s(now_s).items():
            idle_s = min(silent_s, now_s - self._listening_since_s)
            state = self._pipeline.states.get(stream_id)
            if idle_s >= self._settings.close_after_s and state is not None and state.alerting:
                self._close(stream_id, idle_s)
            elif idle_s >= self._settings.forget_after_s:
                self._ownership.forget(stream_id, now_s)
                self._admission.forget(stream_id)
        if forget_streams(now_s - self._settings.forget_after_s):
            _return_free_memory()

    def _close(self, stream_id: str, idle_s: float) -> None:
        try:
            deliveries = self._pipeline.close_alerts(stream_id, ClosedBecause.SILENT)
        except BrokerUnavailableError as error:
            log.warning("the alerts of a silent stream are closed later", stream=stream_id, error=str(error))
            return
        self._ownership.note_change(stream_id, deliveries)
        log.info("the stream is silent, its alerts are closed", stream=stream_id, seconds=round(idle_s))


def _return_free_memory() -> None:
    """Returns what glibc keeps of freed memory to the system: much of it lies between what is still in use."""
    if sys.platform.startswith("linux"):
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # absent from musl
        if trim is not None:
            trim(0)
