"""What a recording holds that can't be played: it is counted and passed over, and the rest is played."""

from __future__ import annotations

from collections import Counter

import structlog

from gradwatch import GradwatchError

from ..observability.metrics import SOURCE_FRAMES
from ..wire.messages import OutcomeCause

MAX_LOGGED = 5  # of one pass; all are counted
MAX_AT_THE_START = 100  # a recording that begins with so many is of another kind, and is refused

log = structlog.get_logger(__name__)


class RecordingError(GradwatchError, ValueError):
    """A recording that can't be read or written: a damaged file, a file name with no meaning, a wrong choice."""


class Damage:
    """The frames that one pass over a recording could not play, by cause; also counted in `SOURCE_FRAMES`."""

    def __init__(self, stream_id: str) -> None:
        self.counts: Counter[str] = Counter()
        self.first = ""  # what the first one was, and why it can't be played
        self.any_played = False
        self.chosen = ""  # which of several tracks is played
        self._stream_id = stream_id

    def pass_over(self, where: str, why: object) -> None:
        """Counts the frame at `where` as undecodable. Raises RecordingError if no frame could be played so far and
        `MAX_AT_THE_START` could not.
        """
        self.counts[OutcomeCause.UNDECODABLE] += 1
        SOURCE_FRAMES.labels(self._stream_id, "dropped", OutcomeCause.UNDECODABLE).inc()
        count = self.counts.total()
        self.first = self.first or f"{where}: {why}"
        if count <= MAX_LOGGED:
            log.warning("passed over", stream=self._stream_id, where=where, why=str(why))
        if not self.any_played and count >= MAX_AT_THE_START:
            raise RecordingError(f"none of the first {count} frames can be played; {self.first}")
