"""Alerts for tests: copies of one that the scene's worker raised, with other ids and contents."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from gradwatch.streams.transport.reader import TopicReader
from gradwatch.streams.wire.messages import Alert, AlertKind, AlertState, alert_id
from gradwatch.streams.wire.outputs import decode_alert

from ..waiting import wait_until
from .scene import Scene


def first_alert(scene: Scene, stream_id: str = "town-east") -> Alert:
    """The newest revision of the first alert that the scene's worker raised for a camera."""
    revisions: list[Alert] = []
    with TopicReader(scene.broker.bootstrap_servers, [scene.topics.alerts]) as reader:

        def is_found() -> bool:
            found = [decode_alert(record.value or b"") for record in reader.poll(0.5)]
            revisions.extend(alert for alert in found if alert.stream_id == stream_id)
            return bool(revisions)

        wait_until(is_found, 60, f"an alert of {stream_id}")
    same = [revision for revision in revisions if revision.alert_id == revisions[0].alert_id]
    return max(same, key=lambda revision: revision.revision)


def like(alert: Alert, onset_seq: int, **changes: Any) -> Alert:
    """A new alert about the same frames, with another onset and therefore another id."""
    stream_id, kind = changes.get("stream_id", alert.stream_id), changes.get("kind", AlertKind.DISTRIBUTION_SHIFT)
    fields: dict[str, Any] = {"revision": 1, "state": AlertState.OPEN} | changes
    fields["alert_id"] = alert_id(stream_id, alert.run_id, kind, onset_seq)
    return replace(alert, onset_seq=onset_seq, **fields)
