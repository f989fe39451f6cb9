"""What a check finds, and what it may look at."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

import msgspec

from ..config import Configuration


class Status(StrEnum):
    """How a thing is found; only `missing` and `wrong` ask for something to be done."""

    OK = "ok"
    MISSING = "missing"
    WRONG = "wrong"
    UNKNOWN = "unknown"


class Finding(msgspec.Struct, frozen=True):
    """One row: `subject` is what was looked at, `found` is in words, `remedy` is a command or sentence that mends it.

    `needed` says that the configuration can't do without; only then does the finding decide the exit code.
    """

    subject: str
    status: Status
    found: str
    remedy: str = ""
    needed: bool = True

    @property
    def is_fault(self) -> bool:
        """Whether the configuration can't be worked with until this is mended."""
        return self.needed and self.status in (Status.MISSING, Status.WRONG)


class Scope(msgspec.Struct, frozen=True):
    """What is examined: the configuration (`path` None: the defaults), and what the user may want typed again.

    `mend_topics` is the command that sets topics right; `probe` allows writing a record to read the broker's clock.
    """

    configuration: Configuration
    path: Path | None = None
    mend_topics: str = "gradwatch topics --mend"
    probe: bool = False

    @property
    def options(self) -> str:
        """` --config FILE` where one was given, to put behind a verb."""
        return f" --config {self.path}" if self.path else ""
