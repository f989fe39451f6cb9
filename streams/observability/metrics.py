"""Metrics: every one that a source or a worker exposes. `docs/metrics.md` is the table of them.

Names carry base units and never a camera or model; labels are `stream_id`, `stage`, `outcome`, `cause`, `kind` and
`state`.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Any, Self

from prometheus_client import Counter, Gauge, Histogram, Info, disable_created_metrics

from ..wire.tracing import TraceparentError, read_traceparent

AGE_BUCKETS_S = (0.025, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1.0, 2.0, 5.0, 15.0, 60.0)
STAGE_BUCKETS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
OTHER = "other"  # the label of all streams that have none of their own

disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for each, which nobody asks for


class StreamLabels:
    """Which streams have a label of their own: those reserved, and the first that come until there are `limit`.

    Stream ids come from producers that nobody vouches for; each new label would stay for ever, here and in
    Prometheus. All other streams are counted together under `other`, where a gauge shows the one that set it last.
    """

    def __init__(self, limit: int = 1000) -> None:
        self.limit = limit
        self._own: set[str] = set()
        self._lock = threading.Lock()

    def reserve(self, stream_ids: Iterable[str]) -> None:
        """Gives these streams their own labels whatever comes before them; for streams that a user has named."""
        with self._lock:
            self._own.update(stream_ids)

    def label(self, stream_id: str) -> str:
        """`stream_id`, or `other` where there are `limit` labels without it. Thread-safe."""
        if stream_id in self._own:
            return stream_id
        with self._lock:
            if len(self._own) >= self.limit:
                return OTHER
            self._own.add(stream_id)
        return stream_id

    def __len__(self) -> int:
        return len(self._own)


STREAMS = StreamLabels()


class StreamCounter(Counter):
    """A counter whose first label is `stream_id`, given by position and folded into `other` beyond the limit."""

    def labels(self, *labelvalues: Any, **labelkwargs: Any) -> Self:
        """The child of these labels, `stream_id` first."""
        return super().labels(STREAMS.label(labelvalues[0]), *labelvalues[1:], **labelkwargs)


class StreamGauge(Gauge):
    """A gauge, as `StreamCounter`."""

    def labels(self, *labelvalues: Any, **labelkwargs: Any) -> Self:
        """The child of these labels, `stream_id` first."""
        return super().labels(STREAMS.label(labelvalues[0]), *labelvalues[1:], **labelkwargs)


class StreamHistogram(Histogram):
    """A histogram, as `StreamCounter`."""

    def labels(self, *labelvalues: Any, **labelkwargs: Any) -> Self:
        """The child of these labels, `stream_id` first."""
        return super().labels(STREAMS.label(labelvalues[0]), *labelvalues[1:], **labelkwargs)


FRAMES = StreamCounter("gradwatch_frames", "Frames by what became of them.", ["stream_id", "outcome", "cause"])
FRAME_AGE = StreamHistogram(
    "gradwatch_frame_age_seconds", "From publishing a frame to its report.", ["stream_id"], buckets=AGE_BUCKETS_S
)
STAGE_DURATION = Histogram(
    "gradwatch_stage_duration_seconds", "Time that a frame spends in a stage.", ["stage"], buckets=STAGE_BUCKETS_S
)
ALERTS = StreamCounter("gradwatch_alerts", "Revisions of alerts that were published.", ["stream_id", "kind", "state"])
ALERTS_OPEN = StreamGauge("gradwatch_alerts_open", "Episodes that are open now.", ["stream_id"])
FRAMES_SKIPPED = StreamCounter(
    "gradwatch_frames_skipped",
    "Frames that came and got no report here, because another worker reports them or an earlier one did.",
    ["stream_id", "cause"],
)
STATES_STORED = StreamCounter("gradwatch_states_stored", "States of streams that were stored.", ["stream_id"])
STATES_REFUSED = StreamCounter(
    "gradwatch_states_refused", "Stored states that could not be taken up, by cause.", ["stream_id", "cause"]
)
OVERLAYS_SKIPPED = StreamCounter(
    "gradwatch_overlays_skipped", "Overlays left out because the broker was slow.", ["stream_id", "cause"]
)
DEAD_LETTERS = StreamCounter(
    "gradwatch_dead_letters", "Records put aside, by the stage that refused them.", ["stream_id", "stage", "cause"]
)
TRACEPARENTS_DROPPED = StreamCounter(
    "gradwatch_traceparents_dropped", "Trace contexts that were not valid and went no further.", ["stream_id", "cause"]
)
SOURCE_FRAMES = StreamCounter(
    "gradwatch_source_frames", "Frames of a source: published, or dropped by cause.", ["stream_id", "outcome", "cause"]
)
SOURCE_DISTURBANCES = StreamCounter(
    "gradwatch_source_disturbances", "Disturbances of a camera that began, or were but a moment.", ["stream_id", "kind"]
)
SOURCE_DISTURBED = StreamGauge("gradwatch_source_disturbed", "1 while a camera is disturbed so.", ["stream_id", "kind"])
SOURCE_HEALTH_RECORDS = StreamCounter(
    "gradwatch_source_health_records",
    "Health records of a source: published, or dropped by cause.",
    ["stream_id", "outcome", "cause"],
)
SOURCE_LAG = StreamGauge("gradwatch_source_lag_seconds", "How far a paced source is behind its clock.", ["stream_id"])
EVIDENCE_WRITTEN = StreamCounter(
    "gradwatch_evidence_written",
    "Evidence files that were written, by the state of their alert.",
    ["stream_id", "state"],
)
EVIDENCE_FAILED = StreamCounter(
    "gradwatch_evidence_failed",
    "Attempts at an evidence file that failed and will be made again, and alerts that can't be read, by cause.",
    ["stream_id", "cause"],
)
EVIDENCE_MISSING = StreamCounter(
    "gradwatch_evidence_missing_frames", "Frames that evidence files lack, by cause.", ["stream_id", "cause"]
)
EVIDENCE_EVICTED = StreamCounter(
    "gradwatch_evidence_evicted", "Evidence files removed to stay within the disk space.", ["stream_id", "cause"]
)
EVIDENCE_WAITING = Gauge("gradwatch_evidence_waiting", "Alerts whose evidence is not complete yet.")
EVIDENCE_STORED = Gauge("gradwatch_evidence_stored_bytes", "Evidence on disk.")
CONSUMER_UNFINISHED = Gauge("gradwatch_consumer_unfinished_bytes", "Polled and not finished.")
CONSUMER_PAUSED = Gauge("gradwatch_consumer_paused", "1 while the consumer is held back.")
PRODUCER_PENDING = Gauge("gradwatch_producer_pending_bytes", "Sent and not acknowledged.")
STREAM_LABELS = Gauge(
    "gradwatch_stream_labels", "Streams with a label of their own; at the limit all others are `other`."
)
HEALTHY = Gauge("gradwatch_healthy", "1 while /healthz answers 200.")
READY = Gauge("gradwatch_ready", "1 while /readyz answers 200.")
BUILD = Info("gradwatch_build", "Version that runs.")

STREAM_LABELS.set_function(lambda: len(STREAMS))


def count_invalid_traceparent(text: str | None, stream_id: str) -> None:
    """Counts a trace context that is present and not valid, by cause."""
    try:
        read_traceparent(text or "")
    except TraceparentError as error:
        if text:
            TRACEPARENTS_DROPPED.labels(stream_id, error.cause).inc()
