"""From a real broker to the API and back: alerts, cameras, corrections, and a broker that ends."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from gradwatch.monitor.worker.verdict_feed import CorrectionFeed
from gradwatch.streams.transport.embedded import EmbeddedBroker, EmbeddedBrokerMissingError
from gradwatch.streams.transport.producer import BoundedProducer
from gradwatch.streams.transport.reader import NewestRecords, TopicReader
from gradwatch.streams.wire.frames import encode_frame
from gradwatch.streams.wire.messages import AlertState, ClassOverride, FrameReport, RegionMute
from gradwatch.streams.wire.outputs import decode_correction
from gradwatch.streams.wire.topics import Topics

from ....brokers import make_topics
from ....waiting import wait_until
from ..builders import ALERT, RUN, make_alert, make_frame, make_report
from ..traffic import Reviewer, ReviewProcess, publish_alert, publish_report, running


@pytest.fixture(scope="module")
def broker() -> Iterator[EmbeddedBroker]:
    try:
        with EmbeddedBroker() as embedded:
            yield embedded
    except EmbeddedBrokerMissingError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def topics(broker: EmbeddedBroker) -> Topics:
    return make_topics(broker.bootstrap_servers, 3)


@pytest.fixture(scope="module")
def producer(broker: EmbeddedBroker) -> Iterator[BoundedProducer]:
    with BoundedProducer(broker.bootstrap_servers) as made:
        yield made


@pytest.fixture(scope="module")
def reviewer(broker: EmbeddedBroker, topics: Topics, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reviewer]:
    folder = tmp_path_factory.mktemp("review")
    process = ReviewProcess(broker.bootstrap_servers, topics, f"sqlite:///{folder / 'review.db'}", folder)
    with running(process):
        yield Reviewer(process)


def report(seq: int) -> FrameReport:
    return make_report(seq, capture_ns=time.time_ns(), published_ns=time.time_ns())


def test_an_alert_is_announced_with_its_scores_and_resumed(
    reviewer: Reviewer, producer: BoundedProducer, topics: Topics
) -> None:
    wait_until(lambda: not any(one["error"] for one in reviewer.get("/api/v1/status")["following"]))
    events = reviewer.events()
    assert next(events)[1] == "hello"
    publish_report(producer, topics, report(41))
    assert producer.flush(20.0)
    publish_alert(producer, topics, ALERT)
    event_id, _, fields = next(event for event in events if event[1] == "alert")
    assert (fields["is_new"], fields["muted"], fields["alert"]["alert_id"]) == (True, False, ALERT.alert_id)
    events.close()  # type: ignore[attr-defined]
    publish_alert(producer, topics, make_alert(revision=2, state=AlertState.CLOSED))
    resumed = reviewer.events(event_id)
    _, _, fields = next(event for event in resumed if event[1] == "alert")
    assert fields["alert"]["revision"] == 2
    resumed.close()  # type: ignore[attr-defined]
    foreign = reviewer.events("ffffffff-7")
    assert next(foreign)[1] == "reset"
    foreign.close()  # type: ignore[attr-defined]

    def scores() -> Any:
        return reviewer.get(f"/api/v1/alerts/{ALERT.alert_id}")["scores"]

    assert wait_until(scores)[0]["ratio"] == 1.25


def test_the_newest_picture_of_a_camera_is_shown(reviewer: Reviewer, producer: BoundedProducer, topics: Topics) -> None:
    for seq in range(40):
        wire = encode_frame(make_frame(seq, size=(64, 48)))
        producer.send(topics.frames, wire.key, wire.value, wire.headers, 2)
    assert producer.flush(20.0)

    def camera() -> Any:
        found = [c for c in reviewer.get("/api/v1/cameras")["cameras"] if c["thumbnail_url"]]
        return found and found[0]

    assert wait_until(camera)["stream_id"] == "north-gate"
    answer = reviewer._client.get("/api/v1/cameras/north-gate/frame")
    assert (answer.content, answer.headers["x-seq"]) == (make_frame(39, size=(64, 48)).content, "39")


@pytest.fixture
def seen(reviewer: Reviewer, producer: BoundedProducer, topics: Topics) -> str:
    """A camera in the live view, with its frames in partition 2."""
    publish_report(producer, topics, report(42))
    assert producer.flush(20.0)
    wait_until(lambda: [one for one in reviewer.get("/api/v1/cameras")["cameras"] if one["stream_id"] == "north-gate"])
    return "north-gate"


def test_a_worker_applies_a_correction_until_it_is_withdrawn(
    reviewer: Reviewer, seen: str, broker: EmbeddedBroker, topics: Topics
) -> None:
    feed = CorrectionFeed(lambda: TopicReader(broker.bootstrap_servers, [topics.verdicts]))
    feed.start()
    corner = [[0, 0], [200, 0], [200, 120]]
    body = {"kind": "mute_region", "stream_id": seen, "polygon": corner}
    assert reviewer.act("POST", "/api/v1/verdicts", json=body)
    (given,) = wait_until(lambda: feed.book.of(seen))
    assert isinstance(given, RegionMute)
    assert np.array_equal(given.polygon, corner)
    assert reviewer.act("DELETE", f"/api/v1/verdicts/{given.verdict_id}")
    assert wait_until(lambda: feed.book.of(seen) == ())
    feed.stop()
    feed.join(10.0)


def test_a_correction_is_published_in_the_partition_of_its_streams_frames(
    reviewer: Reviewer, seen: str, broker: EmbeddedBroker, topics: Topics
) -> None:
    body = {"kind": "override_class", "stream_id": seen, "run_id": RUN, "track_id": 7, "label": "yield"}
    assert reviewer.act("POST", "/api/v1/verdicts", json=body)
    (listed,) = wait_until(lambda: [v for v in reviewer.get("/api/v1/verdicts")["verdicts"] if v["published"]])
    assert reviewer.act("DELETE", f"/api/v1/verdicts/{listed['verdict_id']}")
    key = f"{seen}/{listed['verdict_id']}".encode()
    records: list[Any] = []
    with TopicReader(broker.bootstrap_servers, [topics.verdicts]) as reader:
        wait_until(lambda: records.extend(one for one in reader.poll(0.2) if one.key == key) or len(records) >= 4)
    (added,) = (one for one in records if one.value is not None)
    assert added.partition == 2
    # the stream may have moved since
    assert sorted(one.partition for one in records if one.value is None) == [0, 1, 2]
    correction = decode_correction(added.value)
    assert isinstance(correction, ClassOverride)
    assert (correction.track_id, correction.label, correction.author) == (7, "yield", "local")


def test_unreadable_records_are_refused_and_counted(
    reviewer: Reviewer, producer: BoundedProducer, topics: Topics
) -> None:
    for topic in (topics.alerts, topics.attachments, topics.reports, topics.overlays, topics.health, topics.frames):
        producer.send(topic, b"../x", b"\xff\xfe", [])
        producer.send(topic, b"north-gate", b"{}", [])
    producer.send(topics.alerts, b"x", b'{"alert_id":"\\u0000"}', [])
    publish_alert(producer, topics, make_alert(onset_seq=777))
    wait_until(lambda: any(a["onset_seq"] == 777 for a in reviewer.alerts()))
    refused = [
        line
        for line in reviewer._client.get(f"{reviewer.status_url}/metrics").text.splitlines()
        if line.startswith('gradwatch_review_records_total{outcome="refused",topic="alerts"}')
    ]
    assert float(refused[0].split()[-1]) >= 3


def test_a_look_gives_the_last_records_and_then_nothing(
    broker: EmbeddedBroker, topics: Topics, producer: BoundedProducer
) -> None:
    own = make_topics(broker.bootstrap_servers, 3)
    for number in range(30):
        producer.send(own.frames, b"a", b"%d" % number, [], 1)
        producer.flush(20.0)
    with NewestRecords(broker.bootstrap_servers, own.frames) as newest:
        seen = [int(record.value or b"") for record in newest.look(lambda partition: 3)]
        assert seen[-1] == 29
        assert len(seen) <= 4  # Tansu reports the end late
        assert [record for record in newest.look(lambda partition: 3) if record.value != b"29"] == []


def test_a_reader_begins_where_it_is_told(broker: EmbeddedBroker, producer: BoundedProducer) -> None:
    own = make_topics(broker.bootstrap_servers, 3)
    for number in range(10):
        producer.send(own.alerts, b"a", b"%d" % number, [])
    producer.flush(20.0)
    found: list[int] = []
    with TopicReader(broker.bootstrap_servers, [own.alerts], offsets={(own.alerts, 0): 7}) as reader:
        wait_until(lambda: found.extend(int(r.value or b"") for r in reader.poll(0.2)) or len(found) >= 3)
    assert found == [7, 8, 9]


def test_without_a_broker_alerts_can_still_be_reviewed(reviewer: Reviewer, broker: EmbeddedBroker) -> None:
    """The last test of this file: it ends the broker."""
    wait_until(lambda: reviewer.get("/api/v1/status")["broker"]["ok"])
    alert_id = reviewer.alerts()[0]["alert_id"]
    broker.close()
    state = wait_until(lambda: (now := reviewer.get("/api/v1/status")["broker"])["error"] and now)
    assert (state["ok"], int(state["since_ns"]) > 0) == (False, True)
    assert reviewer.act("PUT", f"/api/v1/alerts/{alert_id}/acknowledgement")
    assert reviewer._client.get(f"{reviewer.status_url}/readyz").status_code == 200
