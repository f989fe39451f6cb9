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
    Disturbance,
    DisturbanceState,
    EncodedFrame,
    FrameReport,
    HealthRecord,
    StreamState,
)
from gradwatch.streams.wire.topics import Topics

from ...builders import RUN, SECOND_NS, encoded_frame, frame_report, noise_jpeg, shift_alert

RAISED_NS = 1_790_000_000_123_456_789
NO_BROKER = Broker("127.0.0.1:1", {}, Topics())
ADA = Actor("ada", Role.REVIEWER, "session")


def make_alert(stream_id: str = "north-gate", onset_seq: int = 38, revision: int = 1, **changes: Any) -> Alert:
    times = {
        "onset_capture_ns": RAISED_NS + onset_seq * SECOND_NS // 5,
        "last_capture_ns": RAISED_NS + (onset_seq + 3) * SECOND_NS // 5,
    }
    return shift_alert(stream_id, onset_seq, RUN, **{"revision": revision, "partition": 1} | times | changes)


def make_report(seq: int = 41, stream_id: str = "north-gate", run_id: str = RUN, **changes: Any) -> FrameReport:
    """A judged frame, 0.2 s after the one before it."""
    at_ns = RAISED_NS + seq * SECOND_NS // 5
    fields: dict[str, Any] = {
        "partition": 2,
        "capture_ns": at_ns,
        "published_ns": at_ns,
        "clock": "utc",
        "state": StreamState.ALERTING,
        "scores": {"image_statistics": np.float32([9.5])},
        "change": {"image_statistics": 1.25},
    }
    return frame_report(stream_id, seq, run_id, **fields | changes)


def make_frame(seq: int = 41, stream_id: str = "north-gate", size: tuple[int, int] = (640, 480)) -> EncodedFrame:
    """A picture of noise, `size` (width, height)."""
    content = noise_jpeg(seq, size)
    return encoded_frame(
        stream_id, seq, RUN, capture_ns=RAISED_NS, published_ns=RAISED_NS, content=content, partition=1
    )


def health_record(
    disturbance: Disturbance, state: DisturbanceState = DisturbanceState.BEGIN, run_id: str = RUN, **changes: Any
) -> HealthRecord:
    """A health record of the source, noticed at `RAISED_NS`."""
    fields: dict[str, Any] = {"stream_id": "north-gate", "at_ns": RAISED_NS, "since_ns": RAISED_NS}
    return HealthRecord(run_id=run_id, disturbance=disturbance, state=state, **fields | changes)


ALERT = make_alert()


def store(database: Database, *alerts: Alert, now_ns: int | None = None, **more: Any) -> list[StoredRevision]:
    """Stores revisions in one batch, each published a second after the one before; `now_ns` is the clock by default.

    `more` are fields of all `ReceivedRevision`s.
    """
    received = [ReceivedRevision(alert, RAISED_NS + n * SECOND_NS, **more) for n, alert in enumerate(alerts)]
    with database.writing() as session:
        return store_revisions(session, received, time.time_ns() if now_ns is None else now_ns)
