"""The camera's motion through a synthetic drive: settings, speed, curves, shake and light.

Road coordinates: `s` m along the road, `x` m to the right of the middle of the camera's lane, `y` m above the road.
Everything is a closed formula of time, so that any frame can be drawn without its predecessors.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .sprites import Box, Floats

CAMERA_HEIGHT_M = 1.3
FOCAL_WIDTHS = 0.94  # focal length over picture width: a horizontal field of view of 56 degrees
HORIZON = 0.45  # of the picture's height


@dataclass(frozen=True, slots=True)
class Setting:
    """A kind of road. Lengths in m in road coordinates, times in s; pairs are ranges of random values."""

    speed_m_s: float
    speed_swing: float  # share of the speed by which it swings
    curvature_per_m: float
    left_edge_m: float  # where the asphalt ends
    right_edge_m: float
    lines_m: tuple[float, ...]  # dashed lines
    solid_lines_m: tuple[float, ...]
    dash_m: tuple[float, float]  # painted length and period
    pavement_m: float  # width of the pavement on both sides, 0 = none
    sign_x_m: tuple[float, float]
    sign_side_m: tuple[float, float]
    sign_every_s: tuple[float, float]
    pedestrian_every_s: tuple[float, float] | None


SETTING = {
    "motorway": Setting(
        speed_m_s=26.0, speed_swing=0.16, curvature_per_m=1 / 1500, left_edge_m=-6.2, right_edge_m=8.0,
        lines_m=(-1.8, 1.8), solid_lines_m=(-5.4, 5.4), dash_m=(4.0, 12.0), pavement_m=0.0,
        sign_x_m=(8.6, 9.6), sign_side_m=(1.5, 1.8), sign_every_s=(6.0, 12.0), pedestrian_every_s=None,
    ),
    "town": Setting(
        speed_m_s=8.5, speed_swing=0.38, curvature_per_m=1 / 350, left_edge_m=-5.3, right_edge_m=3.9,
        lines_m=(-1.6,), solid_lines_m=(), dash_m=(3.0, 6.0), pavement_m=3.0,
        sign_x_m=(4.2, 5.0), sign_side_m=(0.65, 0.75), sign_every_s=(4.0, 8.0), pedestrian_every_s=(0.8, 3.2),
    ),
    "country": Setting(
        speed_m_s=14.5, speed_swing=0.25, curvature_per_m=1 / 300, left_edge_m=-5.1, right_edge_m=2.0,
        lines_m=(-1.65,), solid_lines_m=(1.65, -4.8), dash_m=(4.0, 12.0), pavement_m=0.0,
        sign_x_m=(3.2, 4.4), sign_side_m=(0.68, 0.8), sign_every_s=(4.0, 8.0), pedestrian_every_s=(9.0, 25.0),
    ),
}  # fmt: skip
SETTINGS = tuple(SETTING)


class Drift:
    """A smooth random function of time or place: a sum of sines with standard deviation `amplitude`."""

    def __init__(self, rng: np.random.Generator, periods: tuple[float, float], amplitude: float, terms: int = 4):
        log_low, log_high = np.log(periods)
        # one period from each part of the range, so that every drift has fast and slow components
        steps = (np.arange(terms) + rng.random(terms)) / terms
        self.omega = 2 * np.pi / np.exp(log_low + steps * (log_high - log_low))
        self.phase = rng.uniform(0, 2 * np.pi, terms)
        self.amplitude = amplitude * np.sqrt(2 / terms)

    def __call__(self, at: float) -> float:
        """The value at one place."""
        return float(self.amplitude * np.sin(self.omega * at + self.phase).sum())

    def many(self, at: Floats) -> Floats:
        """The values at (n,) places."""
        return np.asarray(self.amplitude * np.sin(np.multiply.outer(at, self.omega) + self.phase).sum(axis=-1))

    def integral(self, at: float) -> float:
        """The integral from 0 to `at`."""
        rise = np.cos(self.phase) - np.cos(self.omega * at + self.phase)
        return float(self.amplitude * (rise / self.omega).sum())


@dataclass(frozen=True, slots=True)
class View:
    """The camera's pose in one frame; projects road coordinates into the picture."""

    s: float
    x: float
    heading_rad: float  # the road's direction, the integral of its curvature
    curvature_per_m: float
    focal_px: float
    center_px: float
    horizon_px: float
    size: tuple[int, int]

    def project(self, ahead_m: float, x: float, y: float) -> tuple[float, float]:
        """The pixel of a point `ahead_m` > 0 in front of the camera, at `x` and `y` of the road there."""
        aside = x - self.x + 0.5 * self.curvature_per_m * ahead_m * ahead_m
        scale = self.focal_px / ahead_m
        return self.center_px + aside * scale, self.horizon_px + (CAMERA_HEIGHT_M - y) * scale

    def box(self, ahead_m: float, x: tuple[float, float], y: tuple[float, float]) -> Box:
        """The pixel box of an upright rectangle that faces the camera; `x` = (left, right), `y` = (bottom, top) m."""
        left, top = self.project(ahead_m, x[0], y[1])
        right, bottom = self.project(ahead_m, x[1], y[0])
        return left, top, right, bottom


