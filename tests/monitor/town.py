"""One camera, its reports and its one alert, for tests that show them."""

from __future__ import annotations

from typing import Any

from gradwatch.streams.wire.messages import Alert, FrameReport

from ..builders import frame_report, shift_alert

RUN = "01J0"


def bare_report(seq: int, **changes: Any) -> FrameReport:
    """A judged frame in which nothing was seen, at 5 Hz."""
    return frame_report("town", seq, RUN, **changes)


def alert(**changes: Any) -> Alert:
    """A shift of distribution that began at frame 50 and was last seen at frame 57."""
    shown: dict[str, Any] = {
        "alert_id": "a",
        "onset_capture_ns": 10_945_678_901,
        "last_capture_ns": 12_345_678_901,
        "score": 3.2,
        "p_value": 1e-4,
        "threshold": 4.0,
        "reason": "darker than the frames of the calibration",
    }
    return shift_alert("town", 50, RUN, last_seq=57, **shown | changes)
