"""Alerts, reports and frames of the camera north-gate, and a way to store alerts."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from gradwatch.monitor.review.feed.broker import Broker
from gradwatch.monitor.review.store.alerts import ReceivedRevision, StoredRevision, store_revisions
from gradwatch.monitor.review.store.audit import Actor, Role
from gradwatch.monitor.review.store.database import Database
from gradwatch.streams.wire.messages import (
    Alert,
    AlertKind,
    AlertState,
    EncodedFrame,
    FrameIdentity,
    FrameReport,
    Outcome,
    Severity,
    StreamState,
    alert_id,
)
from gradwatch.streams.wire.pixels import encode_jpeg
from gradwatch.streams.wire.topics import Topics

from ...builders import encoded_frame

SECOND_NS = 1_000_000_000
RAISED_NS = 1_790_000_000_123_456_789
RUN = "01JD0000000000000000000000"
NO_BROKER = Broker("127.0.0.1:1", {}, Topics())
ADA = Actor("ada", Role.REVIEWER, "session")


def make_alert(stream_id: str = "north-gate", onset_seq: int = 38, revision: int = 1, **changes: Any) -> Alert:
    kind = changes.pop("kind", AlertKind.DISTRIBUTION_SHIFT)
    fields: dict[str, Any] = {
        "alert_id": alert_id(stream_id, RUN, kind, onset_seq),
        "revision": revision,
        "kind": kind,
        "severity": Severity.WARNING,
        "state": AlertState.OPEN,
        "stream_id": stream_id,
        "run_id": RUN,
        "onset_seq": onset_seq,
        "last_seq": onset_seq + 3,
        "onset_capture_ns": RAISED_NS + onset_seq * SECOND_NS // 5,
        "last_capture_ns": RAISED_NS + (onset_seq + 3) * SECOND_NS // 5,
        "partition": 1,
        "first_offset": onset_seq,
        "last_offset": onset_seq + 3,
        "score": 1.25,
        "p_value": 0.002,
        "threshold": 9.5,
        "mean_time_between_false_alarms_s": 3600.0,
        "carried_by": ["image_statistics"],
        "reason": "frames differ from the clean ones of this stream",
    }
    return Alert(**fields | changes)


def make_report(seq: int = 41, stream_id: str = "north-gate", run_id: str = RUN, **changes: Any) -> FrameReport:
    """A judged frame, 0.2 s after the one before it."""
    at_ns = RAISED_NS + seq * SECOND_NS // 5
    fields: dict[str, Any] = {
        "identity": FrameIdentity(stream_id, run_id, seq),
        "partition": 2,
        "offset": seq,
        "capture_ns": at_ns,
        "published_ns": at_ns,
        "clock": "utc",
        "outcome": Outcome.JUDGED,
        "state": StreamState.ALERTING,
        "scores": {"image_statistics": np.float32([9.5])},
        "change": {"image_statistics": 1.25},
    }
    return FrameReport(**fields | changes)


def make_frame(seq: int = 41, stream_id: str = "north-gate", size: tuple[int, int] = (640, 480)) -> EncodedFrame:
    """A picture of noise, `size` (width, height)."""
    noise = np.random.default_rng(seq).integers(0, 256, (size[1], size[0], 3), np.uint8)
    return encoded_frame(
        stream_id, seq, RUN, capture_ns=RAISED_NS, published_ns=RAISED_NS, content=encode_jpeg(noise), partition=1
    )


ALERT = make_alert()


def store(database: Database, *alerts: Alert, now_ns: int | None = None, **more: Any) -> list[StoredRevision]:
    """Stores revisions in one batch, each published a second after the one before; `now_ns` is the clock by default.

    `more` are fields of all `ReceivedRevision`s.
    """
    received = [ReceivedRevision(alert, RAISED_NS + n * SECOND_NS, **more) for n, alert in enumerate(alerts)]
    with database.writing() as session:
        return store_revisions(session, received, time.time_ns() if now_ns is None else now_ns)
