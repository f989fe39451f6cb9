"""The frames around an alert, from its evidence file and from Kafka; the last few clips are kept.

The file of an alert that is closed holds all there is. One that was written before the last revision came holds what
there was then: Kafka has what came since, the file what Kafka no longer keeps.

Evidence lies in one folder; a path from the wire that leads out of it is refused.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from pathlib import Path
from typing import NamedTuple

import structlog

from gradwatch.streams.transport.connection import BrokerRefusedError, BrokerUnavailableError
from gradwatch.streams.transport.history import TopicMissingError
from gradwatch.streams.transport.ranges import TopicRanges
from gradwatch.streams.wire.messages import Alert, AlertState, EncodedFrame, FrameReport

from ...evidence.format import Evidence
from ...evidence.scan import WindowScan, WindowSource
from ...evidence.window import MissingCause, TimeWindow
from ..store.audit import NotFoundError
from .ingest import Broker

log = structlog.get_logger()

SUFFIX = ".mcap"  # nothing else that may lie in the folder, as a database or a half-written file, is given away
MAX_BYTES = 256 * 1024 * 1024  # of all clips kept; the one not asked for longest goes
MAX_CLIPS = 8
MAX_READERS = 16  # that read or wait; the server has 40 threads, and without a broker each is held for long
GROWS_NS = 120 * 1_000_000_000  # after an alert's last revision, in which frames of its window may still come
FRESH_S = 10.0  # so long a window that may grow is not read again


Key = tuple[str, int, str, int]  # alert id, revision, path of the evidence, and when that was written


class Clip(NamedTuple):
    """A window by seq, and where it came from."""

    time: TimeWindow
    frames: dict[int, EncodedFrame]
    reports: dict[int, FrameReport]
    missing: dict[int, MissingCause]
    source: str  # evidence: pictures from the file are in it | kafka
    is_final: bool = False  # nothing more can come

    @property
    def nbytes(self) -> int:
        """Of its pictures."""
        return sum(len(frame.content) for frame in self.frames.values())


class Clips:
    """Thread-safe."""

    def __init__(self, broker: Broker, evidence: Path) -> None:
        self._broker, self._evidence = broker, evidence
        self._kept: OrderedDict[Key, tuple[float, Clip]] = OrderedDict()  # until when (monotonic s), and what
        self._lock = threading.Lock()
        self._reading = threading.Lock()  # one at a time: a window may be a hundred MB, and so is a consumer's buffer
        self._readers = threading.BoundedSemaphore(MAX_READERS)
        self._records: TopicRanges | None = None

    def clip(self, alert: Alert, published_ns: int, evidence: str | None) -> Clip:
        """The clip of an alert; `evidence` is the path that its attachment names, `published_ns` that of its record.

        Raises BrokerUnavailableError and TopicMissingError where it must come from Kafka and can't.
        """
        key = (alert.alert_id, alert.revision, evidence or "", self._written_ns(evidence))
        found = self._known(key)
        if found is not None:
            return found
        if not self._readers.acquire(blocking=False):
            raise BrokerUnavailableError(f"expected at most {MAX_READERS} clips to be asked for at once")
        try:
            with self._reading:
                found = self._known(key)  # whoever read before may have wanted the same
                if found is not None:
                    return found
                clip = self._read(alert, published_ns, evidence)
                is_whole = clip.is_final or time.time_ns() - published_ns > GROWS_NS
                self._keep(key, clip, float("inf") if is_whole else time.monotonic() + FRESH_S)
            return clip
        finally:
            self._readers.release()

    def evidence_file(self, path: str) -> Path:
        """The file that an attachment names. Raises NotFoundError where it is none or lies outside the folder."""
        folder = self._evidence.resolve()
        try:
            found = (folder / path).resolve()
            if found.is_relative_to(folder) and found.suffix == SUFFIX and found.is_file():
                return found
        except (OSError, ValueError, RuntimeError):  # too long, with zero bytes, a link to itself
            pass
        raise NotFoundError("expected an evidence file in the evidence folder, got none of that name there")

    def close(self) -> None:
        """Gives back the connection to the broker."""
        with self._reading:
            if self._records is not None:
                self._records.close()
                self._records = None

    def _written_ns(self, evidence: str | None) -> int:
        """When the file was written, 0 where it can't be had: a service that learns more replaces it."""
        try:
            return self.evidence_file(evidence or "").stat().st_mtime_ns
        except (NotFoundError, OSError):
            return 0

    def _read(self, alert: Alert, published_ns: int, evidence: str | None) -> Clip:
        kept = None if evidence is None else self._read_evidence(alert, evidence)
        if kept is not None and kept.is_final:
            return kept
        try:
            return self._read_kafka(alert, published_ns, kept)
        except (BrokerUnavailableError, BrokerRefusedError, TopicMissingError) as error:
            if kept is None:
                raise
            log.warning("the clip is what the evidence has", alert=alert.alert_id, error=str(error))
            return kept

    def _read_evidence(self, alert: Alert, path: str) -> Clip | None:
        """What the file has; None where it can't be read. Kafka may have the frames still."""
        try:
            file = self.evidence_file(path)
            from ...evidence.mcap_reader import read_evidence  # needs the extra `evidence`

            window = read_evidence(file)
            said = window.metadata
            if said["alert_id"] != alert.alert_id:
                raise ValueError(f"expected evidence of this alert, got that of {said['alert_id'][:80]!r}")
            is_final = said["state"] == AlertState.CLOSED and int(said["revision"]) >= alert.revision
            return _clip(window, "evidence", is_final)
        except (NotFoundError, OSError, ValueError, KeyError, ModuleNotFoundError) as error:
            log.warning("evidence can't be read", alert=alert.alert_id, error=str(error))
            return None

    def _read_kafka(self, alert: Alert, published_ns: int, kept: Clip | None) -> Clip:
        """What Kafka has of the window, and what `kept` has of it beside."""
        if self._records is None:
            self._records = TopicRanges(self._broker.bootstrap_servers, self._broker.client)
        try:
            scan = WindowScan(WindowSource(self._records, self._broker.topics), alert, published_ns // 1_000_000)
            return _scanned(scan, kept)
        except Exception:
            self._records.close()  # whatever it was, the next one begins afresh
            self._records = None
            raise

    def _known(self, key: Key) -> Clip | None:
        with self._lock:
            until_s, clip = self._kept.get(key, (0.0, None))
            if clip is None or time.monotonic() > until_s:
                return None
            self._kept.move_to_end(key)
            return clip

    def _keep(self, key: Key, clip: Clip, until_s: float) -> None:
        with self._lock:
            self._kept[key] = (until_s, clip)
            while len(self._kept) > MAX_CLIPS or sum(kept.nbytes for _, kept in self._kept.values()) > MAX_BYTES:
                self._kept.popitem(last=False)


def _scanned(scan: WindowScan, kept: Clip | None) -> Clip:
    frames: dict[int, EncodedFrame] = {}
    reports: dict[int, FrameReport] = {}
    if kept is not None:
        frames = {seq: frame for seq, frame in kept.frames.items() if scan.time.contains(frame.stamp.capture_ns)}
        reports = {seq: report for seq, report in kept.reports.items() if scan.time.contains(report.capture_ns)}
    source = "evidence" if frames else "kafka"
    for frame in frames.values():
        scan.add_known(frame.stamp)
    frames |= {frame.stamp.identity.seq: frame for frame in scan.frames()}
    reports |= {report.identity.seq: report for report in scan.reports}
    missing = scan.missing()
    if kept is not None:  # of what was missing then, the reports may be gone by now
        last = max(frames.keys() | reports.keys(), default=-1)
        missing |= {seq: cause for seq, cause in kept.missing.items() if seq <= last and seq not in frames}
    return Clip(scan.time, frames, reports, missing, source)


def _clip(window: Evidence, source: str, is_final: bool) -> Clip:
    return Clip(
        window.time,
        {frame.stamp.identity.seq: frame for frame in window.frames},
        {report.identity.seq: report for report in window.reports},
        window.missing,
        source,
        is_final,
    )
