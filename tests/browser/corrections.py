"""Corrections in tests: an alert that names a track, the corrections in force, and those on the topic."""

from __future__ import annotations

from typing import Any

from gradwatch.streams.transport.reader import TopicReader
from gradwatch.streams.wire.messages import Alert, AlertKind, Correction
from gradwatch.streams.wire.outputs import decode_correction

from .alerts import first_alert, like
from .scene import Scene, ask, request

STREAM = "town-east"
TRACK = 2  # of the sign in the frame at the onset of the scene's alert


def mismatch(scene: Scene, onset_seq: int = 0, **changes: Any) -> Alert:
    """An expectancy mismatch that is stored by the review process."""
    fields = {"track_id": TRACK, "expected": "goods_vehicles", "observed": "speed_limit"} | changes
    raised = first_alert(scene)
    made = like(raised, onset_seq or raised.onset_seq, kind=AlertKind.EXPECTANCY_MISMATCH, **fields)
    scene.store(made)
    return made


def act(scene: Scene, method: str, path: str, body: Any = None) -> int:
    """Sends a request that changes something. Returns the status of the response."""
    return request(scene.address, f"/api/v1{path}", method, body)[0]


def in_force(scene: Scene) -> list[dict]:
    """The scene's corrections, newest first."""
    found: list[dict] = ask(scene.address, "/verdicts")["verdicts"]
    return found


def withdraw_all(scene: Scene) -> None:
    """Withdraws all corrections of the scene."""
    for correction in in_force(scene):
        assert act(scene, "DELETE", f"/verdicts/{correction['verdict_id']}") == 204


def on_the_topic(scene: Scene, verdict_id: str) -> list[Correction | None]:
    """The records of a correction on the verdicts topic, in order; None is a withdrawal."""
    found: list[Correction | None] = []
    with TopicReader(scene.broker.bootstrap_servers, [scene.topics.verdicts]) as reader:
        while records := reader.poll(2.0):
            same = [record for record in records if record.key == f"{STREAM}/{verdict_id}".encode()]
            found += [None if record.value is None else decode_correction(record.value) for record in same]
    return found
