"""Tags and ground truth of replayed recordings, shown on the page alone: judging never sees them.

`FOLDER/<stream_id>.json` (or `<stream_id>.<run_id>.json`, which takes precedence) contains
`{"tags": {"challenge": "haze", "level": 4, …}, "onset_seq": 150, "objects": {"150": [{"xyxy": [x1, y1, x2, y2],
"label": "stop", "kind": "sign"}]}}`; every field is optional. A file that can't be read counts as empty and is logged.
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
    """One object of a frame: `xyxy` px, its label and kind."""

    xyxy: tuple[float, float, float, float]
    label: str
    kind: str = ""

    def __post_init__(self) -> None:
        if not all(map(math.isfinite, self.xyxy)):
            raise ValueError(f"xyxy: expected four finite numbers, got {self.xyxy}")


class Recording(msgspec.Struct, frozen=True):
    """The content of one file; `objects` by seq."""

    tags: dict[str, Any] = {}
    onset_seq: int = 0  # first seq with the challenge
    objects: dict[int, list[TrueObject]] = {}


class GroundTruth:
    """Reads files on request; without a folder every lookup returns None."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._read: dict[Path, tuple[int, Recording]] = {}

    def of(self, stream_id: str, run_id: str) -> Recording | None:
        """The recording of a run, None where there is no file."""
        # ids come from the wire and become the name of a file
        if self._folder is None or not (STREAM_ID.fullmatch(stream_id) and STREAM_ID.fullmatch(run_id)):
            return None
        for name in (f"{stream_id}.{run_id}.json", f"{stream_id}.json"):
            if (found := self._load(self._folder / name)) is not None:
                return found
        return None

    def challenge(self, stream_id: str, run_id: str, seq: int) -> str | None:
        """The challenge in a frame, None if there is none or it is unknown."""
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
        recording = Recording()  # a run's own file that is broken does not make that of its stream valid
        try:
            if status.st_size > MAX_BYTES:
                raise ValueError(f"expected at most {MAX_BYTES} bytes, got {status.st_size}")
            recording = msgspec.json.decode(path.read_bytes(), type=Recording, strict=False)
        except (OSError, ValueError, RecursionError) as error:  # msgspec's other errors are ValueErrors
            log.warning("could not read a ground truth file", path=path.name, error=str(error))
        self._read = {path: (status.st_mtime_ns, recording), **dict(list(self._read.items())[:16])}
        return recording
