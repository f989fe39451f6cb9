"""Walking people, drawn as a jointed figure from any side.

Figure coordinates: stature 1; `forward`, `right` and `up` from the ground below the hips. A step cycle of 2 pi swings
each leg once to and fro; arms move opposite to the legs.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from .sprites import Image, Sprite, fill_polygon

Color = NDArray[np.float64]
Joint = NDArray[np.float64]  # forward, right, up

UP, HEEL = np.array([0.0, 0.0, 1.0]), np.array([0.012, 0.0, 0.012])
CANVAS_WIDTH = 0.7  # of the canvas's height, which is the stature plus margins
MARGIN = 0.03
SUPER_SAMPLING = 2
PHASES = 12
SKINS = ((236, 196, 170), (214, 170, 140), (176, 128, 98), (120, 82, 60), (86, 58, 44))
# Contrast as in daylight; with flat colors a COCO detector misses half of the figures below 90 px.
_CURVE = np.clip((np.arange(256) - 105) * 1.8 + 113, 12, 246)
SUNLIT = np.stack([_CURVE, _CURVE, _CURVE, np.arange(256)], axis=-1).astype(np.uint8)[:, None]  # (256, 1, RGBA)
HAIRS = ((36, 28, 24), (70, 48, 32), (120, 86, 52), (150, 146, 142), (24, 22, 24))


@dataclass(frozen=True, slots=True)
class Person:
    """The appearance of one person; colors are RGB 0..255."""

    stature_m: float
    girth: float
    skin: Color
    hair: Color
    top: Color
    legs: Color
    shoes: Color
    bag: Color
    coat: float  # length of the top below the hips, as a share of the stature
    long_hair: bool
    carries: str  # "backpack", "handbag" or ""
    stride: float


@lru_cache(maxsize=1024)
def draw_person(seed: int) -> Person:
    """Draws a person's appearance at random."""
    rng = np.random.default_rng((seed, 77))

    def cloth(low: float, high: float) -> Color:
        hue = rng.uniform(0, 180)
        hsv = np.array([[[hue, rng.uniform(10, 140), rng.uniform(low, high)]]], np.uint8)
        return np.asarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)[0, 0], np.float64)

    return Person(
        stature_m=float(np.clip(rng.normal(1.71, 0.09), 1.5, 1.95)),
        girth=float(rng.uniform(0.94, 1.16)),
        skin=np.asarray(SKINS[int(rng.integers(len(SKINS)))], np.float64),
        hair=np.asarray(HAIRS[int(rng.integers(len(HAIRS)))], np.float64),
        top=cloth(50, 220),
        legs=cloth(35, 120) if rng.random() < 0.7 else np.array([46.0, 58.0, 92.0]),
        shoes=np.full(3, rng.choice([30.0, 60.0, 200.0])),
        bag=cloth(40, 160),
        coat=float(rng.choice([0.02, 0.03, 0.05, 0.14])),
        long_hair=bool(rng.random() < 0.4),
        carries=str(rng.choice(["", "", "backpack", "handbag"])),
        stride=float(rng.uniform(0.36, 0.5)),
    )


