"""The folder of evidence files: each appears whole or not at all, and all together stay within a number of bytes.

A file is written under a hidden name that ends in `.partial`, synced, and renamed. Its writer holds a lock on it until
then, so whoever opens the folder can tell what a dead process left from what a living one is writing.
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
from .mcap_reader import read_metadata

log = structlog.get_logger()

SUFFIX, PARTIAL = ".mcap", ".partial"
ALERT_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

Result = TypeVar("Result")
ReviewedAlerts = Callable[[Collection[str]], set[str]]
"""Returns those of the given alert ids that a person has reviewed; the review store answers."""


class NoRoomError(RuntimeError):
    """The file does not fit: it exceeds `max_bytes`, or all others belong to open alerts."""


class WrittenFile(NamedTuple):
    """Path of a written file relative to the folder, hash and size."""

    path: str
    sha256: str
    size_bytes: int


@dataclass(slots=True)
class _StoredFile:
    size_bytes: int
    written_ns: int
    is_open: bool | None = None  # whether its alert is open; None: not read yet


class EvidenceFolder:
    """`<root>/<stream>/<alert>.mcap`, at most `max_bytes` of them, not counting the one being written.

    For one thread. Creates `root`, and removes the partial files of dead processes. Raises OSError.
    """

    def __init__(self, root: Path, max_bytes: int, reviewed: ReviewedAlerts = lambda _: set()) -> None:
        root.mkdir(parents=True, exist_ok=True)
        self.root = root.resolve()
        self.max_bytes = max_bytes
        self._reviewed = reviewed
        self._remove_abandoned()
        statuses = {path: path.stat() for path in self.root.glob(f"*/*{SUFFIX}")}
        self._files = {path: _StoredFile(status.st_size, status.st_mtime_ns) for path, status in statuses.items()}
        EVIDENCE_STORED.set(self.size_bytes)

    @property
    def size_bytes(self) -> int:
        """Size of all files together."""
        return sum(file.size_bytes for file in self._files.values())

    def path(self, stream_id: str, alert_id: str) -> Path:
        """The path of an alert's evidence, written or not. Raises ValueError for ids that may not be part of one."""
        if ALERT_ID.fullmatch(alert_id) is None:
            raise ValueError(f"expected the id of an alert like {ALERT_ID.pattern}, got {alert_id[:80]!r}")
        path = self.root / check_stream_id(stream_id) / f"{alert_id}{SUFFIX}"
        if not path.resolve().is_relative_to(self.root):
            raise ValueError(f"expected evidence below {self.root}, got {path}, which leads out of it")
        return path

    def write(self, path: Path, is_open: bool, fill: Callable[[IO[bytes]], Result]) -> tuple[Result, WrittenFile]:
        """Puts the file that `fill` writes at `path` in one step; `is_open` tells whether its alert is.

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
                stream.seek(0)
                sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
                self._make_room(path, size)
                partial.chmod(0o644)  # mkstemp makes it readable for its owner alone; reviewers read it too
                partial.replace(path)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
        _sync_folder(path.parent)
        self._files[path] = _StoredFile(size, path.stat().st_mtime_ns, is_open)
        EVIDENCE_STORED.set(self.size_bytes)
        return result, WrittenFile(path.relative_to(self.root).as_posix(), sha256, size)

    def _make_room(self, path: Path, size_bytes: int) -> None:
        """Removes files until one of this size fits at `path`, where it may replace one."""
        replaced = self._files.get(path)
        room = self.max_bytes - size_bytes + (replaced.size_bytes if replaced is not None else 0)
        if self.size_bytes <= room:
            return
        for victim, cause in self._victims(path):
            if size_bytes > self.max_bytes:
                break
            size = self._files.pop(victim).size_bytes
            victim.unlink(missing_ok=True)
            EVIDENCE_EVICTED.labels(victim.parent.name, cause).inc()
            log.info(
                "removed evidence to make room", stream=victim.parent.name, alert=victim.stem, cause=cause, bytes=size
            )
            if self.size_bytes <= room:
                return
        raise NoRoomError(
            f"expected room for {size_bytes} bytes in {self.root}, got none: max_bytes is {self.max_bytes}"
        )

    def _victims(self, but: Path) -> Iterator[tuple[Path, str]]:
        """Files that may be removed, each with the reason: of reviewed alerts first, then of closed, oldest first."""
        by_age = sorted((path for path in self._files if path != but), key=lambda path: self._files[path].written_ns)
        closed = [path for path in by_age if not self._is_open(path)]
        reviewed = self._reviewed([path.stem for path in closed])
        yield from ((path, "reviewed") for path in closed if path.stem in reviewed)
        yield from ((path, "closed") for path in closed if path.stem not in reviewed)

    def _is_open(self, path: Path) -> bool:
        file = self._files[path]
        if file.is_open is None:
            try:
                file.is_open = read_metadata(path).get("state") == AlertState.OPEN
            except (EvidenceError, OSError):  # not written by us, or deleted
                file.is_open = False
        return file.is_open

    def _remove_abandoned(self) -> None:
        for partial in self.root.glob(f"*/.*{PARTIAL}"):
            with partial.open("rb") as stream:
                try:
                    fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    continue  # its writer is alive
                partial.unlink(missing_ok=True)
                log.info("removed a half-written evidence file", file=partial.name)


def _sync_folder(folder: Path) -> None:
    """Makes a rename in `folder` survive a power failure."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
