"""The folder of evidence: files appear whole or not at all, and never take more than their share of the disk.

A file is written under a hidden name that ends in `.partial`, synced, and renamed. Its writer holds a lock on it until
then, so that whoever opens the folder can tell the remains of a dead process from the work of a living one.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import tempfile
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, NamedTuple, TypeVar

import structlog

from gradwatch.streams.observability.metrics import EVIDENCE_EVICTED, EVIDENCE_STORED
from gradwatch.streams.wire.messages import AlertState, check_stream_id

from .format import EvidenceError
from .reading import read_metadata

log = structlog.get_logger()

SUFFIX, PARTIAL = ".mcap", ".partial"
ALERT_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
READ_BYTES = 1024 * 1024

Result = TypeVar("Result")
Reviewed = Callable[[Collection[str]], set[str]]
"""Which of these alerts a person has reviewed; the review store answers."""


class NoRoomError(RuntimeError):
    """The file does not fit: all others are of open alerts, or it is larger than the whole share."""


class Stored(NamedTuple):
    """A file that was written: where below the folder, what is in it, and how large."""

    path: str
    sha256: str
    size_bytes: int


@dataclass(slots=True)
class Kept:
    """A file that is there. `open` is whether its alert is; None: not looked up yet."""

    size_bytes: int
    written_ns: int
    open: bool | None = None


def nobody(_alert_ids: Collection[str]) -> set[str]:
    """No alert was reviewed."""
    return set()


class EvidenceFolder:
    """`<root>/<stream>/<alert>.mcap`, at most `max_bytes` of them beside the one that is being written.

    One thread uses it. Makes `root`, and removes what dead processes have left half-written. Raises OSError.
    """

    def __init__(self, root: Path, max_bytes: int, reviewed: Reviewed = nobody) -> None:
        root.mkdir(parents=True, exist_ok=True)
        self.root = root.resolve()
        self.max_bytes = max_bytes
        self._reviewed = reviewed
        self._remove_remains()
        self._kept = {path: _kept(path) for path in self.root.glob(f"*/*{SUFFIX}")}
        EVIDENCE_STORED.set(self.size_bytes)

    @property
    def size_bytes(self) -> int:
        """All files together."""
        return sum(kept.size_bytes for kept in self._kept.values())

    def path(self, stream_id: str, alert_id: str) -> Path:
        """Where the evidence of an alert is or will be. Raises ValueError for ids that may not become a path."""
        if ALERT_ID.fullmatch(alert_id) is None:
            raise ValueError(f"expected the id of an alert like {ALERT_ID.pattern}, got {alert_id[:80]!r}")
        path = self.root / check_stream_id(stream_id) / f"{alert_id}{SUFFIX}"
        if not path.resolve().is_relative_to(self.root):
            raise ValueError(f"expected evidence below {self.root}, got {path}, which leads out of it")
        return path

    def write(self, path: Path, is_open: bool, fill: Callable[[IO[bytes]], Result]) -> tuple[Result, Stored]:
        """Has `fill` write the file, and puts it at `path` in one step.

        Raises NoRoomError, OSError, and what `fill` does.
        """
        path.parent.mkdir(exist_ok=True)
        descriptor, name = tempfile.mkstemp(PARTIAL, f".{path.stem}.", path.parent)
        partial = Path(name)
        try:
            with os.fdopen(descriptor, "w+b") as stream:
                fcntl.flock(stream, fcntl.LOCK_EX)
                result = fill(stream)
                stream.flush()
                os.fsync(stream.fileno())
                size = os.fstat(stream.fileno()).st_size
                digest = _sha256(stream)
                self._make_room(path, size)
                partial.chmod(0o644)  # mkstemp's is for the owner alone; reviewers read it too
                partial.replace(path)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
        _sync_folder(path.parent)
        self._kept[path] = Kept(size, path.stat().st_mtime_ns, is_open)
        EVIDENCE_STORED.set(self.size_bytes)
        return result, Stored(path.relative_to(self.root).as_posix(), digest, size)

    def _make_room(self, path: Path, size_bytes: int) -> None:
        """Removes files until one of this size fits at `path`, where it may replace one."""
        replaced = self._kept.get(path)
        room = self.max_bytes - size_bytes + (replaced.size_bytes if replaced is not None else 0)
        if self.size_bytes <= room:
            return
        for victim, cause in self._victims(path):
            if size_bytes > self.max_bytes:
                break
            size = self._kept.pop(victim).size_bytes
            victim.unlink(missing_ok=True)
            EVIDENCE_EVICTED.labels(victim.parent.name, cause).inc()
            log.info("evidence removed", stream=victim.parent.name, alert=victim.stem, cause=cause, bytes=size)
            if self.size_bytes <= room:
                return
        raise NoRoomError(
            f"expected room for {size_bytes} bytes in {self.root}, got none: max_bytes is {self.max_bytes}"
        )

    def _victims(self, but: Path) -> Iterator[tuple[Path, str]]:
        """Files that may go, with the reason: reviewed alerts' first, then closed ones', the oldest first."""
        by_age = sorted((path for path in self._kept if path != but), key=lambda path: self._kept[path].written_ns)
        ended = [path for path in by_age if not self._is_open(path)]
        reviewed = self._reviewed([path.stem for path in ended])
        yield from ((path, "reviewed") for path in ended if path.stem in reviewed)
        yield from ((path, "closed") for path in ended if path.stem not in reviewed)

    def _is_open(self, path: Path) -> bool:
        kept = self._kept[path]
        if kept.open is None:
            try:
                kept.open = read_metadata(path).get("state") == AlertState.OPEN
            except (EvidenceError, OSError):  # a file of another maker, or gone
                kept.open = False
        return kept.open

    def _remove_remains(self) -> None:
        for partial in self.root.glob(f"*/.*{PARTIAL}"):
            with partial.open("rb") as stream:
                try:
                    fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    continue  # its writer is alive
                partial.unlink(missing_ok=True)
                log.info("half-written evidence removed", file=partial.name)


def _kept(path: Path) -> Kept:
    status = path.stat()
    return Kept(status.st_size, status.st_mtime_ns)


def _sha256(stream: IO[bytes]) -> str:
    stream.seek(0)
    digest = hashlib.sha256()
    while content := stream.read(READ_BYTES):
        digest.update(content)
    return digest.hexdigest()


def _sync_folder(folder: Path) -> None:
    """Makes a rename in `folder` last through a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