class _Figure:
    """A canvas for one person in one step; parts are drawn from far to near."""

    def __init__(self, person: Person, height_px: int, heading_rad: float) -> None:
        self.person = person
        self.scale = height_px * SUPER_SAMPLING / (1 + 2 * MARGIN)
        height = height_px * SUPER_SAMPLING
        width = round(height_px * CANVAS_WIDTH) * SUPER_SAMPLING
        self.canvas: Image = np.zeros((height, width, 4), np.uint8)
        self.canvas[..., :3] = np.round(person.top * 0.8)  # so that edges have no black fringe
        self.sine, self.cosine = np.sin(heading_rad), np.cos(heading_rad)

    def at(self, joint: Joint) -> tuple[float, float]:
        """The pixel of a joint on the canvas."""
        forward, right, up = joint
        across = forward * self.sine + right * self.cosine
        return self.canvas.shape[1] / 2 + across * self.scale, self.canvas.shape[0] - (up + MARGIN) * self.scale

    def depth(self, joint: Joint) -> float:
        """The distance of a joint behind the figure's middle."""
        return float(joint[0] * self.cosine - joint[1] * self.sine)

    def polygon(self, points: NDArray[np.float64], color: Color) -> None:
        """Fills a polygon of canvas px."""
        fill_polygon(self.canvas, points, (*np.clip(color, 0, 255), 255))

    def ellipse(self, center: tuple[float, float], radii: tuple[float, float], color: Color) -> None:
        """Fills an ellipse; radii as shares of the stature."""
        angles = np.linspace(0, 2 * np.pi, 20, endpoint=False)
        circle = np.stack([np.cos(angles) * radii[0], np.sin(angles) * radii[1]], axis=1) * self.scale
        self.polygon(circle + center, color)

    def limb(self, start: Joint, end: Joint, widths: tuple[float, float], color: Color) -> None:
        """A tapered rod, darker on the right, away from the light, and where it is farther away."""
        a, b = np.asarray(self.at(start)), np.asarray(self.at(end))
        along = (b - a) / max(float(np.linalg.norm(b - a)), 1e-6)
        normal = np.array([-along[1], along[0]])
        dim = 0.86 - 0.9 * (self.depth(start) + self.depth(end)) / 2
        for shade, share, shift in ((0.78, 1.0, 0.0), (1.0, 0.62, -0.17)):
            half_a, half_b = (w / 2 * self.scale * share for w in widths)
            move = np.array([shift * widths[0] * self.scale, 0.0])
            angles = np.linspace(0, np.pi, 7)[:, None]
            round_a = a - half_a * (np.cos(angles) * normal + np.sin(angles) * along)
            round_b = b + half_b * (np.cos(angles) * normal + np.sin(angles) * along)
            self.polygon(np.concatenate([round_a, round_b]) + move, color * shade * dim)


def _leg(figure: _Figure, side: int, phase: float) -> None:
    person = figure.person
    swing = person.stride * np.sin(phase)
    bend = 0.1 + 0.75 * max(0.0, float(np.cos(phase))) ** 2
    hip = np.array([0.0, side * 0.055 * person.girth, 0.5])
    knee = hip + 0.235 * np.array([np.sin(swing), 0.0, -np.cos(swing)])
    ankle = knee + 0.225 * np.array([np.sin(swing - bend), 0.0, -np.cos(swing - bend)])
    ankle[2] = max(ankle[2], 0.035)
    width = 0.105 * person.girth
    figure.limb(hip, knee, (width * 1.1, width * 0.8), person.legs)
    figure.limb(knee, ankle, (width * 0.78, width * 0.55), person.legs)
    toe = ankle + np.array([0.085, side * 0.008, -0.018])
    figure.limb(ankle - HEEL, toe, (0.05, 0.038), person.shoes)


def _arm(figure: _Figure, side: int, phase: float) -> None:
    person = figure.person
    swing = -0.8 * person.stride * np.sin(phase)
    bend = 0.3 + 0.25 * max(0.0, float(np.sin(-phase)))
    shoulder = np.array([0.0, side * 0.1 * person.girth, 0.79])
    elbow = shoulder + 0.165 * np.array([np.sin(swing), side * 0.2, -np.cos(swing)])
    hand = elbow + 0.15 * np.array([np.sin(swing + bend), side * 0.02, -np.cos(swing + bend)])
    width = 0.06 * person.girth
    figure.limb(elbow, hand, (width * 0.8, width * 0.6), person.top * 0.95)
    figure.ellipse(figure.at(hand - 0.012 * UP), (0.022, 0.028), person.skin * 0.92)
    figure.limb(shoulder, elbow, (width, width * 0.8), person.top * 0.95)
    if person.carries == "handbag" and side == 1:
        x, y = figure.at(hand - 0.08 * UP)
        figure.ellipse((x, y), (0.055, 0.05), person.bag)


