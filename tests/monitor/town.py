"""One camera, its reports and its one alert, for tests that show them."""

from __future__ import annotations

from typing import Any

import msgspec

from gradwatch.streams.wire.messages import (
    Alert,
    AlertKind,
    AlertState,
    FrameIdentity,
    FrameReport,
    Outcome,
    Severity,
    StreamState,
)


def bare_report(seq: int, **changes: Any) -> FrameReport:
    """A judged frame in which nothing was seen, at 5 Hz."""
    bare = FrameReport(
        identity=FrameIdentity("town", "01J0", seq),
        partition=0,
        offset=seq,
        capture_ns=seq * 200_000_000,
        published_ns=0,
        clock="media",
        outcome=Outcome.JUDGED,
        state=StreamState.WATCHING,
    )
    return msgspec.structs.replace(bare, **changes)


def alert(**changes: Any) -> Alert:
    """A shift of distribution that began at frame 50 and was last seen at frame 57."""
    whole = Alert(
        alert_id="a",
        revision=1,
        kind=AlertKind.DISTRIBUTION_SHIFT,
        severity=Severity.WARNING,
        state=AlertState.OPEN,
        stream_id="town",
        run_id="01J0",
        onset_seq=50,
        last_seq=57,
        onset_capture_ns=10_945_678_901,
        last_capture_ns=12_345_678_901,
        partition=0,
        first_offset=50,
        last_offset=57,
        score=3.2,
        p_value=1e-4,
        threshold=4.0,
        mean_time_between_false_alarms_s=3600,
        carried_by=["image_statistics"],
        reason="darker than the frames of the calibration",
    )
    return msgspec.structs.replace(whole, **changes)
