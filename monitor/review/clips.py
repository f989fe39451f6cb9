"""The frames around an alert, from its evidence file where there is one, else from Kafka; the last few are kept.

Evidence lies in one folder; a path from the wire that leads out of it is refused.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from pathlib import Path
from typing import NamedTuple

import structlog

from gradwatch.streams.messages import Alert, EncodedFrame, FrameReport
from gradwatch.streams.transport.ranges import TopicRanges

from ..services.windows import MissingCause, Window, WindowSource, read_evidence, read_window
from .audit import NotThere
from .ingest import Broker

log = structlog.get_logger()

MAX_BYTES = 256 * 1024 * 1024  # of all clips kept; the one not asked for longest goes
MAX_CLIPS = 8
GROWS_NS = 120 * 1_000_000_000  # after an alert's last revision, in which frames of its window may still come
FRESH_S = 10.0  # so long a window that may grow is not read again


Key = tuple[str, int, str, int]  # alert id, revision, path of the evidence, and when that was written


class Clip(NamedTuple):
    """A window by seq, and where it came from."""

    window: Window
    frames: dict[int, EncodedFrame]
    reports: dict[int, FrameReport]
    missing: dict[int, MissingCause]
    source: str  # evidence | kafka

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
        self._records: TopicRanges | None = None

    def clip(self, alert: Alert, published_ns: int, evidence: str | None) -> Clip:
        """The clip of an alert; `evidence` is the path that its attachment names, `published_ns` that of its record.

        Raises BrokerUnavailable where it must come from Kafka and can't, TopicMissing, EvidenceError.
        """
        key = (alert.alert_id, alert.revision, evidence or "", self._written_ns(evidence))
        found = self._known(key)
        if found is not None:
            return found
        with self._reading:
            found = self._known(key)  # whoever read before may have wanted the same
            if found is not None:
                return found
            clip = self._read(alert, published_ns, evidence)
            is_whole = clip.source == "evidence" or time.time_ns() - published_ns > GROWS_NS
            self._keep(key, clip, float("inf") if is_whole else time.monotonic() + FRESH_S)
        return clip

    def evidence_file(self, path: str) -> Path:
        """The file that an attachment names. Raises NotThere where it is none or lies outside the folder."""
        folder = self._evidence.resolve()
        found = (folder / path).resolve() if path and "\0" not in path else folder
        if not found.is_relative_to(folder) or not found.is_file():
            raise NotThere("expected an evidence file in the evidence folder, got none of that name there")
        return found

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
        except (NotThere, OSError):
            return 0

    def _read(self, alert: Alert, published_ns: int, evidence: str | None) -> Clip:
        if evidence is not None:
            try:
                return _clip(read_evidence(self.evidence_file(evidence)), "evidence")
            except (NotThere, OSError, ValueError, ModuleNotFoundError) as error:
                # it was made on another machine, is gone or broken: Kafka may have the frames still
                log.warning("evidence can't be read", alert=alert.alert_id, error=str(error))
        if self._records is None:
            self._records = TopicRanges(self._broker.bootstrap_servers, self._broker.client)
        try:
            source = WindowSource(self._records, self._broker.topics)
            return _clip(read_window(source, alert, published_ns // 1_000_000), "kafka")
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


def _clip(window: Window, source: str) -> Clip:
    return Clip(
        window,
        {frame.identity.seq: frame for frame in window.frames},
        {report.identity.seq: report for report in window.reports},
        dict(zip(window.missing, window.missing_causes, strict=True)),
        source,
    )
