"""Objects along the road and traffic on it, reproducible from the seed for any place and time.

The road is divided into cells of 40 m and time into cells of 10 s; the content of a cell depends on the seed and the
cell's number alone. Scenery changes over a few hundred meters: houses, parks, woods, open fields.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

from .ego_motion import SETTING, Drift, View
from .props import FAR_M, NEAR_M, Item, Prop, parked, pieces, prop_item, vehicle_items
from .sprites import Image, Sprite, paste
from .vehicles import Vehicle

CELL_M = 40.0
TRAFFIC_CELL_S = 10.0
TOWN_REACH_M = 115.0  # houses hide everything farther away
DECK_M = 9.0  # an overpass's extent along the road


class Roadside:
    """Everything beside and on the road of one drive except signs and pedestrians."""

    def __init__(self, setting: str, seed: int, sprites: dict[str, list[Sprite]], vehicles: list[Vehicle]) -> None:
        self.setting, self.seed, self.kind = SETTING[setting], seed, setting
        self.sprites, self.vehicles = sprites, vehicles
        rng = np.random.default_rng((seed, 11))
        self._trees = Drift(rng, (120.0, 700.0), 1.0)
        self._houses = Drift(rng, (150.0, 900.0), 1.0)
        self._edges = Drift(rng, (100.0, 500.0), 1.0)
        self._parked = Drift(rng, (60.0, 300.0), 1.0)
        self._cell = lru_cache(maxsize=32)(self._make_cell)
        self._traffic = lru_cache(maxsize=16)(self._make_traffic)
        self._lead_gap = Drift(rng, (8.0, 50.0), 0.5)
        self._lead = int(rng.integers(len(vehicles)))

    def trees(self, s: float) -> float:
        """How wooded the road is at `s`, 0..1."""
        return float(1 / (1 + np.exp(-2.2 * self._trees(s))))

    def deck(self, cell: int) -> float | None:
        """Where the overpass of a cell begins; None if it has none."""
        rng = np.random.default_rng((self.seed, cell & 0xFFFFFFFF, 3))
        share = {"motorway": 0.05, "town": 0.025, "country": 0.006}[self.kind]
        return (cell + float(rng.random())) * CELL_M if rng.random() < share else None

    def decks(self, s: float, ahead_m: float = FAR_M) -> list[float]:
        """Where overpasses begin, from a little behind `s` to `ahead_m` in front of it."""
        cells = range(int((s - 2 * DECK_M) // CELL_M), int((s + ahead_m) // CELL_M) + 1)
        return [at for at in map(self.deck, cells) if at is not None]

    def _pick(self, rng: np.random.Generator, *kinds: str) -> Sprite:
        sprites = self.sprites[kinds[int(rng.integers(len(kinds)))]]
        return sprites[int(rng.integers(len(sprites)))]

    def _tree(self, rng: np.random.Generator, s: float, x: float, kinds: tuple[str, ...]) -> Prop:
        sprite = self._pick(rng, *kinds)
        low = sprite.aspect > 1.2
        height = rng.uniform(1.2, 2.6) if low else rng.uniform(5.0, 11.0)
        half = height * sprite.aspect / 2
        x += np.sign(x) * (half * 0.55 if abs(x) < 14 else 0.0)
        light = float(rng.uniform(0.78, 1.12))
        return Prop(sprite, s, s, (x - half, x + half), (-0.1, height), light, 0.0 if low else 0.45)

    def _make_cell(self, cell: int) -> list[Prop]:
        rng = np.random.default_rng((self.seed, cell & 0xFFFFFFFF, 5))
        start = cell * CELL_M
        return {"town": self._town, "country": self._country, "motorway": self._motorway}[self.kind](rng, start)

    def _house(self, rng: np.random.Generator, s: float, x: float, kind: str) -> list[Prop]:
        sprite = self._pick(rng, kind)
        height = sprite.levels[0].shape[0] / 17.0
        length, deep = height * sprite.aspect * rng.uniform(0.95, 1.2), rng.uniform(7, 10)
        light = float(rng.uniform(0.8, 1.08))
        side = 1.0 if x > 0 else -1.0
        end = (min(x, x + side * deep), max(x, x + side * deep))
        return [Prop(sprite, s, s + length, (x, x), (0.0, height), light, 1.0),
                Prop(sprite, s, s, end, (0.0, height * 0.93), light * 0.72, 1.0)]  # fmt: skip

    def _lamp(self, s: float, x: float, side: float, height: float) -> list[Prop]:
        arm = (x - 2.2, x) if side > 0 else (x, x + 2.2)
        top = self.sprites["lamp_right" if side > 0 else "lamp_left"][0]
        pole = self.sprites["pole"][0]
        return [Prop(pole, s, s, (x - 0.07, x + 0.07), (0.0, height), 0.9),
                Prop(top, s, s, arm, (height - 0.1, height + 0.4))]  # fmt: skip

    def _town(self, rng: np.random.Generator, start: float) -> list[Prop]:
        props: list[Prop] = []
        for side, edge in ((1.0, self.setting.right_edge_m), (-1.0, -self.setting.left_edge_m)):
            walk = edge + self.setting.pavement_m
            built = self._houses(start + 1000 * side) > -0.7
            s, last_x, gap = start, 0.0, 1.0
            while s < start + CELL_M:
                if not built or rng.random() < 0.16:
                    for _ in range(2):
                        x = side * (walk + rng.uniform(0.5, 10))
                        props.append(self._tree(rng, s + rng.uniform(0, 6), x, ("round", "bush", "slim")))
                    s += rng.uniform(6, 11)
                    gap = 5.0
                    continue
                x = walk + rng.uniform(0.2, 2.2)
                house = self._house(rng, s, side * x, "house")
                props += house if gap > 0 or x < last_x else house[:1]  # else a neighbor hides the end wall
                last_x, gap = x, float(rng.choice([0.0, 0.0, 1.5, 4.0]))
                s = house[0].s1 + gap
            if not built:
                strip = self.sprites["hedge" if self._edges(start) > 0 else "fence"][0]
                props.append(Prop(strip, start, start + CELL_M, (side * (walk + 0.2),) * 2, (0.0, 1.1), 1.0, 0.9))
            for s in np.arange(start + 3, start + CELL_M, 12.0):
                if rng.random() < 0.75 * self.trees(float(s)):
                    props.append(self._tree(rng, float(s), side * (walk - 1.6), ("round", "slim")))
            props += self._lamp(start + (8 if side > 0 else 28), side * (edge + 0.5), side, 7.5)
        props += self._parked_cars(rng, start)
        return props

    def _parked_cars(self, rng: np.random.Generator, start: float) -> list[Prop]:
        props: list[Prop] = []
        for s in np.arange(start, start + CELL_M, 6.6):
            if self._parked(float(s)) < 0.5 or rng.random() < 0.25:
                continue
            vehicle = self.vehicles[int(rng.integers(len(self.vehicles)))]
            if vehicle.height_m > 3:
                continue
            props += parked(vehicle, float(s), 2.9 + rng.uniform(-0.1, 0.1))
        return props

    def _country(self, rng: np.random.Generator, start: float) -> list[Prop]:
        props: list[Prop] = []
        for side, edge in ((1.0, self.setting.right_edge_m), (-1.0, -self.setting.left_edge_m)):
            density = self.trees(start + 400 * side)
            kinds = ("conifer", "conifer", "slim") if self._houses(start / 3) > 0.4 else ("round", "bush", "slim")
            for _ in range(int(rng.poisson(0.6 + 13 * density**2))):
                x = edge + 3.2 + rng.exponential(4.0 if density > 0.6 else 9.0)
                props.append(self._tree(rng, start + rng.uniform(0, CELL_M), side * x, kinds))
            for _ in range(int(rng.poisson(1.5))):
                x = side * (edge + 1.5 + rng.exponential(3.0))
                props.append(self._tree(rng, start + rng.uniform(0, CELL_M), x, ("bush",)))
            kind = self._edges(start + 200 * side)
            if abs(kind) > 0.6:
                strip = self.sprites["hedge" if kind > 0.9 else "fence" if kind > 0 else "rail"][0]
                x = side * (edge + (0.7 if kind < 0 else 3.4))
                height = 0.8 if kind < 0 else 1.3
                props.append(Prop(strip, start, start + CELL_M, (x, x), (0.0, height), 1.0, 0.5))
            if self._houses(start + 3000 * side) > 0.9 and rng.random() < 0.7:
                props += self._house(rng, start + rng.uniform(0, 20), side * (edge + rng.uniform(6, 14)), "cottage")
        return props

    def _motorway(self, rng: np.random.Generator, start: float) -> list[Prop]:
        right, left = self.setting.right_edge_m, self.setting.left_edge_m
        end = start + CELL_M
        props = [Prop(self.sprites["rail"][0], start, end, (right + 0.3,) * 2, (0.0, 0.85), 1.0, 0.4)]
        median = "hedge" if self._edges(start) > 0.3 else "concrete"
        props.append(Prop(self.sprites[median][0], start, end, (left - 0.5,) * 2, (0.0, 1.12), 1.0, 1.0))
        if self._houses(start) > 0.8:
            props.append(Prop(self.sprites["barrier"][0], start, end, (right + 4.2,) * 2, (0.0, 4.2), 1.0, 1.0))
        for side, near in ((1.0, right + 6.0), (-1.0, -left + 15.0)):
            density = self.trees(start + 700 * side)
            kinds = ("round", "bush", "slim") if self._parked(start / 4) < 0.5 else ("conifer", "bush")
            for _ in range(int(rng.poisson(0.5 + 8 * density))):
                x = side * (near + rng.exponential(9.0))
                props.append(self._tree(rng, start + rng.uniform(0, CELL_M), x, kinds))
        if rng.random() < 0.3:
            props += self._lamp(start, right + 1.0, 1.0, 10.0)
        return props

    def _make_traffic(self, cell: int) -> list[tuple[float, float, float, int, bool]]:
        """Meetings: time at which the vehicle is abreast, relative speed m/s, x, vehicle, seen from the front."""
        rng = np.random.default_rng((self.seed, cell & 0xFFFFFFFF, 9))
        start, speed, count = cell * TRAFFIC_CELL_S, self.setting.speed_m_s, len(self.vehicles)
        busy = 0.5 + rng.random()
        meetings = []
        rate = {"motorway": 6.0, "town": 2.2, "country": 1.3}[self.kind]
        left = {"motorway": (-9.8, -13.4), "town": (-3.3,), "country": (-3.3,)}[self.kind]
        for _ in range(int(rng.poisson(rate * busy))):
            time_s, x = start + rng.uniform(0, TRAFFIC_CELL_S), float(rng.choice(left)) + rng.uniform(-0.3, 0.3)
            meetings.append((float(time_s), -speed * 2 + rng.uniform(-3, 3), x, int(rng.integers(count)), True))
        if self.kind == "motorway":
            for lane, speeds in ((3.6, (-6.0, -2.5)), (-3.6, (2.5, 8.0))):
                if rng.random() < 0.75:
                    time_s = start + rng.uniform(0, TRAFFIC_CELL_S)
                    meetings.append((float(time_s), float(rng.uniform(*speeds)), lane, int(rng.integers(count)), False))
        return meetings

    def traffic(self, view: View, time_s: float) -> list[Item]:
        """Other vehicles at a time, including the one ahead in the same lane."""
        items = vehicle_items(view, self.vehicles[self._lead], 42 * np.exp(self._lead_gap(time_s)), 0.1, False)
        here = int(time_s // TRAFFIC_CELL_S)
        for cell in range(here - 6, here + 7):
            for meet_s, relative, x, index, front in self._traffic(cell):
                ahead = relative * (time_s - meet_s)
                if NEAR_M < ahead < 180:
                    items += vehicle_items(view, self.vehicles[index], ahead, x, front)
        return items

    def items(self, view: View, reach_m: float = FAR_M) -> list[Item]:
        """All objects along the road up to `reach_m` ahead."""
        items: list[Item] = []
        reach_m = min(reach_m, FAR_M if self.kind != "town" else TOWN_REACH_M)
        for cell in range(int(view.s // CELL_M) - 1, int((view.s + reach_m) // CELL_M) + 1):
            for prop in self._cell(cell):
                items += filter(None, (prop_item(view, piece) for piece in pieces(prop, view.s)))
        for at in self.decks(view.s, reach_m):
            items += self._deck_items(view, at - view.s)
        return items

    def _deck_items(self, view: View, ahead: float) -> list[Item]:
        near, far = max(ahead, 1.0), ahead + DECK_M
        if far < 1.5:
            return []
        low, high, reach = 5.2, 6.9, 45.0
        front, back = view.box(near, (-reach, reach), (low, high)), view.box(far, (-reach, reach), (low, high))
        beneath = np.array([(front[0], front[3]), (front[2], front[3]), (back[2], back[3]), (back[0], back[3])])
        concrete = self.sprites["concrete"][0]
        right, left = self.setting.right_edge_m + 3.2, self.setting.left_edge_m - 4.0

        def paint(image: Image) -> None:
            cv2.fillPoly(image, [np.round(beneath * 16).astype(np.int64).clip(-(2**20), 2**20).astype(np.int32)],
                         (58, 58, 60), cv2.LINE_AA, 4)  # fmt: skip
            for x in (left, right):
                if ahead + 4 > NEAR_M:
                    paste(image, concrete, view.box(ahead + 4, (x - 0.7, x + 0.7), (0.0, low)), 0.6)
            if ahead > 1.0:
                paste(image, concrete, front, 0.92)

        return [Item(near, (front[0], front[1], front[2], front[3]), paint, 0.0)]
