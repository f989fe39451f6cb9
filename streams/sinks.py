"""Sinks: publish the report, overlay and alerts of each frame. `SINKS` is the table of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import msgspec
import structlog

from .observability.logs import limit_logs
from .observability.metrics import ALERTS, OUTPUTS_LOST, OVERLAYS_SKIPPED
from .transport.connection import BrokerUnavailableError
from .transport.producer import BoundedProducer, Delivery, RecordTooLargeError, Sender, cause_of
from .wire.messages import Alert, FrameReport, Outcome, OutcomeCause
from .wire.outputs import encode_alert, encode_report
from .wire.records import Headers, cloud_event_headers
from .wire.topics import Topics

Overlay = dict[str, Any]

log = structlog.get_logger()
limit_logs([__name__])  # a topic's trouble concerns every frame


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
    """Sends reports and alerts at least once; keyed by stream, so in order per stream.

    Overlays go by a producer of their own, best effort: one that is not taken at once is skipped and counted.
    """

    def __init__(self, sender: Sender, topics: Topics, best_effort: BoundedProducer) -> None:
        self._sender, self._best_effort = sender, best_effort
        self._topics = topics

    def publish(self, report: FrameReport, overlay: Overlay | None, alerts: Sequence[Alert]) -> list[Delivery]:
        """Sends alerts first, because people wait for them. No commit waits for an overlay."""
        deliveries = [*self.publish_alerts(alerts), self._report(report)]
        if overlay is not None:
            self._overlay(report, overlay)
        return deliveries

    def publish_alerts(self, alerts: Sequence[Alert]) -> list[Delivery]:
        """Sends alerts; one that is larger than any topic of ours may take is lost, and counted."""
        return [delivery for alert in alerts if (delivery := self._alert(alert)) is not None]

    def _alert(self, alert: Alert) -> Delivery | None:
        event_id = f"{alert.alert_id}/{alert.revision}"
        headers = cloud_event_headers("alert", alert.stream_id, event_id, alert.last_capture_ns)
        headers.append(("content-type", b"application/json"))
        if alert.traceparent is not None:
            headers.append(("traceparent", alert.traceparent.encode()))
        try:
            delivery = self._sender.send(self._topics.alerts, alert.stream_id.encode(), encode_alert(alert), headers)
        except RecordTooLargeError as error:
            OUTPUTS_LOST.labels(alert.stream_id, "alerts", error.cause).inc()
            log.error("an alert is lost", stream=alert.stream_id, alert=event_id, why=str(error))
            return None
        ALERTS.labels(alert.stream_id, alert.kind, alert.state).inc()
        return delivery

    def _report(self, report: FrameReport) -> Delivery:
        """Sends a report, or, where it is larger than any topic of ours may take, one that only says so."""
        key = report.identity.stream_id.encode()
        try:
            return self._sender.send(self._topics.reports, key, encode_report(report), _frame_headers("report", report))
        except RecordTooLargeError as error:
            OUTPUTS_LOST.labels(report.identity.stream_id, "reports", error.cause).inc()
            log.error("a report is published without its content", why=str(error))
            short = _without_content(report)
            return self._sender.send(self._topics.reports, key, encode_report(short), _frame_headers("report", short))

    def _overlay(self, report: FrameReport, overlay: Overlay) -> None:
        stream_id = report.identity.stream_id
        key, value, headers = stream_id.encode(), msgspec.json.encode(overlay), _frame_headers("overlay", report)
        try:
            delivery = self._best_effort.try_send(self._topics.overlays, key, value, headers)
        except (BrokerUnavailableError, RecordTooLargeError) as error:
            _skipped(stream_id, error.cause, error)
            return
        if delivery is None:
            _skipped(stream_id, "no_room", None)
        else:
            delivery.add_done_callback(lambda done: _settle(stream_id, done))


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


def _settle(stream_id: str, done: Delivery) -> None:
    if done.exception is not None:
        _skipped(stream_id, cause_of(done.exception), done.exception)


def _skipped(stream_id: str, cause: str, why: BaseException | None) -> None:
    OVERLAYS_SKIPPED.labels(stream_id, cause).inc()
    log.warning("overlays are skipped", stream=stream_id, cause=cause, why=str(why or "those before are not taken yet"))


def _without_content(report: FrameReport) -> FrameReport:
    return FrameReport(
        report.identity,
        report.partition,
        report.offset,
        report.capture_ns,
        report.published_ns,
        report.clock,
        Outcome.FAILED,
        report.state,
        OutcomeCause.TOO_LARGE,
        traceparent=report.traceparent,
    )
