"""Sinks: publish the report, overlay and alerts of each frame. `SINKS` is the table of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import msgspec

from .observability.metrics import ALERTS, OVERLAYS_SKIPPED
from .transport.producer import BoundedProducer, Delivery
from .wire.messages import Alert, FrameReport
from .wire.outputs import encode_alert, encode_report
from .wire.records import Headers, cloud_event_headers
from .wire.topics import Topics

Overlay = dict[str, Any]

OVERLAY_SHARE = 0.75  # of the producer's budget; beyond it overlays are skipped, to keep room for alerts


class ReportSink(Protocol):
    """Publishes the results of one frame at a time."""

    def publish(self, report: FrameReport, overlay: Overlay | None, alerts: Sequence[Alert]) -> list[Delivery]:
        """Returns the deliveries that the commit of the frame's offset must wait for.

        Raises `BrokerUnavailableError` while the broker accepts nothing. Repeating a call is safe, because readers
        recognize reports and alerts by their ids.
        """

    def publish_alerts(self, alerts: Sequence[Alert]) -> list[Delivery]:
        """Publishes alerts that no frame has caused; otherwise as `publish`."""


class KafkaSink:
    """Sends reports and alerts at least once, overlays best effort; keyed by stream, so in order per stream."""

    def __init__(self, producer: BoundedProducer, topics: Topics) -> None:
        self._producer = producer
        self._topics = topics

    def publish(self, report: FrameReport, overlay: Overlay | None, alerts: Sequence[Alert]) -> list[Delivery]:
        """Sends alerts first, because people wait for them. No commit waits for an overlay."""
        key = report.identity.stream_id.encode()
        deliveries = self.publish_alerts(alerts)
        headers = _frame_headers("report", report)
        deliveries.append(self._producer.send(self._topics.reports, key, encode_report(report), headers))
        if overlay is not None:
            self._overlay(key, report, overlay)
        return deliveries

    def publish_alerts(self, alerts: Sequence[Alert]) -> list[Delivery]:
        """Sends alerts."""
        return [self._alert(alert) for alert in alerts]

    def _alert(self, alert: Alert) -> Delivery:
        event_id = f"{alert.alert_id}/{alert.revision}"
        headers = cloud_event_headers("alert", alert.stream_id, event_id, alert.last_capture_ns)
        headers.append(("content-type", b"application/json"))
        if alert.traceparent is not None:
            headers.append(("traceparent", alert.traceparent.encode()))
        delivery = self._producer.send(self._topics.alerts, alert.stream_id.encode(), encode_alert(alert), headers)
        ALERTS.labels(alert.stream_id, alert.kind, alert.state).inc()
        return delivery

    def _overlay(self, key: bytes, report: FrameReport, overlay: Overlay) -> None:
        value = msgspec.json.encode(overlay)
        room = self._producer.pending_bytes + len(value) < OVERLAY_SHARE * self._producer.max_bytes
        headers = _frame_headers("overlay", report)
        if not room or self._producer.try_send(self._topics.overlays, key, value, headers) is None:
            OVERLAYS_SKIPPED.labels(report.identity.stream_id, "no_room").inc()


class MemorySink:
    """Keeps everything in lists: for tests, and for judging without a broker."""

    def __init__(self) -> None:
        self.reports: list[FrameReport] = []
        self.overlays: list[Overlay] = []
        self.alerts: list[Alert] = []

    def publish(self, report: FrameReport, overlay: Overlay | None, alerts: Sequence[Alert]) -> list[Delivery]:
        """Appends; returns no deliveries."""
        self.reports.append(report)
        self.publish_alerts(alerts)
        if overlay is not None:
            self.overlays.append(overlay)
        return []

    def publish_alerts(self, alerts: Sequence[Alert]) -> list[Delivery]:
        """Appends; returns no deliveries."""
        self.alerts.extend(alerts)
        return []


SINKS: dict[str, Callable[..., ReportSink]] = {"kafka": KafkaSink, "memory": MemorySink}


def _frame_headers(kind: str, report: FrameReport) -> Headers:
    identity = report.identity
    content_type = b"application/msgpack" if kind == "report" else b"application/json"
    headers = cloud_event_headers(kind, identity.stream_id, f"{identity.run_id}/{identity.seq}", report.published_ns)
    run, seq = identity.run_id.encode(), str(identity.seq).encode()
    headers += [("content-type", content_type), ("gw_run", run), ("gw_seq", seq)]
    if report.traceparent is not None:
        headers.append(("traceparent", report.traceparent.encode()))
    return headers
