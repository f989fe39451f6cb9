"""Where reports go. `ReportSink` is the seam; the table `SINKS` names those that are here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import msgspec

from .codec import Headers, Record, cloud_event_headers, encode_alert, encode_report
from .messages import Alert, FrameReport
from .telemetry import ALERTS, DEAD_LETTERS, OVERLAYS_SKIPPED
from .topics import Topics
from .transport.producer import BoundedProducer, Delivery, RecordTooLarge

__all__ = ["SINKS", "DeadLetters", "Delivery", "KafkaSink", "MemorySink", "Overlay", "ReportSink"]

Overlay = dict[str, Any]

OVERLAY_SHARE = 0.75  # of the producer's budget: above it overlays are left out, so that alerts keep room
DLQ_PREFIX = "dlq_"


class ReportSink(Protocol):
    """Takes everything that was found out about one frame."""

    def publish(self, report: FrameReport, overlay: Overlay | None, alerts: Sequence[Alert]) -> list[Delivery]:
        """Returns what must be delivered before the frame's offset may be committed.

        Raises `BrokerUnavailable` where nothing more is taken; calling again with the same arguments is safe,
        because readers know reports and alerts by their ids.
        """


class KafkaSink:
    """Reports and alerts at least once, overlays best effort; everything keyed by stream, so in order per stream."""

    def __init__(self, producer: BoundedProducer, topics: Topics) -> None:
        self._producer = producer
        self._topics = topics

    def publish(self, report: FrameReport, overlay: Overlay | None, alerts: Sequence[Alert]) -> list[Delivery]:
        """Alerts first: they are what a person waits for. An overlay is no delivery that a commit waits for."""
        key = report.identity.stream_id.encode()
        deliveries = [self._alert(key, alert) for alert in alerts]
        headers = _frame_headers("report", report)
        deliveries.append(self._producer.send(self._topics.reports, key, encode_report(report), headers))
        if overlay is not None:
            self._overlay(key, report, overlay)
        return deliveries

    def _alert(self, key: bytes, alert: Alert) -> Delivery:
        event_id = f"{alert.alert_id}/{alert.revision}"
        headers = cloud_event_headers("alert", alert.stream_id, event_id, alert.last_capture_ns)
        headers.append(("content-type", b"application/json"))
        delivery = self._producer.send(self._topics.alerts, key, encode_alert(alert), headers)
        ALERTS.labels(alert.stream_id, alert.kind, alert.state).inc()
        return delivery

    def _overlay(self, key: bytes, report: FrameReport, overlay: Overlay) -> None:
        value = msgspec.json.encode(overlay)
        room = self._producer.pending_bytes + len(value) < OVERLAY_SHARE * self._producer.max_bytes
        headers = _frame_headers("overlay", report)
        if not room or self._producer.try_send(self._topics.overlays, key, value, headers) is None:
            OVERLAYS_SKIPPED.inc()


class MemorySink:
    """Keeps everything in lists; for tests and for judging stored observations."""

    def __init__(self) -> None:
        self.reports: list[FrameReport] = []
        self.overlays: list[Overlay] = []
        self.alerts: list[Alert] = []

    def publish(self, report: FrameReport, overlay: Overlay | None, alerts: Sequence[Alert]) -> list[Delivery]:
        """Appends; nothing has to be waited for."""
        self.reports.append(report)
        self.alerts.extend(alerts)
        if overlay is not None:
            self.overlays.append(overlay)
        return []


SINKS: dict[str, Callable[..., ReportSink]] = {"kafka": KafkaSink, "memory": MemorySink}


class DeadLetters:
    """Puts records aside that could not be processed: bytes and headers as they came, headers `dlq_…` say why."""

    def __init__(self, producer: BoundedProducer, topics: Topics) -> None:
        self._producer = producer
        self._topics = topics

    def publish(self, record: Record, error: BaseException, stage: str) -> Delivery:
        """Sends `record` to the dead letters; `stage` names the step that refused it."""
        headers = [(name, value) for name, value in record.headers if value is not None] + _context(
            record, error, stage
        )
        value = record.value
        if value is None and record.key is None:
            value = b""  # the client refuses a record of nothing
        DEAD_LETTERS.labels(stage).inc()
        try:
            return self._producer.send(self._topics.dlq, record.key, value, headers)
        except RecordTooLarge:
            # At the size limit the headers alone are too much: its place in the frames topic must do.
            headers.append((DLQ_PREFIX + "value", b"left out, too large"))
            return self._producer.send(self._topics.dlq, record.key, b"", headers)


def _context(record: Record, error: BaseException, stage: str) -> Headers:
    facts = {
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "timestamp_ms": record.timestamp_ms,
        "error": type(error).__name__,
        "cause": getattr(error, "cause", ""),
        "message": str(error)[:500],
        "stage": stage,
    }
    return [(DLQ_PREFIX + name, str(fact).encode()) for name, fact in facts.items()]


def _frame_headers(kind: str, report: FrameReport) -> Headers:
    identity = report.identity
    content_type = b"application/msgpack" if kind == "report" else b"application/json"
    headers = cloud_event_headers(kind, identity.stream_id, f"{identity.run_id}/{identity.seq}", report.published_ns)
    headers += [("content-type", content_type), ("gw_run", identity.run_id.encode())]
    headers.append(("gw_seq", str(identity.seq).encode()))
    if report.traceparent is not None:
        headers.append(("traceparent", report.traceparent.encode()))
    return headers
