"""What becomes of streams from which nothing comes: their open alerts are closed.

A source need not say that it ends: its process may be killed, its network cut. So silence counts, by this worker's
clock and from the arrival of the last frame, or from when the worker took the stream over.
"""

from __future__ import annotations

import structlog

from gradwatch.streams.transport.connection import BrokerUnavailableError
from gradwatch.streams.wire.messages import ClosedBecause

from .ownership import Ownership, Stateless
from .pipeline import Pipeline

log = structlog.get_logger()

CHECK_EVERY_S = 1.0
AWAY_S = 5.0  # without a check: this process was suspended, or the broker took nothing; then nobody knows who is silent


class Silence:
    """Closes the alerts of streams that have been silent for `close_after_s`. The judge's thread alone uses it."""

    def __init__(self, pipeline: Pipeline, ownership: Ownership | Stateless, close_after_s: float) -> None:
        self._pipeline, self._ownership, self._close_after_s = pipeline, ownership, close_after_s
        self._checked_s = self._listening_since_s = -AWAY_S

    def tick(self, now_s: float) -> None:
        """Closes what is due at `now_s`, on the monotonic clock; must be called often."""
        if now_s - self._checked_s < CHECK_EVERY_S:
            return
        if now_s - self._checked_s > AWAY_S:
            self._listening_since_s = now_s
        self._checked_s = now_s
        for stream_id, idle_s in self._ownership.idle_s(now_s).items():
            state = self._pipeline.states.get(stream_id)
            if min(idle_s, now_s - self._listening_since_s) >= self._close_after_s and state and state.alerting:
                self._close(stream_id, idle_s)

    def _close(self, stream_id: str, idle_s: float) -> None:
        try:
            deliveries = self._pipeline.close_alerts(stream_id, ClosedBecause.SILENT)
        except BrokerUnavailableError as error:
            log.warning("the alerts of a silent stream are closed later", stream=stream_id, error=str(error))
            return
        self._ownership.note_change(stream_id, deliveries)
        log.info("the stream is silent, its alerts are closed", stream=stream_id, seconds=round(idle_s))