@dataclass(frozen=True, slots=True)
class Light:
    """The light and the camera's exposure in one frame."""

    exposure_ev: float
    warmth: float  # > 0 = warmer, about +-0.06
    overcast: float  # 0..1
    sun: float  # strength of the shadows, 0..1


class EgoMotion:
    """Position, pose and light of one drive's camera over time."""

    def __init__(self, setting: str, rng: np.random.Generator, size: tuple[int, int]) -> None:
        self.setting = SETTING[setting]
        self.size = size
        self._speed = Drift(rng, (7.0, 45.0), self.setting.speed_swing / 1.6)
        self._speed_factor = rng.uniform(0.94, 1.06)
        self._curvature = Drift(rng, (180.0, 900.0), self.setting.curvature_per_m / 1.4)
        self._wander = Drift(rng, (4.0, 30.0), 0.16)
        self._pitch = Drift(rng, (0.31, 2.3), 0.0011, terms=6)
        self._slope = Drift(rng, (6.0, 40.0), 0.004)
        self._yaw = Drift(rng, (0.45, 6.0), 0.0022, terms=6)
        self._cloud = Drift(rng, (5.0, 30.0), 0.17)
        self._warmth = Drift(rng, (9.0, 60.0), 0.024)
        self._overcast = Drift(rng, (15.0, 80.0), 0.8)
        self._sun = Drift(rng, (5.0, 25.0), 1.3)

    def place_m(self, time_s: float) -> float:
        """Distance driven since the start."""
        speed = self.setting.speed_m_s * self._speed_factor
        return float(speed * (time_s + self._speed.integral(time_s)))

    def view(self, time_s: float) -> View:
        """The camera at a time."""
        width, height = self.size
        focal_px = FOCAL_WIDTHS * width
        s = self.place_m(time_s)
        pitch = self._pitch(time_s) + self._slope(time_s)
        return View(
            s=s,
            x=self._wander(time_s),
            heading_rad=self._curvature.integral(s),
            curvature_per_m=self._curvature(s),
            focal_px=focal_px,
            center_px=width / 2 + focal_px * self._yaw(time_s),
            horizon_px=height * HORIZON + focal_px * pitch,
            size=self.size,
        )

    def light(self, time_s: float) -> Light:
        """The light at a time, without the shade of the scenery."""
        return Light(
            exposure_ev=self._cloud(time_s),
            warmth=self._warmth(time_s),
            overcast=float(1 / (1 + np.exp(0.6 - 2 * self._overcast(time_s)))),
            sun=float(1 / (1 + np.exp(-2 * self._sun(time_s)))),
        )
