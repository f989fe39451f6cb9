"""W3C Trace Context: the header `traceparent` ties a frame to its report, overlay and alerts in any tracing system.

gradwatch records no spans; it passes the context on, and a source creates one for a frame that has none.
"""

from __future__ import annotations

import os
import re

TRACEPARENT = re.compile(
    r"(?P<version>[0-9a-f]{2})-(?P<trace>[0-9a-f]{32})-(?P<parent>[0-9a-f]{16})-(?P<flags>[0-9a-f]{2})"
)


class TraceparentError(ValueError):
    """A traceparent that is not valid; `cause` is `malformed`, `version` or `zero_id`."""

    def __init__(self, cause: str, text: str) -> None:
        super().__init__(f"traceparent: expected 00-<32 hex>-<16 hex>-<2 hex>, ids not zero, got {text[:80]!r}")
        self.cause = cause


def new_traceparent() -> str:
    """The start of a new trace.

    Its flag `sampled` is off: a system that samples by the parent's decision must not record every frame because of us.
    """
    return f"00-{_identifier(16)}-{_identifier(8)}-00"


def read_traceparent(text: str) -> str:
    """`text` as a traceparent of version 00. Raises `TraceparentError`.

    A newer version is read by the fields that 00 has too, as the standard asks.
    """
    found = TRACEPARENT.match(text)
    if found is None:
        raise TraceparentError("malformed", text)
    version, trace, parent, flags = found.groups()
    rest = text[found.end() :]
    if rest and (version == "00" or not rest.startswith("-")):
        raise TraceparentError("malformed", text)
    if version == "ff":
        raise TraceparentError("version", text)
    if not int(trace, 16) or not int(parent, 16):
        raise TraceparentError("zero_id", text)
    return f"00-{trace}-{parent}-{flags}"


def valid_traceparent(text: str | None) -> str | None:
    """`text` as by `read_traceparent`; None where it is absent or invalid."""
    try:
        return read_traceparent(text) if text else None
    except TraceparentError:
        return None


def _identifier(size: int) -> str:
    while not any(drawn := os.urandom(size)):  # all zero is not valid
        pass
    return drawn.hex()
