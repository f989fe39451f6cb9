"""The frames around an alert, from its evidence file and from Kafka; caches the last few clips.

The file of a closed alert is complete. One written before the last revision lacks the frames since, which Kafka has,
and may have frames that Kafka no longer keeps.

Evidence lies in one folder; a path from the wire that leads out of it is refused.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from pathlib import Path
from typing import NamedTuple

import structlog

from gradwatch.streams.transport.connection import BrokerRefusedError, BrokerUnavailableError, TopicMissingError
from gradwatch.streams.transport.ranges import TopicRanges
from gradwatch.streams.wire.messages import Alert, AlertState, EncodedFrame, FrameReport

from ...evidence.scan import WindowScan, WindowSource
from ...evidence.window import MissingCause, TimeWindow
from ..store.errors import NotFoundError
from .broker import Broker
from .turns import Turns

log = structlog.get_logger()

SUFFIX = ".mcap"  # no other file in the folder, as a database or a half-written file, is served
MAX_BYTES = 256 * 1024 * 1024  # of all cached clips; the least recently used one is dropped
MAX_CLIPS = 8
MAX_READERS, MAX_OF_ONE = 16, 8  # reading or waiting, all and of one visitor: a dead broker blocks each for long
GROWS_NS = 120 * 1_000_000_000  # after an alert's last revision, while frames of its window may still arrive
FRESH_S = 10.0  # for which a window that may grow is cached
KEEP_S = 600.0  # for which another one is

Key = tuple[str, int, str, int]  # alert id, revision, path of the evidence, its time of writing


class Clip(NamedTuple):
    """The window of an alert by seq, and its source."""

    time: TimeWindow
    frames: dict[int, EncodedFrame]
    reports: dict[int, FrameReport]
    missing: dict[int, MissingCause]
    source: str  # evidence: has frames from the file | kafka
    is_final: bool = False  # no frame can be added

    @property
    def nbytes(self) -> int:
        """Size of its encoded frames."""
        return sum(len(frame.content) for frame in self.frames.values())


class Clips:
    """Reads and caches clips. Thread-safe."""

    def __init__(self, broker: Broker, evidence: Path, keep_s: float = KEEP_S) -> None:
        self._broker, self._evidence, self._keep_s = broker, evidence, min(keep_s, KEEP_S)
        self._cache: OrderedDict[Key, tuple[float, Clip]] = OrderedDict()  # expiry (monotonic s) and clip
        self._lock = threading.Lock()
        self._reading = threading.Lock()  # one at a time: a window and a consumer's buffer may be 100 MB each
        self._readers = Turns(MAX_READERS, 0, MAX_OF_ONE)
        self._records: TopicRanges | None = None

    def clip(self, alert: Alert, published_ns: int, evidence: str | None, asker: str = "") -> Clip:
        """The clip of an alert; `published_ns` is that of its record, `evidence` the path in its attachment.

        Raises BrokerUnavailableError and TopicMissingError if the clip needs Kafka and Kafka does not have it,
        BusyError if too many wait for theirs, all or of `asker`.
        """
        key = (alert.alert_id, alert.revision, evidence or "", self._written_ns(evidence))
        if (found := self._cached(key)) is not None:
            return found
        with self._readers.turn(asker), self._reading:
            if (found := self._cached(key)) is not None:  # the reader before may have read the same
                return found
            clip = self._read(alert, published_ns, evidence)
            is_whole = clip.is_final or time.time_ns() - published_ns > GROWS_NS
            self._add(key, clip, time.monotonic() + (self._keep_s if is_whole else FRESH_S))
        return clip

    def evidence_file(self, path: str) -> Path:
        """The file that an attachment names. Raises NotFoundError if it does not exist or lies outside the folder."""
        folder = self._evidence.resolve()
        try:
            found = (folder / path).resolve()
            if found.is_relative_to(folder) and found.suffix == SUFFIX and found.is_file():
                return found
        except (OSError, ValueError, RuntimeError):  # too long, with zero bytes, or a link to itself
            pass
        raise NotFoundError("expected an evidence file in the evidence folder, found none of that name")

    def drop_expired(self) -> None:
        """Drops clips that have been cached for long enough, so that nobody's last view holds memory for ever."""
        with self._lock:
            for key in [key for key, (until_s, _) in self._cache.items() if time.monotonic() > until_s]:
                del self._cache[key]

    def close(self) -> None:
        """Closes the connection to the broker."""
        with self._reading:
            if self._records is not None:
                self._records.close()
                self._records = None

    def _written_ns(self, evidence: str | None) -> int:
        """Time of writing of the file, which a later revision replaces; 0 if there is no file."""
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
            log.warning("could not read Kafka; the clip has the evidence alone", alert=alert.alert_id, error=str(error))
            return kept

    def _read_evidence(self, alert: Alert, path: str) -> Clip | None:
        """The clip in the file; None if it can't be read, since Kafka may still have the frames."""
        try:
            file = self.evidence_file(path)
            from ...evidence.mcap_reader import read_evidence  # needs the extra `evidence`

            window = read_evidence(file)
            metadata = window.metadata
            if metadata["alert_id"] != alert.alert_id:
                raise ValueError(f"expected evidence of this alert, got that of {metadata['alert_id'][:80]!r}")
            is_final = metadata["state"] == AlertState.CLOSED and int(metadata["revision"]) >= alert.revision
            return Clip(
                window.time,
                {frame.stamp.identity.seq: frame for frame in window.frames},
                {report.identity.seq: report for report in window.reports},
                window.missing,
                "evidence",
                is_final,
            )
        except (NotFoundError, OSError, ValueError, KeyError, ModuleNotFoundError) as error:
            log.warning("could not read the evidence", alert=alert.alert_id, error=str(error))
            return None

    def _read_kafka(self, alert: Alert, published_ns: int, kept: Clip | None) -> Clip:
        """The window from Kafka, completed from `kept`."""
        if self._records is None:
            self._records = TopicRanges(self._broker.bootstrap_servers, self._broker.client)
        try:
            scan = WindowScan(WindowSource(self._records, self._broker.topics), alert, published_ns // 1_000_000)
            return _scan(scan, kept)
        except Exception:
            self._records.close()  # the next clip opens a new connection
            self._records = None
            raise

    def _cached(self, key: Key) -> Clip | None:
        with self._lock:
            until_s, clip = self._cache.get(key, (0.0, None))
            if clip is None or time.monotonic() > until_s:
                return None
            self._cache.move_to_end(key)
            return clip

    def _add(self, key: Key, clip: Clip, until_s: float) -> None:
        with self._lock:
            self._cache[key] = (until_s, clip)
            while len(self._cache) > MAX_CLIPS or sum(kept.nbytes for _, kept in self._cache.values()) > MAX_BYTES:
                self._cache.popitem(last=False)


def _scan(scan: WindowScan, kept: Clip | None) -> Clip:
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
    if kept is not None:  # the reports that explain what was missing may have expired
        last = max(frames.keys() | reports.keys(), default=-1)
        missing |= {seq: cause for seq, cause in kept.missing.items() if seq <= last and seq not in frames}
    return Clip(scan.time, frames, reports, missing, source)
