"""Records that no worker of ours has written are refused, and do not block those that come after them."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from gradwatch.monitor.review.feed.ground_truth import GroundTruth
from gradwatch.monitor.review.feed.ingest import AlertIngest, update_live
from gradwatch.monitor.review.feed.live_state import LiveState
from gradwatch.monitor.review.service import ReviewService
from gradwatch.monitor.review.settings import Retention
from gradwatch.monitor.review.store import alerts, retention
from gradwatch.monitor.review.store.database import Database
from gradwatch.monitor.review.store.schema import AttachmentRow
from gradwatch.streams.wire.messages import AlertState, Disturbance, FrameIdentity
from gradwatch.streams.wire.outputs import encode_alert, encode_health, encode_report
from gradwatch.streams.wire.records import Record

from ..builders import ALERT, NO_BROKER, RUN, health_record, make_alert, make_report, store

TOPICS = NO_BROKER.topics
NOW_MS = 1_790_000_000_000


def record(topic: str, value: bytes, key: bytes = b"north-gate", offset: int = 0) -> Record:
    return Record(topic, 0, offset, NOW_MS, key, value)


class Ingest:
    """Ingest into a database; `stored` are the revisions that it announced."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.stored: list[alerts.StoredRevision] = []
        live, truth = LiveState(200, 2**28), GroundTruth()
        self._ingest = AlertIngest(NO_BROKER, database, live, truth, self.stored.extend, lambda ids: None)

    def store(self, *records: Record) -> None:
        self._ingest.store(records)

    def attachments(self) -> list[tuple[str, str]]:
        with self.database.reading() as session:
            return [(row.alert_id, row.kind) for row in session.query(AttachmentRow)]


@pytest.fixture
def ingest(database: Database) -> Ingest:
    return Ingest(database)


@pytest.mark.parametrize(
    "change",
    [
        {"revision": 0},
        {"revision": -3},
        {"alert_id": ""},
        {"alert_id": "../../etc"},
        {"alert_id": "é" * 64},
        {"alert_id": "0d4c7a52-7c55-5f6e-8d3b-0f4a3a1f5b11"},  # of another episode
        {"stream_id": "evil"},  # whose alert this is not
        {"carried_by": ["a\0b"]},
        {"reason": "a\0b"},
        {"reason": "x" * 300_000},
        {"track_id": 2**63},
    ],
)
def test_an_alert_that_cannot_be_stored_blocks_no_other(ingest: Ingest, change: dict[str, Any]) -> None:
    hostile = json.dumps(json.loads(encode_alert(ALERT)) | change).encode()
    good = make_alert(onset_seq=99)
    ingest.store(record(TOPICS.alerts, hostile), record(TOPICS.alerts, encode_alert(good), offset=1))
    assert [one.alert for one in ingest.stored] == [good]
    with ingest.database.reading() as session:
        assert alerts.load_offsets(session, [TOPICS.alerts]) == {(TOPICS.alerts, 0): 2}


@pytest.mark.parametrize(
    "hostile",
    [
        b'{"alert_id": "a", "kind": "evidence", "revision": 1000000000000000000000}',
        b'{"alert_id": "a", "kind": "evidence", "revision": -1}',
        b'{"alert_id": "a", "kind": "evidence", "revision": true}',
        b'{"alert_id": "a\\u0000", "kind": "evidence"}',
        b'{"alert_id": "a", "kind": "evidence\\u0000"}',
        b'{"alert_id": "", "kind": ""}',
        b'{"alert_id": "a", "kind": "evidence", "more": %s}' % (b"[" * 300 + b"]" * 300),
        b'{"alert_id": "a", "kind": "evidence", "more": %s}' % (b"[" * 980 + b"]" * 980),
        b'{"alert_id": "a", "kind": "evidence", "more": "%s"}' % (b"x" * 1_100_000),
    ],
)
def test_an_attachment_that_cannot_be_stored_blocks_no_other(ingest: Ingest, hostile: bytes) -> None:
    good = b'{"alert_id": "b", "kind": "evidence", "path": "a\\u0000", "more": {"of": [{"the": "same"}]}}'
    ingest.store(record(TOPICS.attachments, hostile), record(TOPICS.attachments, good, offset=1))
    assert ingest.attachments() == [("b", "evidence")]


