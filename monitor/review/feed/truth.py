"""What is known of a replayed recording beside its frames: tags and ground truth, for the page alone.

`FOLDER/<stream_id>.json` (or `<stream_id>.<run_id>.json`, which wins) holds
`{"tags": {"challenge": "haze", "level": 4, …}, "onset_seq": 150, "objects": {"150": [{"xyxy": [x1, y1, x2, y2],
"label": "stop", "kind": "sign"}]}}`; everything in it is optional. Of a file that can't be read nothing is known, and
the log says why. Judging never sees any of it.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import msgspec
import structlog

from gradwatch.streams.wire.messages import STREAM_ID

log = structlog.get_logger()

MAX_BYTES = 64 * 1024 * 1024


class TrueObject(msgspec.Struct, frozen=True):
    """One object that is there: `xyxy` px, and what it is."""

    xyxy: tuple[float, float, float, float]
    label: str
    kind: str = ""

    def __post_init__(self) -> None:
        if not all(map(math.isfinite, self.xyxy)):
            raise ValueError(f"xyxy: expected four finite numbers, got {self.xyxy}")


class Recording(msgspec.Struct, frozen=True):
    """What one file says; `objects` by seq."""

    tags: dict[str, Any] = {}
    onset_seq: int = 0  # from which the challenge is on
    objects: dict[int, list[TrueObject]] = {}


class Truth:
    """Looks files up as they are asked for; without a folder nothing is known."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._read: dict[Path, tuple[int, Recording]] = {}

    def of(self, stream_id: str, run_id: str) -> Recording | None:
        """What is known of a run."""
        # ids come from the wire, and here they become the name of a file
        if self._folder is None or not (STREAM_ID.fullmatch(stream_id) and STREAM_ID.fullmatch(run_id)):
            return None
        for name in (f"{stream_id}.{run_id}.json", f"{stream_id}.json"):
            if (found := self._load(self._folder / name)) is not None:
                return found
        return None

    def challenge(self, stream_id: str, run_id: str, seq: int) -> str | None:
        """The challenge that is on in a frame."""
        recording = self.of(stream_id, run_id)
        if recording is None or seq < recording.onset_seq:
            return None
        named = recording.tags.get("challenge")
        return None if named is None else str(named).replace("\0", "")[:64]  # PostgreSQL stores no zero bytes

    def _load(self, path: Path) -> Recording | None:
        try:
            status = path.stat()
        except OSError:
            return None
        known = self._read.get(path)
        if known is not None and known[0] == status.st_mtime_ns:
            return known[1]
        recording = Recording()  # a run's own file that is broken is no reason to believe its stream's
        try:
            if status.st_size > MAX_BYTES:
                raise ValueError(f"expected at most {MAX_BYTES} bytes, got {status.st_size}")
            recording = msgspec.json.decode(path.read_bytes(), type=Recording, strict=False)
        except (OSError, ValueError, RecursionError) as error:  # msgspec's other errors are ValueErrors
            log.warning("truth can't be read", path=path.name, error=str(error))
        self._read = {path: (status.st_mtime_ns, recording), **dict(list(self._read.items())[:16])}
        return recording
