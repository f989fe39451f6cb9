"""Writes the evidence file of one alert from its topics and from an earlier file, and announces it."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

import structlog

from gradwatch.streams.observability.metrics import EVIDENCE_FAILED, EVIDENCE_MISSING, EVIDENCE_WRITTEN
from gradwatch.streams.transport.connection import BrokerUnavailableError, TopicMissingError
from gradwatch.streams.transport.producer import BoundedProducer
from gradwatch.streams.wire.messages import Alert, AlertState, Attachment, AttachmentKind, EncodedFrame, FrameReport
from gradwatch.streams.wire.outputs import encode_attachment
from gradwatch.streams.wire.records import cloud_event_headers

from .folder import EvidenceFolder, NoRoomError
from .format import Evidence, EvidenceError
from .mcap_reader import read_frames, read_outline
from .mcap_writer import write_evidence
from .scan import WindowScan, WindowSource

log = structlog.get_logger()

ACKNOWLEDGED_S = 30.0  # timeout of an attachment's acknowledgment
DISK_CAUSES = {
    errno.ENOSPC: "disk_full",
    errno.EDQUOT: "disk_full",
    errno.EACCES: "not_writable",
    errno.EPERM: "not_writable",
    errno.EROFS: "not_writable",
}


class AlertArchiver:
    """Writes evidence files into `folder` and announces them by `producer`; calls `beat` with every frame."""

    def __init__(
        self, source: WindowSource, folder: EvidenceFolder, producer: BoundedProducer, beat: Callable[[], None]
    ) -> None:
        self._source, self._folder, self._producer, self._beat = source, folder, producer, beat

    def archive(self, revisions: Mapping[int, Alert], published_ms: int) -> Attachment:
        """Writes the file of an alert with these `revisions`; returns its attachment once that is acknowledged.

        By then the file is synced and in its place. It includes what an earlier file has: other revisions, frames and
        reports of the window. `published_ms` is the timestamp of the alert's record. Raises what `cause_of` names.
        """
        latest = revisions[max(revisions)]
        path = self._folder.path(latest.stream_id, latest.alert_id)
        earlier = self._read_earlier(path, latest.stream_id)
        alerts = {known.revision: known for known in earlier.alerts} if earlier is not None else {}
        alerts |= revisions
        alert = alerts[max(alerts)]
        scan = WindowScan(self._source, alert, published_ms)
        known = earlier.reports if earlier is not None else []
        reports = _by_seq([report for report in known if scan.time.contains(report.capture_ns)]) | _by_seq(scan.reports)
        fill = partial(
            write_evidence,
            alerts=[alerts[revision] for revision in sorted(alerts)],
            time=scan.time,
            reports=[reports[seq] for seq in sorted(reports)],
            frames=self._frames(path if earlier is not None else None, scan),
            find_missing=scan.missing,
        )
        (frames, missing), written = self._folder.write(path, alert.state is AlertState.OPEN, fill)
        attachment = Attachment(
            alert_id=alert.alert_id,
            revision=alert.revision,
            kind=AttachmentKind.EVIDENCE,
            stream_id=alert.stream_id,
            run_id=alert.run_id,
            path=written.path,
            sha256=written.sha256,
            size_bytes=written.size_bytes,
            frames=frames,
            missing=len(missing),
            start_ns=scan.time.start_ns,
            end_ns=scan.time.end_ns,
        )
        self._announce(attachment, alert)
        EVIDENCE_WRITTEN.labels(alert.stream_id, alert.state).inc()
        for cause in missing.values():
            EVIDENCE_MISSING.labels(alert.stream_id, cause).inc()
        return attachment

    def _read_earlier(self, path: Path, stream_id: str) -> Evidence | None:
        """The file that will be replaced, without its frames; None if there is none that can be read."""
        try:
            return read_outline(path)
        except FileNotFoundError:
            return None
        except EvidenceError as error:
            EVIDENCE_FAILED.labels(stream_id, "unreadable").inc()
            log.warning("can't read the earlier evidence, writing it anew", file=str(path), error=str(error))
            return None

    def _frames(self, earlier: Path | None, scan: WindowScan) -> Iterator[EncodedFrame]:
        """The frames of the earlier file, then those of the topic after them."""
        last_offset = -1
        for frame in read_frames(earlier) if earlier is not None else ():
            if not scan.time.contains(frame.stamp.capture_ns):
                continue
            self._beat()
            scan.add_known(frame.stamp)
            last_offset = frame.stamp.offset
            yield frame
        for frame in scan.frames(last_offset):
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
                f"the attachment of alert {alert.alert_id} was not acknowledged: {delivery.exception}"
            )


def _by_seq(reports: list[FrameReport]) -> dict[int, FrameReport]:
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
