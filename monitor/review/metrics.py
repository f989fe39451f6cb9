"""Metrics of the review process. No label depends on a request or a record: all their values are fixed."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

RECORDS = Counter("gradwatch_review_records", "Records read, by topic and outcome.", ["topic", "outcome"])
MUTED = Counter("gradwatch_review_muted_revisions", "Alert revisions that arrived while snoozed.")
ACTIONS = Counter("gradwatch_review_actions", "Actions of reviewers.", ["action"])
REQUESTS = Histogram(
    "gradwatch_review_request_duration_seconds",
    "Time to answer, by route and class of status.",
    ["route", "status"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1.0, 2.5, 10.0),
)
LOGINS = Counter("gradwatch_review_logins", "Attempts to log in.", ["outcome"])
REFUSED = Counter(
    "gradwatch_review_requests_refused", "Requests refused before routing, and connections closed.", ["cause"]
)
EVENT_READERS = Gauge("gradwatch_review_event_readers", "Open connections to the server-sent events.")
EVENT_READERS_DROPPED = Counter("gradwatch_review_event_readers_dropped", "Event readers dropped as too slow.")
LIVE_BYTES = Gauge("gradwatch_review_live_bytes", "Memory of the live state.")
LIVE_DROPPED = Counter("gradwatch_review_live_dropped", "Cameras dropped from the live state, by cause.", ["cause"])
BROKER_UP = Gauge("gradwatch_review_broker_up", "1 while the broker answers.")
ALERTS_DELETED = Counter("gradwatch_review_alerts_deleted", "Alerts deleted by retention, by cause.", ["cause"])
CORRECTIONS_WAITING = Gauge("gradwatch_review_verdicts_waiting", "Corrections not acknowledged by the broker.")
