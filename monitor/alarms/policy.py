"""When a change becomes an alert: one row per kind of alert. `episodes.py` applies it."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from gradwatch.ranges import Seconds
from gradwatch.streams.wire.messages import AlertKind

Ratio = Annotated[float, Meta(gt=0, le=1000)]


class Policy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Hysteresis of one kind of episode; ratios are of the change statistic to its calibrated threshold."""

    carriers: Annotated[tuple[str, ...], Meta(min_length=1)]  # scores that may carry an alarm of this kind
    detector: str  # of CHANGE_DETECTORS
    enter: Ratio = 1.0  # ratio that starts an episode ...
    min_duration_s: Seconds = 0.0  # ... once it has lasted so long; the statistic itself is already smooth
    leave: Ratio = 0.6  # ratio below which it ends ...
    clear_s: Seconds = 2.0  # ... once that has lasted so long
    critical: Ratio = 2.0  # ratio that makes it critical

    def __post_init__(self) -> None:
        if not self.leave <= self.enter <= self.critical:
            raise ValueError(
                f"expected leave <= enter <= critical, got {self.leave}, {self.enter} and {self.critical}: "
                "an episode would end as it begins, or never be less than critical"
            )


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
