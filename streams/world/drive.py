"""Procedural drives with exact ground truth: a camera on a road, approaching signs, walking people.

No photograph is used. A frame is a pure function of the drive's arguments and its number, so a drive of any length
costs nothing until a frame is drawn. Clean drives are not constant: light, exposure, speed, curves, shake and scenery
change within them about as much as between the seeds of one setting.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np

from .ego_motion import SETTINGS, Drift, EgoMotion, View
from .people import CANVAS_WIDTH, MARGIN, PHASES, draw_pedestrian, draw_person
from .props import Item, paint_in_order, paint_shadow
from .road_surface import RoadSurface
from .roadside import Roadside
from .scenery import draw_scenery
from .signs import SIGN_LABELS, draw_sign
from .sprites import Box, Image, Sprite, paste
from .vehicles import draw_vehicle

SMALLEST_SIGN_PX, SMALLEST_PEDESTRIAN_PX = 8.0, 16.0  # smaller ones are drawn, but absent from the truth
WALK_M_PER_CYCLE = 1.45
SIGN_SPRITE_PX = 128
BEFORE_SIGN_PX = 12.0  # swap_candidates counts frames before the swap from this size on


@dataclass(frozen=True, slots=True)
class TruthBox:
    """One object in one frame.

    `identity` is unique within a drive over both kinds; `label` is one of `SIGN_LABELS` or "pedestrian"; `xyxy` px is
    clipped to the picture; `visibility` is the share of the object inside the picture and not behind nearer objects,
    0..1, estimated from boxes.
    """

    kind: Literal["sign", "pedestrian"]
    identity: int
    label: str
    xyxy: Box
    visibility: float


@dataclass(frozen=True, slots=True)
class Swap:
    """From frame `at_seq` on the sign `identity` shows `label`."""

    identity: int
    at_seq: int
    label: str


@dataclass(frozen=True, slots=True)
class _Sign:
    identity: int
    label: str
    seed: int
    s: float
    x: float
    low_m: float  # lower edge of the plate
    side_m: float


@dataclass(frozen=True, slots=True)
class _Walker:
    """A person who walks from (s, x) at `from_s` until `until_s`, and stands before and after."""

    identity: int
    seed: int
    s: float
    x: float
    velocity: tuple[float, float]  # m/s along the road and to the right
    from_s: float
    until_s: float


class Drive:
    """One drive of `frames` frames, numbered from 0.

    setting: one of `SETTINGS`. rate_hz: frames per second of capture time. size: (width, height) px, best 16:9. Raises
    `ValueError` for an unknown setting or a swap of a sign that does not exist, `IndexError` for a frame outside the
    drive.
    """

    def __init__(
        self,
        setting: str,
        seed: int,
        frames: int,
        rate_hz: float = 5.0,
        size: tuple[int, int] = (960, 540),
        swap: Swap | None = None,
    ) -> None:
        if setting not in SETTINGS:
            raise ValueError(f"setting must be one of {', '.join(SETTINGS)}, got {setting!r}")
        self.setting, self.seed, self.frames, self.rate_hz, self.size, self.swap = (
            setting, seed, frames, rate_hz, size, swap)  # fmt: skip
        key = (seed, SETTINGS.index(setting))
        rng = np.random.default_rng(key)
        self._motion = EgoMotion(setting, rng, size)
        self._base_ev = float(rng.uniform(-0.08, 0.08)) + (0.15 if setting == "town" else 0.0)
        colors, ground, sprites = draw_scenery(setting, rng)
        kinds = ["car"] * 6 + ["van"] * 2 + ["lorry"] * (2 if setting == "motorway" else 1)
        vehicles = [draw_vehicle(kind, rng) for kind in kinds]
        self._pole = sprites["pole"][0]
        self._roadside = Roadside(setting, int(rng.integers(1 << 31)), sprites, vehicles)
        self._surface = RoadSurface(setting, size, colors, ground, rng)
        self._canopy = Drift(rng, (9.0, 60.0), 0.25)
        self._signs = self._plan_signs(rng)
        self._walkers = self._plan_walkers(rng)
        self._walker_from = np.array([w.from_s for w in self._walkers])
        self._sign_s = np.array([sign.s for sign in self._signs])
        self._face = lru_cache(maxsize=64)(lambda label, seed: Sprite(draw_sign(label, SIGN_SPRITE_PX, seed)))
        if swap is not None and swap.identity not in {sign.identity for sign in self._signs}:
            raise ValueError(f"swap must name a sign of this drive (0 to {len(self._signs) - 1}), got {swap.identity}")

    def _plan_signs(self, rng: np.random.Generator) -> list[_Sign]:
        road = self._motion.setting
        signs: list[_Sign] = []
        meet_s = float(rng.uniform(2.5, 6.0))  # when the camera passes it
        while meet_s < self.frames / self.rate_hz + 12:
            x = float(rng.uniform(*road.sign_x_m))
            if self.setting != "motorway" and rng.random() < 0.15:
                x = road.left_edge_m - (x - road.right_edge_m)
            label = SIGN_LABELS[int(rng.integers(len(SIGN_LABELS)))]
            low, side = float(rng.uniform(1.8, 2.4)), float(rng.uniform(*road.sign_side_m))
            if self.setting == "motorway":
                low += 0.4
            seed = int(rng.integers(1 << 31))
            signs.append(_Sign(len(signs), label, seed, self._motion.place_m(meet_s), x, low, side))
            meet_s += float(rng.uniform(*road.sign_every_s))
        return signs

    def _plan_walkers(self, rng: np.random.Generator) -> list[_Walker]:
        road = self._motion.setting
        walkers: list[_Walker] = []
        if road.pedestrian_every_s is None:
            return []
        right, left = road.right_edge_m, road.left_edge_m
        meet_s = float(rng.uniform(0, 4))
        while meet_s < self.frames / self.rate_hz + 15:
            s = self._motion.place_m(meet_s)
            seed, pace = int(rng.integers(1 << 31)), float(rng.normal(1.35, 0.15))
            if rng.random() < 0.28 and self.setting == "town":
                x, end_x = (right + 0.7, left - 0.8) if rng.random() < 0.5 else (left - 0.8, right + 0.7)
                until_s = meet_s - float(rng.uniform(1.3, 3.0))  # is across before the camera arrives
                from_s = until_s - abs(end_x - x) / pace
                velocity = (0.0, (end_x - x) / (until_s - from_s))
            else:
                inset = float(rng.uniform(0.6, road.pavement_m - 0.3)) if road.pavement_m else 0.6
                x = right + inset if rng.random() < 0.6 else left - inset
                velocity = (float(rng.choice([-1.0, 1.0])) * pace if rng.random() < 0.88 else 0.0, 0.0)
                from_s, until_s = meet_s - 16, meet_s + 3
                s -= velocity[0] * 16
            identity = len(self._signs) + len(walkers)
            walkers.append(_Walker(identity, seed, s, x, velocity, from_s, until_s))
            meet_s += float(rng.uniform(*road.pedestrian_every_s))
        return walkers

    def _time_s(self, seq: int) -> float:
        if not 0 <= seq < self.frames:
            raise IndexError(f"frame must be in 0..{self.frames - 1}, got {seq}")
        return seq / self.rate_hz

    def _label(self, sign: _Sign, seq: int) -> str:
        swap = self.swap
        return swap.label if swap and swap.identity == sign.identity and seq >= swap.at_seq else sign.label

    def _sign_item(self, view: View, sign: _Sign, label: str) -> Item | None:
        ahead = sign.s - view.s
        if not 3.0 < ahead < 200:
            return None
        half = sign.side_m / 2
        box = view.box(ahead, (sign.x - half, sign.x + half), (sign.low_m, sign.low_m + sign.side_m))
        if box[2] <= 0 or box[0] >= view.size[0]:
            return None
        pole = view.box(ahead, (sign.x - 0.04, sign.x + 0.04), (0.0, sign.low_m + sign.side_m * 0.9))

        def paint(image: Image) -> None:
            paste(image, self._pole, (pole[0], pole[1], max(pole[2], pole[0] + 1.0), pole[3]))
            paste(image, self._face(label, sign.seed), box)

        return Item(ahead, box, paint, 0.8)

    def _walker_item(self, view: View, walker: _Walker, time_s: float) -> Item | None:
        walked_s = float(np.clip(time_s - walker.from_s, 0, walker.until_s - walker.from_s))
        ahead = walker.s + walker.velocity[0] * walked_s - view.s
        if not 3.5 < ahead < 85:
            return None
        x = walker.x + walker.velocity[1] * walked_s
        person = draw_person(walker.seed)
        cycles = np.hypot(*walker.velocity) * walked_s / WALK_M_PER_CYCLE
        u, foot = view.project(ahead, x, 0.0)
        tall = person.stature_m * view.focal_px / ahead
        away = np.arctan2(x - view.x, ahead)  # the angle at which the camera sees the person
        course = np.arctan2(walker.velocity[1], walker.velocity[0] or (1e-6 if walker.seed % 2 else -1e-6))
        heading = round(float(np.degrees(course - away)) / 10) * 10 % 360
        # a standing person has the legs together
        phase = round(cycles * PHASES) % PHASES if 0 < walked_s < walker.until_s - walker.from_s else 0
        sprite, (left, right) = draw_pedestrian(walker.seed, phase, heading, 160 if tall < 150 else 288)
        height = tall * (1 + 2 * MARGIN)
        half = height * CANVAS_WIDTH / 2
        body = (u - half + left * 2 * half, foot - tall, u - half + right * 2 * half, foot)
        if body[2] <= 0 or body[0] >= view.size[0]:
            return None

        def paint(image: Image) -> None:
            paint_shadow(image, (body[0] - 0.1 * tall, foot - 0.025 * tall, body[2] + 0.14 * tall, foot + 0.045 * tall))
            paste(image, sprite, (u - half, foot + MARGIN * tall - height, u + half, foot + MARGIN * tall))

        return Item(ahead, body, paint, 0.7)

    def _subjects(self, view: View, seq: int, people: bool = True) -> list[tuple[_Sign | _Walker, Item]]:
        """The signs of a frame, and with `people` its pedestrians."""
        time_s = self._time_s(seq)
        first, last = np.searchsorted(self._sign_s, (view.s, view.s + 200))
        found: list[tuple[_Sign | _Walker, Item | None]]
        found = [(sign, self._sign_item(view, sign, self._label(sign, seq))) for sign in self._signs[first:last]]
        if people:
            near = [self._walkers[i] for i in np.flatnonzero(np.abs(self._walker_from - time_s + 6) < 26)]
            found += [(walker, self._walker_item(view, walker, time_s)) for walker in near]
        return [(subject, item) for subject, item in found if item is not None]

    def truth(self, seq: int, people: bool = True) -> list[TruthBox]:
        """The signs of a frame that are at least partly inside the picture, and with `people` its pedestrians.

        Without `people`, these hide no sign either.
        """
        time_s = self._time_s(seq)
        view = self._motion.view(time_s)
        subjects = self._subjects(view, seq, people)
        reach_m = max((item.ahead_m for _, item in subjects), default=0.0)
        others = self._roadside.items(view, reach_m) + self._roadside.traffic(view, time_s)
        others += [item for _, item in subjects]
        boxes = []
        for subject, item in subjects:
            sign = isinstance(subject, _Sign)
            smallest = SMALLEST_SIGN_PX if sign else SMALLEST_PEDESTRIAN_PX
            x0, y0, x1, y1 = item.box
            inside = (max(x0, 0.0), max(y0, 0.0), min(x1, float(self.size[0])), min(y1, float(self.size[1])))
            if y1 - y0 < smallest or inside[2] - inside[0] < 2 or inside[3] - inside[1] < 2:
                continue
            visibility = _visibility(item, inside, others)
            label = self._label(subject, seq) if isinstance(subject, _Sign) else "pedestrian"
            kind: Literal["sign", "pedestrian"] = "sign" if sign else "pedestrian"
            if visibility > 0.05:
                boxes.append(TruthBox(kind, subject.identity, label, inside, visibility))
        return boxes

    def image(self, seq: int) -> Image:
        """The picture of a frame: (H, W, 3) uint8 RGB."""
        time_s = self._time_s(seq)
        view, light = self._motion.view(time_s), self._motion.light(time_s)
        decks = [at - view.s for at in self._roadside.decks(view.s)]
        wooded = self._roadside.trees(view.s + 8)
        image = self._surface.paint(view, light, wooded, decks)
        items = self._roadside.items(view) + self._roadside.traffic(view, time_s)
        items += [item for _, item in self._subjects(view, seq)]
        paint_in_order(image, items)
        shade = 0.16 * (wooded - 0.5) * (0.4 + light.sun)
        under = sum(float(np.exp(-(((ahead + 1) / 9) ** 2))) for ahead in decks)
        exposure_ev = self._base_ev + light.exposure_ev - shade - 0.35 * under
        return self._surface.expose(image, 0.5 * float(np.tanh(exposure_ev / 0.5)), light.warmth, seq)

    def swap_candidates(
        self, min_before: int = 8, min_after: int = 6, min_side_px: float = 18.0
    ) -> list[tuple[int, int]]:
        """(identity, at_seq) of swaps that a monitor can reasonably detect, one per sign.

        Before `at_seq` the sign is in at least `min_before` frames with a side of 12 px or more, from it on in at
        least `min_after` with a side of `min_side_px` or more; all of them at least 70 % visible, ignoring
        pedestrians.
        """
        seen: dict[int, list[tuple[int, float]]] = {}
        for seq in range(self.frames):
            for box in self.truth(seq, people=False):
                side_px = box.xyxy[3] - box.xyxy[1]
                if box.visibility >= 0.7 and side_px >= BEFORE_SIGN_PX:
                    seen.setdefault(box.identity, []).append((seq, side_px))
        candidates = []
        for identity, frames in sorted(seen.items()):
            large = [index for index, (_, side_px) in enumerate(frames) if side_px >= min_side_px]
            at = max(min_before, large[0]) if large else len(frames)
            if len(frames) - at >= min_after:
                candidates.append((identity, frames[at][0]))
        return candidates


def _visibility(item: Item, inside: Box, others: list[Item]) -> float:
    """The share of an item's box inside the picture and not behind nearer boxes, on a grid of 8 x 8."""
    x0, y0, x1, y1 = item.box
    xs, ys = np.meshgrid(x0 + (np.arange(8) + 0.5) / 8 * (x1 - x0), y0 + (np.arange(8) + 0.5) / 8 * (y1 - y0))
    clear = ((xs > inside[0]) & (xs < inside[2]) & (ys > inside[1]) & (ys < inside[3])) * 1.0
    for other in others:
        left, top, right, bottom = other.box
        if other.opacity == 0 or other.ahead_m >= item.ahead_m or left > x1 or right < x0 or top > y1 or bottom < y0:
            continue
        clear = clear * (1 - other.opacity * ((xs > left) & (xs < right) & (ys > top) & (ys < bottom)))
    return float(clear.mean())
