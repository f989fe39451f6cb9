"""What is wrong with a camera: the health records of its source and of the worker, as far as they still hold."""

from __future__ import annotations

from collections import deque

from gradwatch.streams.wire.messages import Disturbance, DisturbanceState, HealthRecord

MAX_EVENTS = 20


class CameraHealth:
    """The disturbances of one camera that last, and its newest records. Not thread-safe.

    A disturbance lasts from its begin to its end, or until its reporter or the judged frames have another run.
    """

    def __init__(self) -> None:
        self.events: deque[HealthRecord] = deque(maxlen=MAX_EVENTS)  # newest first
        self._lasting: dict[tuple[str, Disturbance], HealthRecord] = {}

    @property
    def lasting(self) -> list[HealthRecord]:
        """The begin of each disturbance that lasts, newest first."""
        return sorted(self._lasting.values(), key=lambda record: -record.since_ns)

    @property
    def nbytes(self) -> int:
        """Memory of the records, about."""
        return sum(500 + len(record.detail) for record in (*self.events, *self._lasting.values()))

    def put(self, record: HealthRecord) -> None:
        """Takes a record, which is newer than those before it."""
        self.events.appendleft(record)
        is_end_of_source = record.disturbance is Disturbance.ENDED
        for (reporter, disturbance), known in list(self._lasting.items()):
            is_replaced = known.run_id != record.run_id or is_end_of_source or disturbance is record.disturbance
            if reporter == record.reporter and is_replaced:
                del self._lasting[reporter, disturbance]
        if record.state is DisturbanceState.BEGIN:
            self._lasting[record.reporter, record.disturbance] = record

    def judged(self, run_id: str, published_ns: int) -> None:
        """Drops what an earlier run left: a frame of this one, published then, was judged."""
        for key, known in list(self._lasting.items()):
            if known.run_id != run_id and known.at_ns < published_ns:
                del self._lasting[key]
