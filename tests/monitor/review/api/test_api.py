"""The API from outside: what a page needs of alerts, cameras and verdicts, and errors that programs can read."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gradwatch.monitor.review.service import ReviewService
from gradwatch.monitor.review.store import alerts as intake
from gradwatch.streams.wire.messages import (
    Alert,
    AlertState,
    EncodedFrame,
    FrameIdentity,
    FrameReport,
    Outcome,
    StreamState,
)
from gradwatch.streams.wire.pixels import encode_jpeg

from ....builders import encoded_frame

Make = Callable[..., Alert]
RAISED_NS = 1_790_000_000_123_456_789
RUN = "01JD0000000000000000000000"


def take(service: ReviewService, *alerts: Alert) -> list[intake.Taken]:
    with service.database.writing() as session:
        arrivals = [
            intake.Arrival(
                alert,
                RAISED_NS + i,
                service.live.scores_at(alert.stream_id, alert.run_id, alert.last_seq),
                service.truth.challenge(alert.stream_id, alert.run_id, alert.onset_seq),
            )
            for i, alert in enumerate(alerts)
        ]
        return intake.take(session, arrivals, RAISED_NS)


def report(stream_id: str = "north-gate", seq: int = 41, ratio: float = 1.25) -> FrameReport:
    return FrameReport(
        identity=FrameIdentity(stream_id, RUN, seq),
        partition=1,
        offset=seq,
        capture_ns=RAISED_NS + seq * 200_000_000,
        published_ns=RAISED_NS + seq * 200_000_000,
        clock="utc",
        outcome=Outcome.JUDGED,
        state=StreamState.ALERTING,
        width=64,
        height=48,
        scores={"image_statistics": np.float32([9.5]), "gradcon_direction": np.float32([0.25]), "msp": np.float32([])},
        p_values={"image_statistics": np.float32([0.002])},
        change={"image_statistics": ratio, "gradcon_direction": float("nan")},
    )


def frame(stream_id: str = "north-gate", seq: int = 41) -> EncodedFrame:
    picture = np.random.default_rng(seq).integers(0, 256, (480, 640, 3), np.uint8)
    return encoded_frame(
        stream_id, seq, RUN, capture_ns=RAISED_NS, published_ns=RAISED_NS, content=encode_jpeg(picture), partition=1
    )


def test_an_alert_says_everything_that_one_needs_to_believe_it(service: ReviewService, client: Any, make: Make) -> None:
    service.live.take_report(report())
    take(service, make(), make(onset_seq=60), make(revision=2, state=AlertState.CLOSED, calibration_note="provisional"))
    url = f"/api/v1/alerts/{make().alert_id}"
    client.post(url + "/comments", json={"text": "<script>alert(1)</script>"})
    found = client.get(url).json()
    assert (found["revision"], found["state"], found["raised_ns"]) == (2, "closed", str(RAISED_NS))
    assert (found["calibration_note"], found["mean_time_between_false_alarms_s"]) == ("provisional", 3600.0)
    assert [one["revision"] for one in found["revisions"]] == [1, 2]
    by_name = {score["name"]: score for score in found["scores"]}
    assert by_name["image_statistics"] == {
        "name": "image_statistics",
        "family": "baseline",
        "value": 9.5,
        "p_value": pytest.approx(0.002),
        "ratio": 1.25,
    }
    assert (by_name["gradcon_direction"]["family"], by_name["gradcon_direction"]["ratio"]) == ("gradient", None)
    assert not found["carried_by_gradients"]
    assert found["comments"][0]["text"] == "<script>alert(1)</script>"
    assert [one["action"] for one in found["audit"]] == ["comment"]
    assert (found["previous"], found["next"]) == (make(onset_seq=60).alert_id, None)


def test_actions_change_what_is_listed(service: ReviewService, client: Any, make: Make) -> None:
    take(service, make(), make(onset_seq=60))
    url = f"/api/v1/alerts/{make().alert_id}"
    assert client.put(url + "/acknowledgement").json()["review"]["acknowledged_by"] == "local"
    assert client.put(url + "/assignee", json={"assignee": "local"}).json()["review"]["assignee"] == "local"
    assert client.put(url + "/snooze", json={"factor": 1.5}).json()["review"]["is_snoozed"]
    assert client.put(url + "/reviewed").json()["review"]["reviewed"]
    for wanted in ("acknowledged", "snoozed", "mine"):
        assert [a["alert_id"] for a in client.get(f"/api/v1/alerts?review={wanted}").json()["alerts"]] == [
            make().alert_id
        ]
    counts = client.get("/api/v1/alerts/counts").json()
    assert counts["by"]["review"] == {"unreviewed": 1, "acknowledged": 1, "snoozed": 1, "mine": 1}
    assert not client.delete(url + "/snooze").json()["review"]["is_snoozed"]
    assert client.delete(url + "/acknowledgement").json()["review"]["acknowledged_by"] is None
    assert not client.delete(url + "/reviewed").json()["review"]["reviewed"]


def test_muted_revisions_are_summarized(service: ReviewService, client: Any, make: Make) -> None:
    take(service, make())
    client.put(f"/api/v1/alerts/{make().alert_id}/snooze", json={"until": "2100-01-01T00:00:00Z"})
    take(service, *(make(revision=n) for n in range(2, 14)))
    found = client.get(f"/api/v1/alerts/{make().alert_id}").json()
    assert found["snooze"]["muted_revisions"] == 12
    assert [one["muted"] for one in found["revisions"]] == [False] + [True] * 12


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/v1/alerts/none", 404),
        ("/api/v1/alerts/none/clip", 404),
        ("/api/v1/alerts/none/evidence", 404),
        ("/api/v1/alerts/../../etc/passwd", 404),
        ("/api/v1/cameras/none", 404),
        ("/api/v1/cameras/none/thumbnail.jpg", 404),
        ("/api/v1/cameras/%2e%2e/scores", 422),
        ("/api/v1/alerts?limit=501", 422),
        ("/api/v1/alerts?text=%00", 422),
        ("/api/v1/alerts?from=yesterday", 422),
        ("/api/v1/alerts?severity=terrible", 422),
        ("/assets/../api/app.py", 404),
        ("/assets/%2e%2e/schema.py", 404),
    ],
)
def test_errors_are_problems(client: Any, path: str, status: int) -> None:
    answer = client.get(path)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    body = answer.json()
    assert (body["status"], body["type"], bool(body["title"])) == (status, "about:blank", True)


def test_a_broker_that_is_down_is_said_and_clips_wait_for_it(service: ReviewService, client: Any, make: Make) -> None:
    take(service, make())
    assert client.get("/api/v1/status").json()["broker"]["ok"] is False
    answer = client.get(f"/api/v1/alerts/{make().alert_id}/clip")
    assert (answer.status_code, answer.json()["type"]) == (503, "broker-unavailable")
    assert client.get("/api/v1/alerts").status_code == 200


def test_a_camera_shows_how_it_stands(service: ReviewService, client: Any) -> None:
    service.live.take_report(report())
    service.live.take_overlay("north-gate", b'{"points":[]}', RAISED_NS)
    service.live.take_health("north-gate", {"state": "frozen"}, RAISED_NS)
    (camera,) = client.get("/api/v1/cameras").json()["cameras"]
    assert (camera["state"], camera["stale"], camera["thumbnail_url"]) == ("alerting", True, None)
    assert camera["report"]["change"] == {"image_statistics": 1.25, "gradcon_direction": None}
    assert camera["health"] == {"state": "frozen"}
    assert client.get("/api/v1/cameras/north-gate/overlay").json() == {"points": []}


def test_a_thumbnail_is_small_and_sent_once(service: ReviewService, client: Any) -> None:
    service.live.take_frame(frame())
    answer = client.get("/api/v1/cameras/north-gate/thumbnail.jpg")
    assert (answer.headers["content-type"], answer.headers["x-seq"]) == ("image/jpeg", "41")
    assert len(answer.content) < len(frame().content)
    again = client.get("/api/v1/cameras/north-gate/thumbnail.jpg", headers={"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert client.get("/api/v1/cameras/north-gate/frame").content == frame().content


def test_scores_are_columns_of_one_length_and_keep_their_peaks(service: ReviewService, client: Any) -> None:
    for seq in range(400):
        service.live.take_report(report(seq=seq, ratio=7.0 if seq == 217 else 0.5))
    found = client.get("/api/v1/cameras/north-gate/scores?max_points=20").json()
    assert len(found["seq"]) == 20
    ratios = next(c["ratio"] for c in found["scores"] if c["name"] == "image_statistics")
    assert (max(ratios), found["seq"][ratios.index(7.0)]) == (7.0, 217)
    newer = client.get(f"/api/v1/cameras/north-gate/scores?since_ns={found['published_ns'][-1]}").json()
    assert all(seq > found["seq"][-1] for seq in newer["seq"])


def test_tags_of_a_recording_are_joined_by_its_run(
    service: ReviewService, client: Any, make: Make, tmp_path: Path
) -> None:
    (tmp_path / "truth").mkdir()
    truth = {"tags": {"challenge": "haze", "level": 4}, "onset_seq": 50, "objects": {}}
    (tmp_path / "truth" / "north-gate.json").write_text(json.dumps(truth))
    take(service, make(onset_seq=60), make(onset_seq=40))
    (listed,) = client.get("/api/v1/alerts?challenge=haze").json()["alerts"]
    assert listed["onset_seq"] == 60
    assert client.get(f"/api/v1/alerts/{listed['alert_id']}").json()["tags"]["level"] == 4


OVERRIDE = {"kind": "override_class", "stream_id": "north-gate", "run_id": RUN, "track_id": 7, "label": "yield"}
MUTE = {"kind": "mute_region", "stream_id": "north-gate", "polygon": [[0, 0], [9, 0], [9, 9]], "object_kinds": ["sign"]}


@pytest.mark.parametrize("body", [OVERRIDE, MUTE])
def test_a_verdict_is_given_listed_and_taken_back(
    service: ReviewService, client: Any, make: Make, body: dict[str, Any]
) -> None:
    assert client.post("/api/v1/verdicts", json=body).status_code == 404  # of a camera that nobody has seen
    take(service, make())
    made = client.post("/api/v1/verdicts", json=body)
    assert made.status_code == 201
    assert {key: made.json()[key] for key in body} == body
    (listed,) = client.get("/api/v1/verdicts?camera=north-gate").json()["verdicts"]
    assert (listed["author"], listed["published"]) == ("local", False)
    url = f"/api/v1/verdicts/{listed['verdict_id']}"
    assert [client.delete(url).status_code, client.delete(url).status_code] == [204, 404]
    assert client.get("/api/v1/verdicts").json() == {"verdicts": []}


@pytest.mark.parametrize(
    "change",
    [{"polygon": [[0, 0], [1, 1]]}, {"polygon": [[0, 0], [1, 1], [2, 1e9]]}, {"kind": "delete"}, {"stream_id": "../x"}],
)
def test_a_verdict_that_makes_no_sense_is_refused(client: Any, change: dict[str, Any]) -> None:
    answer = client.post("/api/v1/verdicts", json=MUTE | change)
    assert answer.status_code == 422
    assert answer.json()["violations"]


def test_evidence_is_served_from_its_folder_alone(
    service: ReviewService, client: Any, make: Make, tmp_path: Path
) -> None:
    take(service, make())
    (tmp_path / "evidence" / "north-gate").mkdir(parents=True)
    (tmp_path / "evidence" / "north-gate" / "a.mcap").write_bytes(b"mcap")
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "evidence" / "link").symlink_to(tmp_path / "secret")
    url = f"/api/v1/alerts/{make().alert_id}/evidence"
    assert client.get(url).status_code == 404
    escapes = ["../secret", str(tmp_path / "secret"), "link", "", ".", "a\0b", "north-gate/../../secret"]
    for revision, path in enumerate([*escapes, "north-gate/a.mcap"]):
        body = {"alert_id": make().alert_id, "kind": "evidence", "revision": revision, "path": path, "sha256": "ab12"}
        with service.database.writing() as session:
            intake.take_attachment(session, body, RAISED_NS)
        answer = client.get(url)
        assert (answer.status_code, b"secret" in answer.content) == (404 if path in escapes else 200, False), path
    assert (answer.content, answer.headers["x-sha256"]) == (b"mcap", "ab12")
    assert "attachment" in answer.headers["content-disposition"]
