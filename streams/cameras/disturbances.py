"""What is wrong with a camera now: each disturbance as health records, a metric and log lines."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import structlog

from ..observability.logs import scrub
from ..observability.metrics import SOURCE_DISTURBANCES, SOURCE_DISTURBED
from ..wire.messages import Disturbance, DisturbanceState, HealthRecord

log: Any = structlog.get_logger(__name__)

MAX_DETAIL = 300


class Disturbances:
    """The disturbances of one camera; `report` gets a record of each, from the thread that found it.

    All times are wall clock in ns.
    """

    def __init__(self, stream_id: str, run_id: str, report: Callable[[HealthRecord], None]) -> None:
        self.stream_id, self.run_id = stream_id, run_id
        self.last_seq = -1
        self._report = report
        self._since_ns: dict[Disturbance, int] = {}
        self._counts: dict[str, int] = {}

    @property
    def counts(self) -> dict[str, int]:
        """How many of each have begun so far."""
        return dict(self._counts)

    @property
    def lasting(self) -> list[Disturbance]:
        """Those that have begun and not ended."""
        return list(self._since_ns)

    def begin(self, disturbance: Disturbance, at_ns: int, detail: str = "", since_ns: int | None = None) -> None:
        """Says that it has begun, at `since_ns` where that is known to be earlier; nothing if it lasts already."""
        if disturbance in self._since_ns:
            return
        self._since_ns[disturbance] = at_ns if since_ns is None else since_ns
        SOURCE_DISTURBED.labels(self.stream_id, disturbance).set(1)
        self._say(disturbance, DisturbanceState.BEGIN, at_ns, self._since_ns[disturbance], detail)

    def end(self, disturbance: Disturbance, at_ns: int, detail: str = "") -> None:
        """Says that it is over; nothing if it was not there."""
        since_ns = self._since_ns.pop(disturbance, None)
        if since_ns is None:
            return
        SOURCE_DISTURBED.labels(self.stream_id, disturbance).set(0)
        lasted = f"after {max(0, at_ns - since_ns) / 1e9:.1f} s"
        self._say(disturbance, DisturbanceState.END, at_ns, since_ns, ", ".join(filter(None, [lasted, detail])))

    def moment(self, disturbance: Disturbance, at_ns: int, detail: str, since_ns: int | None = None) -> None:
        """Says that it has been."""
        self._say(disturbance, DisturbanceState.MOMENT, at_ns, at_ns if since_ns is None else since_ns, detail)

    def _say(self, disturbance: Disturbance, state: DisturbanceState, at_ns: int, since_ns: int, detail: str) -> None:
        detail = scrub(detail)[:MAX_DETAIL]
        if state is not DisturbanceState.END:
            self._counts[disturbance] = self._counts.get(disturbance, 0) + 1
            SOURCE_DISTURBANCES.labels(self.stream_id, disturbance).inc()
        tell = log.info if state is DisturbanceState.END or disturbance is Disturbance.RECONNECTED else log.warning
        tell(f"{disturbance} {state}", stream=self.stream_id, detail=detail)
        self._report(
            HealthRecord(self.stream_id, self.run_id, disturbance, state, at_ns, since_ns, self.last_seq, detail)
        )
