"""Keeps the evidence of one alert: writes its file from what the topics and an earlier file have, and announces it."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path

import structlog

from gradwatch.streams.observability.metrics import EVIDENCE_FAILED, EVIDENCE_MISSING, EVIDENCE_WRITTEN
from gradwatch.streams.transport.connection import BrokerUnavailableError, TopicMissingError
from gradwatch.streams.transport.producer import BoundedProducer
from gradwatch.streams.wire.messages import Alert, AlertState, Attachment, AttachmentKind, EncodedFrame, FrameReport
from gradwatch.streams.wire.outputs import encode_attachment
from gradwatch.streams.wire.records import cloud_event_headers

from .absences import Missing, TimeWindow
from .folder import EvidenceFolder, NoRoomError, Stored
from .format import EvidenceError
from .reading import Evidence, read_frames, read_outline
from .windows import WindowScan, WindowSource
from .writing import write_file

log = structlog.get_logger()

ACKNOWLEDGED_S = 30.0  # within which an attachment must be taken
DISK_CAUSES = {
    errno.ENOSPC: "disk_full",
    errno.EDQUOT: "disk_full",
    errno.EACCES: "not_writable",
    errno.EPERM: "not_writable",
    errno.EROFS: "not_writable",
}


class Keeper:
    """Writes files into `folder` and announces them by `producer`; calls `beat` with every frame."""

    def __init__(
        self, source: WindowSource, folder: EvidenceFolder, producer: BoundedProducer, beat: Callable[[], None]
    ) -> None:
        self._source, self._folder, self._producer, self._beat = source, folder, producer, beat

    def keep(self, revisions: Mapping[int, Alert], published_ms: int) -> Attachment:
        """Writes the file of an alert of which `revisions` are known, and returns once its attachment is acknowledged.

        The file is synced and in its place by then. What an earlier file has is in the new one too: other revisions,
        and frames and reports of the window. `published_ms` is the timestamp of an alert's record. Raises what
        `cause_of` names.
        """
        latest = revisions[max(revisions)]
        path = self._folder.path(latest.stream_id, latest.alert_id)
        earlier = self._earlier(path, latest.stream_id)
        alerts = {} if earlier is None else {known.revision: known for known in earlier.alerts}
        alerts |= revisions
        alert = alerts[max(alerts)]
        scan = WindowScan(self._source, alert, published_ms)
        known = [] if earlier is None else earlier.window.reports
        reports = _by_seq([*(report for report in known if scan.time.contains(report.capture_ns)), *scan.reports])
        fill = partial(
            write_file,
            alerts=[alerts[revision] for revision in sorted(alerts)],
            time=scan.time,
            reports=[reports[seq] for seq in sorted(reports)],
            frames=self._frames(None if earlier is None else path, alert, scan),
            missing=scan.missing,
        )
        (frames, missing), stored = self._folder.write(path, alert.state is AlertState.OPEN, fill)
        attachment = _attachment(alert, scan.time, frames, missing, stored)
        self._announce(attachment, alert)
        EVIDENCE_WRITTEN.labels(alert.stream_id, alert.state).inc()
        for absent in missing:
            EVIDENCE_MISSING.labels(alert.stream_id, absent.cause).inc()
        return attachment

    def _earlier(self, path: Path, stream_id: str) -> Evidence | None:
        """What the file that will be replaced says; None where there is none that can be read."""
        try:
            return read_outline(path)
        except FileNotFoundError:
            return None
        except EvidenceError as error:
            EVIDENCE_FAILED.labels(stream_id, "unreadable").inc()
            log.warning("evidence can't be read and is written anew", file=str(path), error=str(error))
            return None

    def _frames(self, earlier: Path | None, alert: Alert, scan: WindowScan) -> Iterator[EncodedFrame]:
        """The frames of the earlier file, then those of the topic that come after them."""
        last: int | None = None
        for frame in read_frames(earlier) if earlier is not None else ():
            if not scan.time.contains(frame.stamp.capture_ns):
                continue
            self._beat()
            scan.note(frame.stamp)
            last = frame.stamp.offset
            yield frame
        for frame in scan.frames(last):
            self._beat()
            yield frame

    def _announce(self, attachment: Attachment, alert: Alert) -> None:
        event_id = f"{alert.alert_id}/{alert.revision}/{attachment.kind}/{attachment.sha256[:16]}"
        headers = cloud_event_headers("attachment", alert.stream_id, event_id, alert.last_capture_ns)
        headers.append(("content-type", b"application/json"))
        if alert.traceparent is not None:
            headers.append(("traceparent", alert.traceparent.encode()))
        topic = self._source.topics.attachments
        delivery = self._producer.send(topic, alert.alert_id.encode(), encode_attachment(attachment), headers)
        if not delivery.wait(ACKNOWLEDGED_S) or delivery.exception is not None:
            raise BrokerUnavailableError(
                f"the attachment of alert {alert.alert_id} was not taken: {delivery.exception}"
            )


def _attachment(alert: Alert, time: TimeWindow, frames: int, missing: list[Missing], stored: Stored) -> Attachment:
    return Attachment(
        alert_id=alert.alert_id,
        revision=alert.revision,
        kind=AttachmentKind.EVIDENCE,
        stream_id=alert.stream_id,
        run_id=alert.run_id,
        path=stored.path,
        sha256=stored.sha256,
        size_bytes=stored.size_bytes,
        frames=frames,
        missing=len(missing),
        start_ns=time.start_ns,
        end_ns=time.end_ns,
    )


def _by_seq(reports: Iterable[FrameReport]) -> dict[int, FrameReport]:
    return {report.identity.seq: report for report in reports}


def cause_of(error: Exception) -> str:
    """The label under which a failed attempt is counted."""
    if isinstance(error, BrokerUnavailableError):
        return "broker_unavailable"
    if isinstance(error, NoRoomError):
        return "no_room"
    if isinstance(error, TopicMissingError):
        return "topic_missing"
    if isinstance(error, OSError):
        return DISK_CAUSES.get(error.errno or 0, "disk")
    return "unreadable" if isinstance(error, EvidenceError) else "other"
