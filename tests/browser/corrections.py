"""Corrections in tests: an alert that names a track, what the API takes, and what the broker has of it."""

from __future__ import annotations

import http.client
from typing import Any

import msgspec

from gradwatch.streams.transport.reader import TopicReader
from gradwatch.streams.wire.messages import Alert, AlertKind, Correction
from gradwatch.streams.wire.outputs import decode_correction

from .alerts import first_alert, like
from .scene import Scene, ask, wait_until

STREAM = "town-east"
TRACK = 2  # of the sign that is seen at the onset of the scene's alert


def mismatch(scene: Scene, onset_seq: int = 0, **changes: Any) -> Alert:
    """An alert, in the store, that a track expects something else than the network reads."""
    fields = {"track_id": TRACK, "expected": "goods_vehicles", "observed": "speed_limit"} | changes
    raised = first_alert(scene)
    made = like(raised, onset_seq or raised.onset_seq, kind=AlertKind.EXPECTANCY_MISMATCH, **fields)
    with scene.producing() as producer:
        scene.publish(producer, made)
        producer.flush(10)
    wait_until(lambda: "comments" in ask(scene.address, f"/alerts/{made.alert_id}"), 15, "the alert in the store")
    return made


def act(scene: Scene, method: str, path: str, body: Any = None) -> int:
    """What a program may do that the page does too; the status of the answer."""
    headers = {"X-CSRF-Token": ask(scene.address, "/session")["csrf_token"], "Content-Type": "application/json"}
    host, _, port = scene.address.removeprefix("http://").partition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=30)
    try:
        connection.request(method, f"/api/v1{path}", None if body is None else msgspec.json.encode(body), headers)
        return connection.getresponse().status
    finally:
        connection.close()


def in_force(scene: Scene) -> list[dict]:
    """The scene's corrections, newest first."""
    found: list[dict] = ask(scene.address, "/verdicts")["verdicts"]
    return found


def take_all_back(scene: Scene) -> None:
    """Leaves the scene as it was."""
    for correction in in_force(scene):
        assert act(scene, "DELETE", f"/verdicts/{correction['verdict_id']}") == 204


def on_the_topic(scene: Scene, verdict_id: str) -> list[Correction | None]:
    """The records of one correction in the verdicts topic, in order; None is a tombstone."""
    found: list[Correction | None] = []
    with TopicReader(scene.broker.bootstrap_servers, [scene.topics.verdicts]) as reader:
        while records := reader.poll(2.0):
            mine = [record for record in records if record.key == f"{STREAM}/{verdict_id}".encode()]
            found += [None if record.value is None else decode_correction(record.value) for record in mine]
    return found
