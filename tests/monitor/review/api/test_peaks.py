"""An alert shows the scores of its peak, how long it lasted, why it was closed; an older version what it has."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gradwatch.monitor.review.feed.ingest import AlertIngest
from gradwatch.monitor.review.service import ReviewService
from gradwatch.streams.wire.messages import Alert, AlertState, ClosedBecause, FrameReport
from gradwatch.streams.wire.outputs import encode_alert
from gradwatch.streams.wire.records import Record

from ..builders import RAISED_NS, SECOND_NS, make_alert, make_report

FRAME_NS = SECOND_NS // 5
PEAKS = {43: 1.5, 52: 4.0}  # of the change statistic, by seq


def report(seq: int) -> FrameReport:
    scores = {"image_statistics": np.float32([seq]), "energy": np.float32([seq])}
    return make_report(seq, scores=scores, change={"image_statistics": PEAKS.get(seq, 1.1)})


def revision(number: int, last_seq: int, peak_seq: int, **changes: Any) -> Alert:
    peak = {
        "peak_seq": peak_seq,
        "peak_capture_ns": RAISED_NS + peak_seq * FRAME_NS,
        "peak_ratios": {"image_statistics": PEAKS[peak_seq]},
        "peak_p_values": {"image_statistics": 0.001},
    }
    lasted = {"last_seq": last_seq, "duration_s": (last_seq - 38) / 5, "score": PEAKS[peak_seq]}
    return make_alert(revision=number, **peak | lasted | changes)


@pytest.fixture
def ingest(service: ReviewService) -> AlertIngest:
    return AlertIngest(
        service.broker, service.database, service.live, service.truth, lambda stored: None, lambda ids: None
    )


def shown_after(ingest: AlertIngest, client: Any, *revisions: Alert) -> dict[str, Any]:
    topic = ingest._broker.topics.alerts
    at_ms = RAISED_NS // 1_000_000
    ingest.store([Record(topic, 0, at, at_ms, b"", encode_alert(one)) for at, one in enumerate(revisions)])
    found: dict[str, Any] = client.get(f"/api/v1/alerts/{revisions[0].alert_id}").json()
    return found


def test_the_scores_are_those_of_the_peak_not_of_the_last_frame(
    ingest: AlertIngest, service: ReviewService, client: Any
) -> None:
    for seq in range(38, 81):
        service.live.put_report(report(seq))
    closed = revision(3, 70, 52, state=AlertState.CLOSED, closed_because=ClosedBecause.CLEARED)
    shown = shown_after(ingest, client, revision(1, 43, 43), revision(2, 53, 52), closed)
    assert (shown["peak_seq"], shown["scores_seq"], shown["score"]) == (52, 52, 4.0)
    assert {score["name"]: score["value"] for score in shown["scores"]} == {"image_statistics": 52.0, "energy": 52.0}
    assert shown["peak_capture_ns"] == str(RAISED_NS + 52 * FRAME_NS)
    assert (shown["duration_s"], shown["closed_because"]) == (6.4, "cleared")
    assert [one["closed_because"] for one in shown["revisions"]] == [None, None, "cleared"]


def test_without_its_report_the_peak_is_known_from_the_alert(
    ingest: AlertIngest, service: ReviewService, client: Any
) -> None:
    service.live.put_report(report(43))  # that of the later peak never arrives
    shown = shown_after(ingest, client, revision(1, 43, 43), revision(2, 60, 52))
    assert shown["scores_seq"] == 52
    carrier = {"name": "image_statistics", "family": "baseline", "value": None, "p_value": 0.001, "ratio": 4.0}
    assert shown["scores"] == [carrier]


def test_an_alert_of_an_older_version_has_the_scores_of_its_last_frame(
    ingest: AlertIngest, service: ReviewService, client: Any
) -> None:
    service.live.put_report(report(41))
    shown = shown_after(ingest, client, make_alert())
    assert (shown["peak_seq"], shown["peak_capture_ns"], shown["scores_seq"]) == (None, None, None)
    assert shown["scores"][0]["value"] == 41.0
    assert (shown["duration_s"], shown["closed_because"]) == (0.6, None)


def test_the_names_of_scores_at_the_peak_must_be_storable(ingest: AlertIngest, client: Any) -> None:
    hostile = revision(1, 43, 43, peak_ratios={"a\0b": 1.0})
    assert shown_after(ingest, client, hostile)["status"] == 404
