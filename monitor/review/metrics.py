"""Metrics of the review process; their labels are few and fixed, or go through `StreamLabels`."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

RECORDS = Counter("gradwatch_review_records", "Records read, by what became of them.", ["topic", "outcome"])
MUTED = Counter("gradwatch_review_muted_revisions", "Revisions of alerts that came while snoozed.")
ACTIONS = Counter("gradwatch_review_actions", "Actions of people.", ["action"])
REQUESTS = Histogram(
    "gradwatch_review_request_duration_seconds",
    "Time to answer, by route and class of status.",
    ["route", "status"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1.0, 2.5, 10.0),
)
LOGINS = Counter("gradwatch_review_logins", "Attempts to log in.", ["outcome"])
REFUSED = Counter("gradwatch_review_requests_refused", "Requests refused before any route.", ["cause"])
EVENT_READERS = Gauge("gradwatch_review_event_readers", "Readers of server-sent events.")
EVENT_READERS_DROPPED = Counter("gradwatch_review_event_readers_dropped", "Readers that did not keep up.")
LIVE_BYTES = Gauge("gradwatch_review_live_bytes", "Memory of the live state.")
LIVE_DROPPED = Counter("gradwatch_review_live_dropped", "What the live state had no room for, by cause.", ["cause"])
BROKER_UP = Gauge("gradwatch_review_broker_up", "1 while the broker answers.")
ALERTS_DELETED = Counter("gradwatch_review_alerts_deleted", "Alerts that retention deleted, by cause.", ["cause"])
VERDICTS_WAITING = Gauge("gradwatch_review_verdicts_waiting", "Verdicts that the broker has not acknowledged.")
