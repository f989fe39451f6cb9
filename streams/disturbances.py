"""The disturbances of a stream, reported as health records, metrics and log lines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, Literal

import structlog

from .observability.logs import scrub
from .observability.metrics import SOURCE_DISTURBANCES, SOURCE_DISTURBED
from .wire.messages import Disturbance, DisturbanceState, HealthRecord

log: Any = structlog.get_logger(__name__)

MAX_DETAIL = 300


class Disturbances:
    """The disturbances of one stream; calls `report` with a record of each, on the calling thread.

    All times are wall clock in ns.
    """

    def __init__(
        self,
        stream_id: str,
        run_id: str,
        report: Callable[[HealthRecord], None],
        reporter: Literal["source", "worker"] = "source",
    ) -> None:
        self.stream_id, self.run_id, self.reporter = stream_id, run_id, reporter
        self.last_seq = -1
        self._report = report
        self._since_ns: dict[Disturbance, int] = {}
        self.counts: Counter[str] = Counter()  # how many of each have begun, or occurred, so far

    @property
    def lasting(self) -> list[Disturbance]:
        """Those that have begun and not ended."""
        return list(self._since_ns)

    def begin(self, disturbance: Disturbance, at_ns: int, detail: str = "", since_ns: int | None = None) -> None:
        """Records the begin, at `since_ns` if known to be earlier; does nothing while the disturbance lasts."""
        if disturbance in self._since_ns:
            return
        self._since_ns[disturbance] = at_ns if since_ns is None else since_ns
        SOURCE_DISTURBED.labels(self.stream_id, disturbance).set(1)
        self._record(disturbance, DisturbanceState.BEGIN, at_ns, self._since_ns[disturbance], detail)

    def end(self, disturbance: Disturbance, at_ns: int, detail: str = "") -> None:
        """Records the end; does nothing if the disturbance does not last."""
        since_ns = self._since_ns.pop(disturbance, None)
        if since_ns is None:
            return
        SOURCE_DISTURBED.labels(self.stream_id, disturbance).set(0)
        lasted = f"after {max(0, at_ns - since_ns) / 1e9:.1f} s"
        self._record(disturbance, DisturbanceState.END, at_ns, since_ns, ", ".join(filter(None, [lasted, detail])))

    def moment(self, disturbance: Disturbance, at_ns: int, detail: str, since_ns: int | None = None) -> None:
        """Records a disturbance without duration."""
        self._record(disturbance, DisturbanceState.MOMENT, at_ns, at_ns if since_ns is None else since_ns, detail)

    def _record(
        self, disturbance: Disturbance, state: DisturbanceState, at_ns: int, since_ns: int, detail: str
    ) -> None:
        detail = scrub(detail)[:MAX_DETAIL]
        if state is not DisturbanceState.END:
            self.counts[disturbance] += 1
            SOURCE_DISTURBANCES.labels(self.stream_id, disturbance).inc()
        is_good = state is DisturbanceState.END or disturbance in (Disturbance.RECONNECTED, Disturbance.ENDED)
        (log.info if is_good else log.warning)(f"{disturbance} {state}", stream=self.stream_id, detail=detail)
        self._report(
            HealthRecord(
                self.stream_id, self.run_id, disturbance, state, at_ns, since_ns, self.last_seq, detail, self.reporter
            )
        )
