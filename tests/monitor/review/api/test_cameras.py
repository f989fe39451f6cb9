"""Cameras that are gone can be removed from the page, by those who may, and come back by themselves."""

from __future__ import annotations

from typing import Any

import pytest

from gradwatch.monitor.review.service import ReviewService
from gradwatch.monitor.review.store.cameras import forget
from gradwatch.streams.wire.messages import AlertState

from ..builders import ADA, RAISED_NS, SECOND_NS, make_alert, make_frame, make_report, store

GHOST = "/api/v1/cameras/north-gate"


@pytest.fixture
def later(service: ReviewService, monkeypatch: pytest.MonkeyPatch) -> None:
    """The live state's clock shows a minute more at each look, so that every camera is silent."""
    ticks = iter(range(0, 10**6, 60))
    monkeypatch.setattr(service.live, "_clock", lambda: float(next(ticks)))


def listed(client: Any) -> list[str]:
    return [camera["stream_id"] for camera in client.get("/api/v1/cameras").json()["cameras"]]


@pytest.mark.usefixtures("later")
def test_a_ghost_is_forgotten_with_a_line_in_the_audit_trail(service: ReviewService, client: Any) -> None:
    service.live.put_frame(make_frame())
    service.live.put_frame(make_frame(stream_id="south-gate"))
    assert client.delete(GHOST).status_code == 204
    assert listed(client) == ["south-gate"]
    assert client.get(GHOST).status_code == client.delete(GHOST).status_code == 404
    (action,) = client.get("/api/v1/audit").json()["actions"]
    assert (action["actor"], action["action"], action["subject"]) == ("local", "forget", "camera")
    assert action["subject_id"] == "north-gate"
    service.live.put_report(make_report(published_ns=RAISED_NS + SECOND_NS))
    assert listed(client) == ["north-gate", "south-gate"]


def test_a_camera_that_sends_cannot_be_forgotten(service: ReviewService, client: Any) -> None:
    service.live.put_frame(make_frame())
    answer = client.delete(GHOST)
    assert (answer.status_code, listed(client)) == (409, ["north-gate"])
    assert "got one that sends records" in answer.json()["detail"]


def test_a_ghost_of_which_only_an_open_alert_is_known_is_forgotten(service: ReviewService, client: Any) -> None:
    store(service.database, make_alert())
    assert client.get(GHOST).json()["open_alerts"] == 1
    assert client.delete(GHOST).status_code == 204
    assert listed(client) == []
    assert len(client.get("/api/v1/alerts").json()["alerts"]) == 1
    store(service.database, make_alert(), make_alert(revision=2))  # published a second later
    assert listed(client) == ["north-gate"]
    store(service.database, make_alert(revision=3, state=AlertState.CLOSED))
    assert listed(client) == []


def test_a_removal_holds_after_a_restart_and_at_other_processes(service: ReviewService) -> None:
    service.live.put_frame(make_frame())
    with service.database.writing() as session:  # by another process
        forget(session, ADA, "north-gate", RAISED_NS)
    again = ReviewService(service.settings, service.broker)
    again.live.put_frame(make_frame())
    service.forget_cameras()
    assert service.live.cameras() == again.live.cameras() == []
    again.database.close()
