"""The API as clients see it: alerts, cameras, corrections, and errors that programs can read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gradwatch.monitor.review.service import ReviewService
from gradwatch.monitor.review.store.alerts import store_attachment
from gradwatch.streams.wire.messages import AlertState, Disturbance, FrameReport

from ..builders import ALERT, RAISED_NS, RUN, health_record, make_alert, make_frame, make_report, store


def report(seq: int = 41, ratio: float = 1.25) -> FrameReport:
    return make_report(
        seq,
        scores={"image_statistics": np.float32([9.5]), "gradcon_direction": np.float32([0.25]), "msp": np.float32([])},
        p_values={"image_statistics": np.float32([0.002])},
        change={"image_statistics": ratio, "gradcon_direction": float("nan")},
    )


def test_an_alert_has_its_revisions_scores_comments_and_neighbors(service: ReviewService, client: Any) -> None:
    service.live.put_report(report())
    scores = service.live.scores_at("north-gate", RUN, ALERT.last_seq)
    closed = make_alert(revision=2, state=AlertState.CLOSED, calibration_note="provisional")
    store(service.database, ALERT, make_alert(onset_seq=60), closed, scores=scores)
    url = f"/api/v1/alerts/{ALERT.alert_id}"
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
    assert (found["previous"], found["next"]) == (make_alert(onset_seq=60).alert_id, None)


def test_actions_change_what_is_listed(service: ReviewService, client: Any) -> None:
    store(service.database, ALERT, make_alert(onset_seq=60))
    url = f"/api/v1/alerts/{ALERT.alert_id}"
    assert client.put(url + "/acknowledgement").json()["review"]["acknowledged_by"] == "local"
    assert client.put(url + "/assignee", json={"assignee": "local"}).json()["review"]["assignee"] == "local"
    assert client.put(url + "/snooze", json={"factor": 1.5}).json()["review"]["is_snoozed"]
    assert client.put(url + "/reviewed").json()["review"]["reviewed"]
    for wanted in ("acknowledged", "snoozed", "mine"):
        assert [a["alert_id"] for a in client.get(f"/api/v1/alerts?review={wanted}").json()["alerts"]] == [
            ALERT.alert_id
        ]
    counts = client.get("/api/v1/alerts/counts").json()
    assert counts["by"]["review"] == {"unreviewed": 1, "acknowledged": 1, "snoozed": 1, "mine": 1}
    assert not client.delete(url + "/snooze").json()["review"]["is_snoozed"]
    assert client.delete(url + "/acknowledgement").json()["review"]["acknowledged_by"] is None
    assert not client.delete(url + "/reviewed").json()["review"]["reviewed"]


def test_muted_revisions_are_summarized(service: ReviewService, client: Any) -> None:
    store(service.database, ALERT)
    client.put(f"/api/v1/alerts/{ALERT.alert_id}/snooze", json={"until": "2100-01-01T00:00:00Z"})
    store(service.database, *(make_alert(revision=n) for n in range(2, 14)))
    found = client.get(f"/api/v1/alerts/{ALERT.alert_id}").json()
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


def test_without_a_broker_the_status_shows_it_and_clips_are_unavailable(service: ReviewService, client: Any) -> None:
    store(service.database, ALERT)
    assert client.get("/api/v1/status").json()["broker"]["ok"] is False
    answer = client.get(f"/api/v1/alerts/{ALERT.alert_id}/clip")
    assert (answer.status_code, answer.json()["type"]) == (503, "broker-unavailable")
    assert client.get("/api/v1/alerts").status_code == 200


def test_a_camera_has_its_newest_report_overlay_and_health(service: ReviewService, client: Any) -> None:
    service.live.put_report(report())
    service.live.put_overlay("north-gate", b'{"points":[]}', RAISED_NS)
    service.live.put_health(health_record(Disturbance.FROZEN), RAISED_NS)
    (camera,) = client.get("/api/v1/cameras").json()["cameras"]
    assert (camera["state"], camera["stale"], camera["thumbnail_url"]) == ("alerting", True, None)
    assert camera["report"]["change"] == {"image_statistics": 1.25, "gradcon_direction": None}
    (lasting,) = camera["disturbances"]
    assert camera["events"] == [lasting]
    assert (lasting["disturbance"], lasting["state"], lasting["since_ns"]) == ("frozen", "begin", str(RAISED_NS))
    assert client.get("/api/v1/cameras/north-gate/overlay").json() == {"points": []}


def test_a_thumbnail_is_small_and_sent_once(service: ReviewService, client: Any) -> None:
    service.live.put_frame(make_frame())
    answer = client.get("/api/v1/cameras/north-gate/thumbnail.jpg")
    assert (answer.headers["content-type"], answer.headers["x-seq"]) == ("image/jpeg", "41")
    assert len(answer.content) < len(make_frame().content)
    again = client.get("/api/v1/cameras/north-gate/thumbnail.jpg", headers={"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert client.get("/api/v1/cameras/north-gate/frame").content == make_frame().content


def test_scores_are_columns_of_one_length_and_keep_their_peaks(service: ReviewService, client: Any) -> None:
    for seq in range(400):
        service.live.put_report(report(seq, ratio=7.0 if seq == 217 else 0.5))
    found = client.get("/api/v1/cameras/north-gate/scores?max_points=20").json()
    assert len(found["seq"]) == 20
    ratios = next(c["ratio"] for c in found["scores"] if c["name"] == "image_statistics")
    assert (max(ratios), found["seq"][ratios.index(7.0)]) == (7.0, 217)
    newer = client.get(f"/api/v1/cameras/north-gate/scores?since_ns={found['published_ns'][-1]}").json()
    assert all(seq > found["seq"][-1] for seq in newer["seq"])


def test_tags_of_a_recording_are_joined_by_its_run(service: ReviewService, client: Any, tmp_path: Path) -> None:
    (tmp_path / "truth").mkdir()
    truth = {"tags": {"challenge": "haze", "level": 4}, "onset_seq": 50, "objects": {}}
    (tmp_path / "truth" / "north-gate.json").write_text(json.dumps(truth))
    for seq in (60, 40):
        challenge = service.truth.challenge("north-gate", RUN, seq)
        store(service.database, make_alert(onset_seq=seq), challenge=challenge)
    (listed,) = client.get("/api/v1/alerts?challenge=haze").json()["alerts"]
    assert listed["onset_seq"] == 60
    assert client.get(f"/api/v1/alerts/{listed['alert_id']}").json()["tags"]["level"] == 4


OVERRIDE = {"kind": "override_class", "stream_id": "north-gate", "run_id": RUN, "track_id": 7, "label": "yield"}
MUTE = {"kind": "mute_region", "stream_id": "north-gate", "polygon": [[0, 0], [9, 0], [9, 9]], "object_kinds": ["sign"]}


@pytest.mark.parametrize("body", [OVERRIDE, MUTE])
def test_a_correction_is_added_listed_and_withdrawn(service: ReviewService, client: Any, body: dict[str, Any]) -> None:
    assert client.post("/api/v1/verdicts", json=body).status_code == 404  # an unknown camera
    store(service.database, ALERT)
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
def test_a_correction_with_impossible_fields_is_refused(client: Any, change: dict[str, Any]) -> None:
    answer = client.post("/api/v1/verdicts", json=MUTE | change)
    assert answer.status_code == 422
    assert answer.json()["violations"]


def test_evidence_is_served_from_its_folder_alone(service: ReviewService, client: Any, tmp_path: Path) -> None:
    store(service.database, ALERT)
    (tmp_path / "evidence" / "north-gate").mkdir(parents=True)
    (tmp_path / "evidence" / "north-gate" / "a.mcap").write_bytes(b"mcap")
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "evidence" / "link").symlink_to(tmp_path / "secret")
    url = f"/api/v1/alerts/{ALERT.alert_id}/evidence"
    assert client.get(url).status_code == 404
    escapes = ["../secret", str(tmp_path / "secret"), "link", "", ".", "a\0b", "north-gate/../../secret"]
    for revision, path in enumerate([*escapes, "north-gate/a.mcap"]):
        body = {"alert_id": ALERT.alert_id, "kind": "evidence", "revision": revision, "path": path, "sha256": "ab12"}
        with service.database.writing() as session:
            store_attachment(session, body, RAISED_NS)
        answer = client.get(url)
        assert (answer.status_code, b"secret" in answer.content) == (404 if path in escapes else 200, False), path
    assert (answer.content, answer.headers["x-sha256"]) == (b"mcap", "ab12")
    assert "attachment" in answer.headers["content-disposition"]
