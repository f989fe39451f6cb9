"""The result of a check, and the context that checks read."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

import msgspec

from ..config import Configuration


class Status(StrEnum):
    """State of the thing that was checked; only `missing` and `wrong` need mending."""

    OK = "ok"
    MISSING = "missing"
    WRONG = "wrong"
    UNKNOWN = "unknown"


class Result(msgspec.Struct, frozen=True):
    """One row of the report: `found` describes the `subject` in words, `remedy` is a command or sentence that mends it.

    `needed` tells whether the configuration depends on the subject; only then does the result decide the exit code.
    """

    subject: str
    status: Status
    found: str
    remedy: str = ""
    needed: bool = True

    @property
    def needs_mending(self) -> bool:
        """Whether the subject is missing or wrong, needed or not."""
        return self.status in (Status.MISSING, Status.WRONG)

    @property
    def is_fault(self) -> bool:
        """Whether gradwatch can't run with this configuration until the subject is mended."""
        return self.needed and self.needs_mending


Sections = dict[str, list[Result]]  # the rows of the report by section, in its order


class Context(msgspec.Struct, frozen=True):
    """The configuration to check (`path` None: the defaults), and the options of the command.

    `mend_topics` is the command that sets topics right; `probe` allows writing a record to read the broker's clock.
    """

    configuration: Configuration
    path: Path | None = None
    mend_topics: str = "gradwatch topics --mend"
    probe: bool = False
