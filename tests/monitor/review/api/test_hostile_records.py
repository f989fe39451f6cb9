"""Records that nobody of ours has written: each is refused, and nothing that comes after it waits for it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

from gradwatch.monitor.review.feed import ingest
from gradwatch.monitor.review.feed.ingest import AlertIntake, Broker
from gradwatch.monitor.review.feed.live import LiveState
from gradwatch.monitor.review.feed.truth import Truth
from gradwatch.monitor.review.service import ReviewService
from gradwatch.monitor.review.settings import Retention
from gradwatch.monitor.review.store import alerts as intake
from gradwatch.monitor.review.store import retention
from gradwatch.monitor.review.store.database import Database
from gradwatch.monitor.review.store.schema import AttachmentRow
from gradwatch.streams.wire.messages import Alert, AlertState, FrameIdentity, FrameReport, Outcome, StreamState
from gradwatch.streams.wire.outputs import encode_alert, encode_report
from gradwatch.streams.wire.records import Record
from gradwatch.streams.wire.topics import Topics

Make = Callable[..., Alert]
TOPICS = Topics()
NOW_MS = 1_790_000_000_000
RUN = "01JD0000000000000000000000"


def record(topic: str, value: bytes, key: bytes = b"north-gate", offset: int = 0) -> Record:
    return Record(topic, 0, offset, NOW_MS, key, value)


class Store:
    """The intake on a database, and what it told."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.told: list[intake.Taken] = []
        broker = Broker("127.0.0.1:1", {}, TOPICS)
        self._intake = AlertIntake(broker, database, LiveState(), Truth(), self.told.extend, lambda ids: None)

    def take(self, *records: Record) -> None:
        self._intake._take(records)

    def attachments(self) -> list[tuple[str, str]]:
        with self.database.reading() as session:
            return [(row.alert_id, row.kind) for row in session.query(AttachmentRow)]


@pytest.fixture
def store(database: Database) -> Store:
    return Store(database)


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
def test_an_alert_that_cannot_be_stored_holds_up_no_other(store: Store, make: Make, change: dict[str, Any]) -> None:
    hostile = json.dumps(json.loads(encode_alert(make())) | change).encode()
    good = make(onset_seq=99)
    store.take(record(TOPICS.alerts, hostile), record(TOPICS.alerts, encode_alert(good), offset=1))
    assert [one.alert for one in store.told] == [good]
    with store.database.reading() as session:
        assert intake.offsets(session, [TOPICS.alerts]) == {(TOPICS.alerts, 0): 2}


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
def test_an_attachment_that_cannot_be_stored_holds_up_no_other(store: Store, hostile: bytes) -> None:
    good = b'{"alert_id": "b", "kind": "evidence", "path": "a\\u0000", "more": {"of": [{"the": "same"}]}}'
    store.take(record(TOPICS.attachments, hostile), record(TOPICS.attachments, good, offset=1))
    assert store.attachments() == [("b", "evidence")]


def test_attachments_without_an_alert_are_bounded_and_those_of_alerts_stay(store: Store, make: Make) -> None:
    known, late = make(), make(onset_seq=99)
    bodies = [f'{{"alert_id": "{one}", "kind": "evidence"}}'.encode() for one in ("a", "b", "c", "d", known.alert_id)]
    store.take(*(record(TOPICS.attachments, body, offset=at) for at, body in enumerate(bodies)))
    store.take(record(TOPICS.alerts, encode_alert(known)), record(TOPICS.alerts, encode_alert(late)))

    def left(bounds: Retention, after_days: float = 1.0) -> int:
        with store.database.writing() as session:
            retention.enforce(session, bounds, NOW_MS * 1_000_000 + int(after_days * retention.DAY_NS))
        return len(store.attachments())

    assert left(Retention()) == 5  # their alerts may come yet: topics are read side by side
    assert left(Retention(max_alerts=3)) == 4
    assert left(Retention(days=2.0), after_days=3.0) == 1
    assert store.attachments() == [(known.alert_id, "evidence")]


def test_an_alert_whose_revisions_come_at_once_is_told_as_new(service: ReviewService, make: Make) -> None:
    told: list[dict[str, Any]] = []
    service.events.publish = lambda name, fields, **_: told.append(fields)  # type: ignore[method-assign]
    first, closed = make(), make(revision=2, state=AlertState.CLOSED)
    with service.database.writing() as session:
        taken = intake.take(session, [intake.Arrival(one, NOW_MS) for one in (first, closed)], NOW_MS)
    service._taken(taken)
    assert [(one["is_new"], one["alert"]["revision"]) for one in told] == [(True, 2)]


def report(**changes: Any) -> bytes:
    made = FrameReport(
        identity=FrameIdentity("north-gate", RUN, 7),
        partition=2,
        offset=7,
        capture_ns=1,
        published_ns=1,
        clock="utc",
        outcome=Outcome.JUDGED,
        state=StreamState.WATCHING,
        scores={"image_statistics": np.float32([9.5])},
    )
    return encode_report(replace(made, **changes))


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
def test_a_report_that_no_array_can_hold_is_passed_over(change: dict[str, Any]) -> None:
    live = LiveState()
    ingest._take_report(live, record(TOPICS.reports, report(**change)))
    assert live.cameras() == []
    ingest._take_report(live, record(TOPICS.reports, report()))
    assert [camera.stream_id for camera in live.cameras()] == ["north-gate"]


@pytest.mark.parametrize("hostile", [b'{"a": %s}' % (b"[" * 300 + b"]" * 300), b'{"a": "%s"}' % (b"x" * 70_000)])
def test_health_that_cannot_be_shown_costs_no_list_of_cameras(
    service: ReviewService, client: Any, hostile: bytes
) -> None:
    ingest._take_health(service.live, record(TOPICS.health, hostile))
    ingest._take_health(service.live, record(TOPICS.health, b'{"state": "ok"}', b"south-gate"))
    cameras = client.get("/api/v1/cameras").json()["cameras"]
    assert [(camera["stream_id"], camera["health"]) for camera in cameras] == [("south-gate", {"state": "ok"})]
