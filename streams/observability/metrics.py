"""All metrics of sources, workers and the evidence service; `docs/metrics.md` lists them.

Names contain base units and never a camera or model; labels are `stream_id`, `stage`, `outcome`, `cause`, `kind` and
`state`.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterable
from typing import Any, Self

from prometheus_client import Counter, Gauge, Histogram, Info, disable_created_metrics
from prometheus_client.metrics import MetricWrapperBase

from ..wire.tracing import TraceparentError, read_traceparent

AGE_BUCKETS_S = (0.025, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1.0, 2.0, 5.0, 15.0, 60.0)
STAGE_BUCKETS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
BY_STREAM, BY_KIND, BY_CAUSE = ("stream_id",), ("stream_id", "kind"), ("stream_id", "cause")
BY_OUTCOME = ("stream_id", "outcome", "cause")
OTHER = "other"  # the label of all streams without one of their own

disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for each, which nobody uses


class StreamLabels:
    """The streams that have a label of their own: reserved ones, and the first others until there are `limit`.

    Stream ids come from untrusted producers, and each new label stays in Prometheus. All other streams are counted
    together under `other`, where a gauge shows the one that set it last.
    """

    def __init__(self, limit: int = 1000) -> None:
        self.limit = limit
        self._used_s: dict[str, float] = {}  # when a label was used last; infinite for a reserved one
        self._lock = threading.Lock()

    def reserve(self, stream_ids: Iterable[str]) -> None:
        """Gives these streams labels of their own, regardless of the limit; for streams that a user has named."""
        with self._lock:
            self._used_s |= dict.fromkeys(stream_ids, math.inf)

    def label(self, stream_id: str) -> str:
        """`stream_id`, or `other` once there are `limit` labels without it. Thread-safe."""
        with self._lock:
            used_s = self._used_s.get(stream_id)
            if used_s is None and len(self._used_s) >= self.limit:
                return OTHER
            self._used_s[stream_id] = max(used_s or 0.0, time.monotonic())
        return stream_id

    def drop_unused(self, since_s: float) -> list[str]:
        """Drops the labels that were not used after `since_s`, on the monotonic clock; returns them. Thread-safe."""
        with self._lock:
            unused = [stream_id for stream_id, used_s in self._used_s.items() if used_s < since_s]
            for stream_id in unused:
                del self._used_s[stream_id]
        return unused

    def __len__(self) -> int:
        return len(self._used_s)


STREAMS = StreamLabels()


class _PerStream(MetricWrapperBase):
    """A metric whose first label is `stream_id`, given by position and folded into `other` beyond the limit."""

    def labels(self, *labelvalues: Any, **labelkwargs: Any) -> Self:
        """The child of these labels, `stream_id` first."""
        return super().labels(STREAMS.label(labelvalues[0]), *labelvalues[1:], **labelkwargs)


class StreamCounter(_PerStream, Counter):
    """A counter per stream."""


class StreamGauge(_PerStream, Gauge):
    """A gauge per stream."""


class StreamHistogram(_PerStream, Histogram):
    """A histogram per stream."""


FRAMES = StreamCounter("gradwatch_frames", "Frames by outcome.", BY_OUTCOME)
FRAME_AGE = StreamHistogram(
    "gradwatch_frame_age_seconds", "Time from publishing a frame to its report.", BY_STREAM, buckets=AGE_BUCKETS_S
)
STAGE_DURATION = Histogram(
    "gradwatch_stage_duration_seconds", "Time of a frame in a stage.", ["stage"], buckets=STAGE_BUCKETS_S
)
ALERTS = StreamCounter("gradwatch_alerts", "Published revisions of alerts.", ["stream_id", "kind", "state"])
ALERTS_OPEN = StreamGauge("gradwatch_alerts_open", "Episodes that are open now.", BY_STREAM)
FRAMES_SKIPPED = StreamCounter(
    "gradwatch_frames_skipped",
    "Frames received and not reported here, because another worker reports them or an earlier one did.",
    BY_CAUSE,
)
FRAMES_LOST = StreamCounter("gradwatch_frames_lost", "Frames that never reached a worker, by cause.", BY_CAUSE)
STATES_STORED = StreamCounter("gradwatch_states_stored", "States of streams that were stored.", BY_STREAM)
STATES_REFUSED = StreamCounter("gradwatch_states_refused", "Stored states that could not be restored.", BY_CAUSE)
OVERLAYS_SKIPPED = StreamCounter("gradwatch_overlays_skipped", "Overlays that were not published.", BY_CAUSE)
OUTPUTS_LOST = StreamCounter(
    "gradwatch_outputs_lost",
    "Dead letters that their topic did not take; reports, alerts and states too large for any topic.",
    ["stream_id", "kind", "cause"],
)
DEAD_LETTERS = StreamCounter(
    "gradwatch_dead_letters",
    "Records sent to the dead letter topic, by the stage that refused them.",
    ["stream_id", "stage", "cause"],
)
TRACEPARENTS_DROPPED = StreamCounter("gradwatch_traceparents_dropped", "Invalid trace contexts, dropped.", BY_CAUSE)
SOURCE_FRAMES = StreamCounter("gradwatch_source_frames", "Frames of a source, published or dropped.", BY_OUTCOME)
SOURCE_DISTURBANCES = StreamCounter(
    "gradwatch_source_disturbances", "Disturbances of a stream that began, or lasted only a moment.", BY_KIND
)
SOURCE_DISTURBED = StreamGauge("gradwatch_source_disturbed", "1 while a stream has this disturbance.", BY_KIND)
SOURCE_HEALTH_RECORDS = StreamCounter(
    "gradwatch_source_health_records", "Health records, published or dropped.", BY_OUTCOME
)
SOURCE_LAG = StreamGauge("gradwatch_source_lag_seconds", "How far a paced source is behind its clock.", BY_STREAM)
EVIDENCE_WRITTEN = StreamCounter(
    "gradwatch_evidence_written", "Evidence files written, by the state of their alert.", ["stream_id", "state"]
)
EVIDENCE_FAILED = StreamCounter(
    "gradwatch_evidence_failed",
    "Failed attempts at an evidence file, which are repeated, and alerts that can't be read, by cause.",
    BY_CAUSE,
)
EVIDENCE_MISSING = StreamCounter("gradwatch_evidence_missing_frames", "Frames missing from evidence.", BY_CAUSE)
EVIDENCE_EVICTED = StreamCounter("gradwatch_evidence_evicted", "Evidence files removed to save disk space.", BY_CAUSE)
EVIDENCE_WAITING = Gauge("gradwatch_evidence_waiting", "Alerts whose evidence is not complete yet.")
EVIDENCE_STORED = Gauge("gradwatch_evidence_stored_bytes", "Bytes of evidence on disk.")
CONSUMER_UNFINISHED = Gauge("gradwatch_consumer_unfinished_bytes", "Bytes of records polled and not finished.")
CONSUMER_PAUSED = Gauge("gradwatch_consumer_paused", "1 while the consumer is paused.")
PRODUCER_PENDING = Gauge("gradwatch_producer_pending_bytes", "Bytes of records sent and not acknowledged.")
STREAM_LABELS = Gauge("gradwatch_stream_labels", "Streams with their own label; beyond the limit they share `other`.")
HEALTHY = Gauge("gradwatch_healthy", "1 while /healthz answers 200.")
READY = Gauge("gradwatch_ready", "1 while /readyz answers 200.")
BUILD = Info("gradwatch_build", "Running version.")

STREAM_LABELS.set_function(lambda: len(STREAMS))

_PER_STREAM = [metric for metric in list(globals().values()) if isinstance(metric, _PerStream)]


def forget_streams(unused_since_s: float) -> list[str]:
    """Removes the series of streams that no metric has named after `unused_since_s`, on the monotonic clock.

    Those of reserved streams stay. Returns the streams.
    """
    unused = STREAMS.drop_unused(unused_since_s)
    for stream_id in unused:
        for metric in _PER_STREAM:
            metric.remove_by_labels({"stream_id": stream_id})
    return unused


def count_invalid_traceparent(text: str | None, stream_id: str) -> None:
    """Counts a trace context that is present and not valid, by cause."""
    try:
        read_traceparent(text or "")
    except TraceparentError as error:
        if text:
            TRACEPARENTS_DROPPED.labels(stream_id, error.cause).inc()
