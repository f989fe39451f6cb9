"""Clips of alerts through the API, from frames and reports on a real broker and from real evidence files."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from gradwatch.monitor.evidence.archiver import AlertArchiver
from gradwatch.monitor.evidence.folder import EvidenceFolder
from gradwatch.monitor.evidence.scan import WindowSource
from gradwatch.monitor.review.feed.broker import Broker
from gradwatch.monitor.review.service import ReviewService
from gradwatch.monitor.review.settings import ReviewSettings
from gradwatch.monitor.review.store import alerts
from gradwatch.streams.transport.admin import delete_topics
from gradwatch.streams.transport.producer import BoundedProducer
from gradwatch.streams.transport.ranges import TopicRanges
from gradwatch.streams.wire.frames import encode_frame
from gradwatch.streams.wire.messages import Alert, AlertState, EncodedFrame, FrameReport, Outcome
from gradwatch.streams.wire.outputs import encode_attachment
from gradwatch.streams.wire.topics import Topics

from ....brokers import make_topics
from ....waiting import wait_until
from ...evidence import scenes
from ...evidence.live import RunPublisher
from ..traffic import publish_alert, publish_report

RATE_HZ = 5
SECOND_NS = 1_000_000_000
PARTITION = 1
RUN, OTHER_RUN = scenes.RUN, "01JE0000000000000000000000"
DEEP = b'{"tags": ' + b'{"a": ' * 100_000  # nested deeper than any parser allows
MARKUP = "\"><img src=x onerror='alert(1)'>"


class Stage:
    """Own topics, the review process without its threads, and what a worker and services publish."""

    def __init__(self, servers: str, topics: Topics, service: ReviewService, folder: Path) -> None:
        self.servers, self.topics, self.service, self.folder = servers, topics, service, folder
        self.producer = BoundedProducer(servers)

    def play(
        self,
        seqs: Iterable[int],
        run_id: str = RUN,
        contents: Mapping[int, bytes] = {},
        outcomes: Mapping[int, Outcome] = {},
        change: Callable[[FrameReport], FrameReport] = lambda report: report,
    ) -> dict[int, EncodedFrame]:
        """Publishes frames, the last as if recorded now, and their reports; returns the frames with their offsets."""
        numbers = list(seqs)
        begin_ms = time.time_ns() // 1_000_000 - numbers[-1] * 1000 // RATE_HZ
        made, deliveries = {}, {}
        for seq in numbers:
            at_ms = begin_ms + seq * 1000 // RATE_HZ
            one = scenes.frame(seq, RATE_HZ, run_id=run_id)
            stamp = replace(one.stamp, published_ns=at_ms * 1_000_000)
            made[seq] = replace(one, stamp=stamp, content=contents.get(seq, one.content))
            wire = encode_frame(made[seq])
            deliveries[seq] = self.producer.send(self.topics.frames, *wire, partition=PARTITION, timestamp_ms=at_ms)
        assert self.producer.flush(30)
        placed = {
            seq: replace(one, stamp=replace(one.stamp, partition=PARTITION, offset=deliveries[seq].offset))
            for seq, one in made.items()
        }
        for seq, one in placed.items():
            publish_report(self.producer, self.topics, change(scenes.report(one, outcomes.get(seq, Outcome.JUDGED))))
        assert self.producer.flush(30)
        return placed

    def store(self, about: Alert) -> str:
        """Stores a revision of an alert, published now; returns its URL."""
        with self.service.database.writing() as session:
            alerts.store_revisions(session, [alerts.ReceivedRevision(about, time.time_ns())], time.time_ns())
        return f"/api/v1/alerts/{about.alert_id}"

    def keep(self, about: Alert) -> dict[str, Any]:
        """Writes the alert's evidence as the evidence service does; returns the body of its attachment."""
        with TopicRanges(self.servers) as ranges:
            folder = EvidenceFolder(self.folder / "evidence", 10**9)
            archiver = AlertArchiver(WindowSource(ranges, self.topics), folder, self.producer, lambda: None)
            made = archiver.archive({about.revision: about}, time.time_ns() // 1_000_000)
        return dict(msgspec.json.decode(encode_attachment(made)))

    def attach(self, body: dict[str, Any]) -> None:
        with self.service.database.writing() as session:
            assert alerts.store_attachment(session, body, time.time_ns())

    def lose_frames(self) -> None:
        """Deletes all frames from Kafka."""
        delete_topics(self.servers, [self.topics.frames])

    def write_truth(self, name: str, content: bytes) -> None:
        """Writes a file of ground truth."""
        (self.folder / "truth").mkdir(exist_ok=True)
        (self.folder / "truth" / name).write_bytes(content)


@pytest.fixture
def topics(best_broker: str) -> Topics:
    return make_topics(best_broker, 3)


@pytest.fixture
def service(best_broker: str, topics: Topics, sqlite_url: str, tmp_path: Path) -> Iterator[ReviewService]:
    settings = ReviewSettings(database=sqlite_url, evidence=str(tmp_path / "evidence"), truth=str(tmp_path / "truth"))
    made = ReviewService(settings, Broker(best_broker, {}, topics))
    yield made
    made.stop()


@pytest.fixture
def stage(best_broker: str, topics: Topics, service: ReviewService, tmp_path: Path) -> Iterator[Stage]:
    made = Stage(best_broker, topics, service, tmp_path)
    yield made
    made.producer.close()


def clip_of(client: Any, url: str) -> dict[str, Any]:
    answer = client.get(url + "/clip")
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def by_seq(clip: dict[str, Any]) -> dict[int, dict[str, Any]]:
    seqs = [frame["seq"] for frame in clip["frames"]]
    assert seqs == sorted(set(seqs))
    return {frame["seq"]: frame for frame in clip["frames"]}


def expect_pictures(client: Any, clip: dict[str, Any], own: Mapping[int, EncodedFrame]) -> None:
    """Every picture of the clip is served unchanged, with its own times."""
    for seq, shown in by_seq(clip).items():
        if shown["url"] is not None:
            answer = client.get(shown["url"])
            assert (answer.content, answer.headers["content-type"]) == (own[seq].content, "image/jpeg")
            assert (answer.headers["x-seq"], answer.headers["x-run-id"]) == (str(seq), own[seq].stamp.identity.run_id)
            assert answer.headers["x-capture-ns"] == shown["capture_ns"] == str(own[seq].stamp.capture_ns)


@pytest.mark.parametrize(("length_s", "state"), [(1, "closed"), (58, "closed"), (1, "open")])
def test_a_clip_has_every_frame_of_its_window_unchanged(stage: Stage, client: Any, length_s: int, state: str) -> None:
    own = stage.play(range(75 * RATE_HZ))
    onset, last = 7 * RATE_HZ + 1, (7 + length_s) * RATE_HZ + 1
    about = scenes.alert(own[onset], own[last], AlertState(state))
    clip = clip_of(client, stage.store(about))
    longest_ns = about.onset_capture_ns + 60 * SECOND_NS
    end_ns = longest_ns if state == "open" else min(about.last_capture_ns + 5 * SECOND_NS, longest_ns)
    assert int(clip["start_capture_ns"]) == about.onset_capture_ns - 5 * SECOND_NS
    assert int(clip["end_capture_ns"]) == end_ns
    end = onset + 60 * RATE_HZ if state == "open" else min(last + 5 * RATE_HZ, onset + 60 * RATE_HZ)
    assert list(by_seq(clip)) == list(range(onset - 5 * RATE_HZ, end + 1))
    assert (clip["source"], clip["onset_seq"], clip["last_seq"]) == ("kafka", onset, last)
    assert all(frame["url"] and frame["missing"] is None for frame in clip["frames"])
    expect_pictures(client, clip, own)
    assert (clip["frames"][0]["boxes"][0]["label"], clip["frames"][0]["width_px"]) == ("stop", 24)


def test_a_picture_is_sent_once_and_only_those_of_the_window(stage: Stage, client: Any) -> None:
    own = stage.play(range(100))
    stage.play(range(100), OTHER_RUN)  # the same seqs in the same partition
    url = stage.store(scenes.alert(own[40], own[45]))
    first = client.get(f"{url}/clip/frames/15")
    assert first.content == own[15].content
    again = client.get(f"{url}/clip/frames/15", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    for outside in (14, 71, 2**63 - 1):
        answer = client.get(f"{url}/clip/frames/{outside}")
        assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")
        assert str(outside) in answer.json()["detail"]
    for nonsense in ("-1", str(2**63), "1.5", "%22%3E"):
        assert client.get(f"{url}/clip/frames/{nonsense}").status_code == 422
    assert client.get(f"{url}/evidence").status_code == 404
    for part in ("clip", "clip/scores", "clip/frames/15", "evidence"):
        assert client.get(f"/api/v1/alerts/{'0' * 36}/{part}").status_code == 404
        assert client.get(f"/api/v1/alerts/%22%3E%3Cimg%3E/{part}").status_code == 422


def missing_in(client: Any, url: str) -> dict[int, str]:
    return {seq: frame["missing"] for seq, frame in by_seq(clip_of(client, url)).items() if frame["missing"]}


def test_a_missing_frame_has_its_cause(stage: Stage, client: Any) -> None:
    seqs = [seq for seq in range(100) if seq != 31]
    outcomes = {32: Outcome.REJECTED, 33: Outcome.DROPPED}
    own = stage.play(seqs, contents={32: b"no picture"}, outcomes=outcomes)
    url = stage.store(scenes.alert(own[40], own[45]))
    frames = by_seq(clip_of(client, url))
    assert list(frames) == list(range(15, 71))
    assert missing_in(client, url) == {31: "never_published", 32: "rejected"}
    assert (frames[31]["url"], frames[31]["outcome"], frames[31]["boxes"]) == (None, None, [])
    assert (frames[33]["outcome"], frames[33]["cause"]) == ("dropped", "superseded")
    assert frames[33]["url"] is not None  # the worker has not judged it, but a person can see it
    assert client.get(f"{url}/clip/frames/31").status_code == 404


def test_an_expired_frame_has_its_cause(stage: Stage, client: Any) -> None:
    own = stage.play(range(100), outcomes={20: Outcome.DROPPED})
    road = RunPublisher(stage.servers, stage.topics)
    expired = road.expire(own[25].stamp.offset)
    road.close()
    if not expired:
        pytest.skip("this broker deletes no records")
    url = stage.store(scenes.alert(own[40], own[45]))
    assert missing_in(client, url) == dict.fromkeys(range(15, 25), "expired") | {20: "dropped"}


def test_frames_that_kafka_has_lost_come_from_the_evidence(stage: Stage, client: Any) -> None:
    own = stage.play(seq for seq in range(100) if seq != 31)
    about = scenes.alert(own[40], own[45])
    body = stage.keep(about)
    stage.lose_frames()
    url = stage.store(about)
    for part in ("clip", "clip/scores", "clip/frames/40"):
        answer = client.get(f"{url}/{part}")
        assert (answer.status_code, answer.json()["type"]) == (503, "broker-unavailable")
        assert stage.topics.frames in answer.json()["detail"]
    stage.attach(body)
    clip = clip_of(client, url)
    frames = by_seq(clip)
    assert clip["source"] == "evidence"
    assert list(frames) == list(range(15, 71))
    assert {seq for seq, frame in frames.items() if frame["url"] is None} == {31}
    assert frames[31]["missing"] == "never_published"
    expect_pictures(client, clip, own)
    assert len(client.get(url + "/clip/scores").json()["seq"]) == 55
    download = client.get(url + "/evidence")
    assert download.content == (stage.folder / "evidence" / body["path"]).read_bytes()
    assert download.headers["x-sha256"] == body["sha256"]


def test_what_came_after_the_first_evidence_comes_from_kafka(stage: Stage, client: Any) -> None:
    """The file of an open alert is written at once, while its window has just begun."""
    own = stage.play(range(50))
    first = scenes.alert(own[40], own[43], AlertState.OPEN)
    url = stage.store(first)
    stage.attach(stage.keep(first))
    assert list(by_seq(clip_of(client, url))) == list(range(15, 50))
    own |= stage.play(range(50, 100))
    stage.store(scenes.alert(own[40], own[60], revision=2))
    clip = clip_of(client, url)
    assert list(by_seq(clip)) == list(range(15, 86))
    expect_pictures(client, clip, own)
    stage.lose_frames()
    stage.store(scenes.alert(own[40], own[61], revision=3))
    left = clip_of(client, url)
    assert (left["source"], list(by_seq(left))) == ("evidence", list(range(15, 50)))


def test_evidence_of_another_alert_is_not_shown(stage: Stage, client: Any) -> None:
    own = stage.play(range(100))
    url = stage.store(scenes.alert(own[40], own[45]))
    foreign = stage.keep(scenes.alert(own[60], own[65]))
    stage.attach(foreign | {"alert_id": scenes.alert(own[40], own[45]).alert_id})
    with capture_logs() as logs:
        clip = clip_of(client, url)
    assert (clip["source"], list(by_seq(clip))) == ("kafka", list(range(15, 71)))
    assert "expected evidence of this alert" in logs[0]["error"]


def test_no_attachment_leads_out_of_the_folder(stage: Stage, client: Any) -> None:
    own = stage.play(range(100))
    about = scenes.alert(own[40], own[45])
    body = stage.keep(about)
    folder = stage.folder / "evidence"
    outside = stage.folder / "outside.mcap"  # a valid file of this alert in the wrong place
    shutil.copy(folder / body["path"], outside)
    (folder / "link.mcap").symlink_to(outside)
    (folder / "linked").symlink_to(stage.folder)
    (folder / "loop").symlink_to(folder / "loop")
    stage.lose_frames()
    url = stage.store(about)
    paths = ["../outside.mcap", str(outside), "link.mcap", "linked/outside.mcap", "north/../../outside.mcap", "loop"]
    paths += ["../../etc/passwd", "/etc/passwd", "a\0b", "x" * 300, "x/" * 3000, "", ".", "north", MARKUP]
    for path in paths:
        stage.attach(body | {"path": path})
        answers = [client.get(f"{url}/{part}") for part in ("evidence", "clip", "clip/frames/40")]
        assert [answer.status_code for answer in answers] == [404, 503, 503], path
        assert all(answer.headers["content-type"] == "application/problem+json" for answer in answers)
    stage.attach(body)
    assert client.get(url + "/evidence").content == outside.read_bytes()
    for sha256 in ("a\r\nSet-Cookie: a=b", "ÿ\u2603", MARKUP):  # a header can't or must not contain these
        stage.attach(body | {"sha256": sha256})
        answer = client.get(url + "/evidence")
        assert answer.content == outside.read_bytes()
        assert not {"set-cookie", "x-sha256"} & set(answer.headers)


def test_scores_of_a_clip_have_gradients_beside_baselines(stage: Stage, client: Any) -> None:
    def scored(report: FrameReport) -> FrameReport:
        seq = report.identity.seq
        scores = {"image_statistics": [seq], "gradcon_direction": [0.1, seq / 100], "from_the_future": [np.inf]}
        change = {"image_statistics": seq / 40, "gradcon_direction": float("nan") if seq < 30 else 0.5}
        return replace(report, scores={name: np.float32(values) for name, values in scores.items()}, change=change)

    own = stage.play(range(100), outcomes={20: Outcome.DROPPED}, change=scored)
    found = client.get(stage.store(scenes.alert(own[40], own[45])) + "/clip/scores").json()
    seqs = [seq for seq in range(15, 71) if seq != 20]
    assert (found["run_id"], found["seq"]) == (RUN, seqs)
    assert found["capture_ns"] == [str(own[seq].stamp.capture_ns) for seq in seqs]
    columns = {column["name"]: column for column in found["scores"]}
    assert {name: column["family"] for name, column in columns.items()} == {
        "image_statistics": "baseline",
        "gradcon_direction": "gradient",
        "from_the_future": "unknown",
    }
    baseline, gradient = columns["image_statistics"], columns["gradcon_direction"]
    assert baseline["value"] == seqs
    assert baseline["p_value"] == [pytest.approx(0.01)] * 55
    # 1 is the threshold: it is reached at the onset, seq 40, and not before
    assert [seq for seq, ratio in zip(seqs, baseline["ratio"], strict=True) if ratio >= 1] == list(range(40, 71))
    assert gradient["value"] == [pytest.approx(max(0.1, seq / 100)) for seq in seqs]
    assert gradient["ratio"] == [None if seq < 30 else 0.5 for seq in seqs]
    assert columns["from_the_future"]["value"] == [None] * 55


def test_a_report_with_broken_arrays_loses_only_its_own_boxes(stage: Stage, client: Any) -> None:
    def spoiled(report: FrameReport) -> FrameReport:
        seen, nan = report.detections, float("nan")
        assert seen is not None
        changes = {
            20: replace(seen, score=np.float32([0.5, 0.5])),
            21: replace(seen, xyxy=np.float32([1, 2, 3, 4])),
            22: replace(seen, label=[]),
            23: replace(seen, xyxy=np.float32([[nan, 1, 2, 3]])),
        }
        return replace(report, detections=changes.get(report.identity.seq, seen))

    own = stage.play(range(100), change=spoiled)
    frames = by_seq(clip_of(client, stage.store(scenes.alert(own[40], own[45]))))
    assert [seq for seq, frame in frames.items() if not frame["boxes"]] == [20, 21, 22, 23]
    assert [seq for seq, frame in frames.items() if frame["overlay"] is None] == [20, 21, 22]
    assert all(frame["url"] for frame in frames.values())


def known(challenge: Any = "haze", label: str = "stop") -> bytes:
    """Ground truth: the challenge begins at seq 38, a sign is in frames 39 and 40."""
    objects = {seq: [{"xyxy": [1, 2, 3.5, 4], "label": label, "kind": "sign"}] for seq in ("39", "40")}
    return json.dumps({"tags": {"challenge": challenge, "level": 4}, "onset_seq": 38, "objects": objects}).encode()


def true_labels(client: Any, url: str) -> dict[int, list[str]]:
    frames = by_seq(clip_of(client, url))
    return {seq: [box["label"] for box in frame["truth"]] for seq, frame in frames.items() if frame["truth"]}


def test_truth_is_of_its_run_and_seq_alone(stage: Stage, client: Any) -> None:
    own, other = stage.play(range(100)), stage.play(range(100), OTHER_RUN)
    url, other_url = stage.store(scenes.alert(own[40], own[45])), stage.store(scenes.alert(other[40], other[45]))
    assert true_labels(client, url) == true_labels(client, other_url) == {}
    stage.write_truth(f"north.{RUN}.json", known(label=MARKUP))
    stage.write_truth("south.json", known())
    assert true_labels(client, url) == {39: [MARKUP], 40: [MARKUP]}  # as data; the page sets it as text
    assert true_labels(client, other_url) == {}
    stage.write_truth("north.json", known("rain", "yield"))
    assert true_labels(client, url) == {39: [MARKUP], 40: [MARKUP]}
    assert true_labels(client, other_url) == {39: ["yield"], 40: ["yield"]}
    assert client.get(url).json()["tags"] == {"challenge": "haze", "level": 4}
    assert by_seq(clip_of(client, url))[39]["truth"][0]["xyxy"] == [1.0, 2.0, 3.5, 4.0]
    found = [stage.service.truth.challenge("north", run, seq) for run in (RUN, OTHER_RUN) for seq in (37, 38)]
    assert found == [None, "haze", None, "rain"]
    stage.write_truth(f"north.{RUN}.json", DEEP)
    assert true_labels(client, url) == {}  # the file of its stream may be about another run
    assert all(frame["url"] for frame in clip_of(client, url)["frames"])


def test_hostile_records_do_not_keep_alerts_from_arriving(stage: Stage, client: Any) -> None:
    own = stage.play(range(100))
    about = scenes.alert(own[40], own[45])
    stage.write_truth("north.json", DEEP)
    stage.service.start()
    publish_alert(stage.producer, stage.topics, replace(about, alert_id="1", stream_id=f"north{MARKUP}"))
    publish_alert(stage.producer, stage.topics, replace(about, reason=MARKUP))
    wait_until(lambda: client.get("/api/v1/alerts").json()["alerts"] != [])
    answer = client.get("/api/v1/alerts")
    assert [(one["stream_id"], one["reason"]) for one in answer.json()["alerts"]] == [("north", MARKUP)]
    assert (answer.headers["content-type"], answer.headers["x-content-type-options"]) == ("application/json", "nosniff")
    assert client.get("/api/v1/cameras/north%22%3E/scores").status_code == 422
    assert len(clip_of(client, f"/api/v1/alerts/{about.alert_id}")["frames"]) == 56
