"""Checks of messages that many read and anybody may have written: ids, numbers and texts that every reader can hold."""

from __future__ import annotations

import math
from typing import Any

import msgspec

from .messages import STREAM_ID, Alert, Correction, RegionMute, alert_id

MAX_TEXT = 4096  # characters of any text in a message
MAX_ITEMS = 256  # of any list or table in it
MAX_PX = 1e6  # of a place in a picture
NATURAL = ("onset_capture_ns", "last_capture_ns", "first_offset", "partition", "onset_seq")


def check_alert(alert: Alert) -> None:
    """Raises ValueError for an alert that can't be stored, or whose evidence could never be written.

    The id must be that of the alert's own stream and episode, or one alert could replace another's.
    """
    check_values(alert)
    if alert.revision < 1:
        raise ValueError(f"field revision: expected 1 or more, got {alert.revision}")
    if alert.alert_id != alert_id(alert.stream_id, alert.run_id, alert.kind, alert.onset_seq):
        raise ValueError(f"field alert_id: expected that of stream, run, kind and onset, got {alert.alert_id[:80]!r}")
    if len(alert.run_id) > 63 or STREAM_ID.fullmatch(alert.stream_id) is None:
        raise ValueError(f"expected ids of at most 63 letters, got {alert.run_id[:80]!r} of {alert.stream_id[:80]!r}")
    for name in NATURAL:
        if getattr(alert, name) < 0:
            raise ValueError(f"field {name}: expected a number from 0 to 2^63 - 1, got {getattr(alert, name)}")


def check_correction(correction: Correction) -> None:
    """Raises ValueError for a correction that could not be applied, or that a stream's state could not hold."""
    check_values(correction)
    if not isinstance(correction, RegionMute):
        return
    if len(correction.polygon) < 3:
        raise ValueError(f"field polygon: expected 3 corners or more, got {len(correction.polygon)}")
    if max(abs(value) for corner in correction.polygon for value in corner) > MAX_PX:
        raise ValueError(f"field polygon: expected corners within {MAX_PX:g} px, got {str(correction.polygon)[:80]}")


def check_values(message: msgspec.Struct) -> None:
    """Raises ValueError for a number that is not finite or has more than 64 bits, and for texts and lists too long."""
    for name, value in msgspec.to_builtins(message).items():
        _check(name, value)


def _check(name: str, value: Any) -> None:
    if isinstance(value, dict | list):
        if len(value) > MAX_ITEMS:
            raise ValueError(f"field {name}: expected at most {MAX_ITEMS} items, got {len(value)}")
        for inner in [*value, *value.values()] if isinstance(value, dict) else value:
            _check(name, inner)
    elif isinstance(value, str):
        if len(value) > MAX_TEXT or "\0" in value:
            raise ValueError(f"field {name}: expected at most {MAX_TEXT} letters and no zero byte, got {len(value)}")
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"field {name}: expected a finite number, got {value}")
    elif isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise ValueError(f"field {name}: expected a number of 64 bits, got one of {value.bit_length()}")
