"""When a change becomes an alert: one row per kind of alert. `episodes.py` applies it."""

from __future__ import annotations

import msgspec

from gradwatch.streams.wire.messages import AlertKind


class Policy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Hysteresis of one kind of episode; ratios are of the change statistic to its calibrated threshold."""

    carriers: tuple[str, ...]  # scores that may carry an alarm of this kind
    detector: str  # of CHANGE_DETECTORS
    enter: float = 1.0  # ratio that starts an episode ...
    min_duration_s: float = 0.0  # ... once it has lasted so long; the statistic itself is already smooth
    leave: float = 0.6  # ratio below which it ends ...
    clear_s: float = 2.0  # ... once that has lasted so long
    critical: float = 2.0  # ratio that makes it critical


POLICY: dict[AlertKind, Policy] = {
    AlertKind.DISTRIBUTION_SHIFT: Policy(
        carriers=("image_statistics", "reconstruction_error", "gradcon_direction"),
        detector="ewma",
        min_duration_s=0.4,
    ),
    # a contradiction ends when its object has passed, so it must be noticed within a few frames
    AlertKind.EXPECTANCY_MISMATCH: Policy(
        carriers=("expectancy_gradient",),
        detector="ewma_fast",
        min_duration_s=0.4,  # a sign misread in one frame is no contradiction
    ),
}
