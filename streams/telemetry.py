"""Metrics, health and logs in one place: sources need them as much as the worker.

Metric names carry base units and never a camera or model; labels are `stream_id`, `stage`, `outcome`, `cause`.
"""

from __future__ import annotations

import logging
import re
from collections.abc import MutableMapping
from typing import Any

import structlog
from prometheus_client import Counter, Gauge, Histogram, start_http_server

AGE_BUCKETS_S = (0.025, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1.0, 2.0, 5.0, 15.0, 60.0)
STAGE_BUCKETS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
SECRET = re.compile(r"password|passwd|secret|token|credential|sasl|private_key|keyfile", re.IGNORECASE)
USER_INFO = re.compile(r"(?<=://)[^/@\s]+@")  # rtsp://user:password@camera/…

FRAMES = Counter("gradwatch_frames", "Frames by what became of them.", ["stream_id", "outcome", "cause"])
FRAME_AGE = Histogram(
    "gradwatch_frame_age_seconds", "From publishing a frame to its report.", ["stream_id"], buckets=AGE_BUCKETS_S
)
STAGE_DURATION = Histogram(
    "gradwatch_stage_duration_seconds", "Time that a frame spends in a stage.", ["stage"], buckets=STAGE_BUCKETS_S
)
ALERTS = Counter("gradwatch_alerts", "Revisions of alerts that were published.", ["stream_id", "kind", "state"])
ALERTS_OPEN = Gauge("gradwatch_alerts_open", "Episodes that are open now.", ["stream_id"])
OVERLAYS_SKIPPED = Counter("gradwatch_overlays_skipped", "Overlays left out because the broker was slow.")
DEAD_LETTERS = Counter("gradwatch_dead_letters", "Records put aside.", ["stage"])
SOURCE_FRAMES = Counter(
    "gradwatch_source_frames", "Frames of a source: published, or dropped by cause.", ["stream_id", "outcome", "cause"]
)
SOURCE_LAG = Gauge("gradwatch_source_lag_seconds", "How far a paced source is behind its clock.", ["stream_id"])
CONSUMER_UNFINISHED = Gauge("gradwatch_consumer_unfinished_bytes", "Polled and not finished.")
CONSUMER_PAUSED = Gauge("gradwatch_consumer_paused", "1 while the consumer is held back.")
PRODUCER_PENDING = Gauge("gradwatch_producer_pending_bytes", "Sent and not acknowledged.")


def start_metrics(port: int, address: str = "127.0.0.1") -> None:
    """Serves `/metrics` on a thread; open it to the network (`0.0.0.0`) only where Prometheus is elsewhere."""
    start_http_server(port, address)


def configure_logging(json: bool, level: int = logging.INFO) -> None:
    """Structured logs on standard error, as JSON lines or for a person; credentials never appear in them."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        redact,
    ]
    last = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    renderer = last if json else [structlog.dev.ConsoleRenderer()]
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, redact, *renderer],
        )
    )
    logging.root.handlers[:] = [handler]
    logging.root.setLevel(level)
    # The Kafka client logs each connection and rebalance; its warnings are what an operator needs.
    logging.getLogger("kafka").setLevel(max(level, logging.WARNING))


def redact(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Blanks what may be a credential: by the name of the field, and `user:password@` in addresses."""
    return {name: "***" if SECRET.search(name) else _without_secrets(value) for name, value in event.items()}


def _without_secrets(value: Any) -> Any:
    if isinstance(value, str):
        return USER_INFO.sub("***@", value)
    if isinstance(value, dict):
        return {n: "***" if isinstance(n, str) and SECRET.search(n) else _without_secrets(v) for n, v in value.items()}
    return [_without_secrets(inner) for inner in value] if isinstance(value, list) else value