def test_attachments_without_an_alert_are_bounded_and_those_of_alerts_stay(ingest: Ingest) -> None:
    known, late = ALERT, make_alert(onset_seq=99)
    bodies = [f'{{"alert_id": "{one}", "kind": "evidence"}}'.encode() for one in ("a", "b", "c", "d", known.alert_id)]
    ingest.store(*(record(TOPICS.attachments, body, offset=at) for at, body in enumerate(bodies)))
    ingest.store(record(TOPICS.alerts, encode_alert(known)), record(TOPICS.alerts, encode_alert(late)))

    def left(bounds: Retention, after_days: float = 1.0) -> int:
        with ingest.database.writing() as session:
            retention.enforce(session, bounds, NOW_MS * 1_000_000 + int(after_days * retention.DAY_NS))
        return len(ingest.attachments())

    assert left(Retention()) == 5  # their alerts may still arrive: topics are read independently
    assert left(Retention(max_alerts=3)) == 4
    assert left(Retention(days=2.0), after_days=3.0) == 1
    assert ingest.attachments() == [(known.alert_id, "evidence")]


def test_an_alert_whose_revisions_arrive_together_is_announced_as_new(service: ReviewService) -> None:
    published: list[dict[str, Any]] = []
    service.events.publish = lambda name, fields, **_: published.append(fields)  # type: ignore[method-assign]
    service.announce_revisions(store(service.database, ALERT, make_alert(revision=2, state=AlertState.CLOSED)))
    assert [(one["is_new"], one["alert"]["revision"]) for one in published] == [(True, 2)]


@pytest.mark.parametrize(
    "change",
    [
        {"identity": FrameIdentity("north-gate", RUN, 2**63)},
        {"identity": FrameIdentity("../north", RUN, 7)},
        {"identity": FrameIdentity("north-gate", "a run\n", 7)},
        {"capture_ns": 2**64 - 1},
        {"published_ns": -(2**63)},
    ],
)
def test_a_report_that_no_array_can_hold_is_refused(change: dict[str, Any]) -> None:
    live = LiveState(200, 2**28)
    update_live(live, "reports", record(TOPICS.reports, encode_report(make_report(**change))))
    assert live.cameras() == []
    update_live(live, "reports", record(TOPICS.reports, encode_report(make_report())))
    assert [camera.stream_id for camera in live.cameras()] == ["north-gate"]


GOOD_HEALTH = encode_health(msgspec.to_builtins(health_record(Disturbance.GAP, stream_id="south-gate")))


@pytest.mark.parametrize(
    "hostile",
    [
        b'{"a": %s}' % (b"[" * 300 + b"]" * 300),
        b"[" * 100_000,
        GOOD_HEALTH[:-1] + b', "more": "%s"}' % (b"x" * 70_000),
        GOOD_HEALTH.replace(b'"gap"', b'"no such fault"'),
        GOOD_HEALTH.replace(b"begin", b"ok"),
        GOOD_HEALTH,  # of another stream than the key says
    ],
)
def test_health_that_cannot_be_shown_does_not_break_the_list_of_cameras(
    service: ReviewService, client: Any, hostile: bytes
) -> None:
    update_live(service.live, "health", record(TOPICS.health, hostile))
    assert client.get("/api/v1/cameras").json()["cameras"] == []
    update_live(service.live, "health", record(TOPICS.health, GOOD_HEALTH, b"south-gate"))
    cameras = client.get("/api/v1/cameras").json()["cameras"]
    assert [(one["stream_id"], [e["disturbance"] for e in one["events"]]) for one in cameras] == [
        ("south-gate", ["gap"])
    ]