def _torso(figure: _Figure) -> None:
    person = figure.person
    breadth = abs(figure.cosine) + 0.6 * abs(figure.sine)  # shoulders look narrow from the side
    shoulder, waist = 0.108 * person.girth * breadth, 0.078 * person.girth * (0.5 + 0.5 * breadth)
    hem, hem_up = waist * (1.12 + 0.5 * person.coat), 0.49 - person.coat
    middle = np.asarray(figure.at(np.array([0.0, 0.0, 0.0])))
    half = np.array([(0.035, 0.86), (shoulder * 0.7, 0.83), (shoulder, 0.795), (shoulder * 0.94, 0.72),
                     (waist, 0.62), (hem, hem_up)])  # fmt: skip
    outline = np.concatenate([half, half[::-1] * (-1, 1)])
    flip = (figure.scale, -figure.scale)
    figure.polygon(outline * flip + middle, person.top * 0.74)
    figure.polygon((outline * (0.7, 0.96) + (-0.02, 0.025)) * flip + middle, person.top * 0.92)
    figure.polygon((outline * (0.34, 0.9) + (-0.035, 0.06)) * flip + middle, person.top * 1.04)
    if figure.cosine < -0.4:  # the open collar or zip
        line = np.array([(-0.012, 0.84), (0.012, 0.84), (0.008, hem_up), (-0.008, hem_up)])
        figure.polygon(line * flip + middle, person.top * 0.55)
    if person.carries == "backpack":
        back = figure.at(np.array([-0.1, 0.0, 0.7]))
        if figure.cosine > -0.5:
            figure.ellipse(back, (0.085 * max(0.6, breadth), 0.115), person.bag * 0.8)
            figure.ellipse((back[0] - 0.012 * figure.scale, back[1]), (0.06 * max(0.6, breadth), 0.09), person.bag)


def _head(figure: _Figure) -> None:
    person = figure.person
    neck, middle = np.array([0.005, 0.0, 0.86]), np.array([0.015, 0.0, 0.928])
    x, y = figure.at(middle)
    back = -figure.sine * 0.018 * figure.scale
    if person.long_hair and figure.cosine < 0:
        figure.ellipse((x + back, y + 0.03 * figure.scale), (0.056, 0.078), person.hair * 0.9)
    figure.limb(neck - 0.03 * UP, neck + 0.03 * UP, (0.06, 0.055), person.skin * 0.85)
    if person.long_hair and figure.cosine >= 0:
        figure.ellipse((x + back, y + 0.035 * figure.scale), (0.056, 0.078), person.hair * 0.9)
    figure.ellipse((x + back, y - 0.008 * figure.scale), (0.054, 0.066), person.hair)
    if figure.cosine < 0.55:  # part of the face is visible
        front = figure.sine * 0.013 * figure.scale
        figure.ellipse((x + front, y + 0.014 * figure.scale), (0.046, 0.053), person.skin * 0.9)
        figure.ellipse((x + front * 1.3 - 0.008 * figure.scale, y + 0.012 * figure.scale), (0.034, 0.042), person.skin)
        for side in (-0.018, 0.018):
            eye = (x + front * 2.2 + side * figure.scale * abs(figure.cosine), y + 0.004 * figure.scale)
            figure.ellipse(eye, (0.006, 0.005), person.hair * 0.7)
        figure.ellipse((x + back * 0.8, y - 0.036 * figure.scale), (0.05, 0.034), person.hair)


@lru_cache(maxsize=512)
def draw_pedestrian(
    seed: int, phase_index: int, heading_deg: int, height_px: int
) -> tuple[Sprite, tuple[float, float]]:
    """Draws one person in one of `PHASES` phases of a step.

    heading_deg: 0 walks away from the viewer, 90 to the right, 180 towards the viewer. The sprite is `height_px` high,
    which includes `MARGIN` above and below. Returns it with the body's left and right end as shares of its width.
    """
    person = draw_person(seed)
    phase = 2 * np.pi * (phase_index % PHASES) / PHASES
    figure = _Figure(person, height_px, float(np.radians(heading_deg)))
    near = 1 if figure.sine > 0 else -1  # walking to the right, the right side is near
    if abs(figure.cosine) > 0.9:  # seen along the road: the leading leg is near
        near = 1 if np.sin(phase) * figure.cosine < 0 else -1
    legs = {1: phase, -1: phase + np.pi}
    for side in (-near, near):
        if side == near:
            _leg(figure, side, legs[side])
            _torso(figure)
            _head(figure)
        else:
            _arm(figure, side, legs[side])
            _leg(figure, side, legs[side])
    _arm(figure, near, legs[near])
    if abs(figure.cosine) > 0.6 and figure.cosine < 0:
        _arm(figure, -near, legs[-near])
    size = (round(height_px * CANVAS_WIDTH), height_px)
    rgba = cv2.resize(cv2.LUT(figure.canvas, SUNLIT), size, interpolation=cv2.INTER_AREA)
    columns = np.flatnonzero(rgba[..., 3].max(axis=0) > 40)
    return Sprite(np.asarray(rgba, np.uint8)), (columns[0] / size[0], (columns[-1] + 1) / size[0])
