"""The settings of the judge: the section `judge` of the configuration."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from typing import Annotated

import msgspec
from msgspec import Meta

from gradwatch.ranges import PositiveSeconds
from gradwatch.streams.wire.messages import AlertKind

from ..alarms.calibration import MIN_FRAMES, AlarmBudget
from ..alarms.change import CHANGE_DETECTORS
from ..alarms.policy import POLICY, Policy
from ..scorers import SCORERS
from .expectation import ExpectationSettings
from .forecasts import FORECASTERS
from .tracking import TrackerSettings

VERSION = 1  # must be raised when the code between observation and change statistic computes something else


def _check_name(where: str, name: str, table: Collection[str]) -> None:
    if name not in table:
        raise ValueError(f"{where}: expected one of {', '.join(table)}, got {name!r}")


class JudgeSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How observations are judged; two judges with equal settings have equal `configuration_id`."""

    tracker: TrackerSettings = TrackerSettings()
    expectation: ExpectationSettings = ExpectationSettings()
    forecaster: str = "constant_velocity"
    horizon_s: Annotated[tuple[PositiveSeconds, ...], Meta(min_length=1, max_length=100)] = (0.4, 0.8, 1.2, 1.6, 2.0)
    coverage: Annotated[float, Meta(gt=0, lt=1)] = 0.9  # share of future positions that a region is to contain
    policy: dict[AlertKind, Policy] = msgspec.field(default_factory=lambda: dict(POLICY))
    alarms: AlarmBudget = AlarmBudget()
    calibration_frames: Annotated[int, Meta(ge=MIN_FRAMES, le=1_000_000)] = 300  # of a stream's start, assumed healthy

    def __post_init__(self) -> None:
        if list(self.horizon_s) != sorted(set(self.horizon_s)):
            raise ValueError(f"horizon_s: expected times that increase, got {', '.join(map(str, self.horizon_s))}")
        _check_name("forecaster", self.forecaster, FORECASTERS)
        for kind, policy in self.policy.items():
            _check_name(f"policy.{kind}.detector", policy.detector, CHANGE_DETECTORS)
            for name in policy.carriers:
                _check_name(f"policy.{kind}.carriers", name, SCORERS)

    @property
    def configuration_id(self) -> str:
        """Hash of the settings that a calibration depends on: not of forecasts, nor of when episodes close."""
        parts = [
            VERSION,
            self.tracker,
            self.expectation,
            {k: (p.carriers, p.detector, p.min_duration_s) for k, p in self.policy.items()},
        ]
        return hashlib.sha256(msgspec.json.encode(parts, order="sorted")).hexdigest()[:12]
