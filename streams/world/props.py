"""Objects of a frame: upright pictures, walls along the road and vehicles, in perspective and in painting order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from .ego_motion import View
from .sprites import Box, Image, Sprite, paste, paste_quad
from .vehicles import Vehicle

PIECE_M = 10.0
NEAR_M, FAR_M = 2.5, 230.0


@dataclass(frozen=True, slots=True)
class Item:
    """One object in one frame.

    `opacity`: the share of its box that hides what is behind it; `solid`: a part of the box that is fully opaque.
    """

    ahead_m: float
    box: Box
    paint: Callable[[Image], None]
    opacity: float
    solid: Box | None = None


def paint_in_order(image: Image, items: list[Item]) -> None:
    """Paints the farthest items first, without those that something solid hides."""
    solids: list[Box] = []
    seen = []
    for item in sorted(items, key=lambda item: item.ahead_m):
        x0, y0, x1, y1 = item.box
        x0, x1, y0 = max(x0, 0.0), min(x1, image.shape[1]), max(y0, 0.0)
        if any(a <= x0 and b <= y0 and c >= x1 and d >= y1 for a, b, c, d in solids):
            continue
        seen.append(item)
        if item.solid is not None and item.solid[2] - item.solid[0] > 12:
            solids.append(item.solid)
    for item in reversed(seen):
        item.paint(image)


@dataclass(frozen=True, slots=True)
class Prop:
    """A standing object: upright across the road (s1 == s0), or a wall along it.

    `x` = (left, right) across the road, (foot, top) of a wall; `y` = (bottom, top); all in m.
    """

    sprite: Sprite
    s0: float
    s1: float
    x: tuple[float, float]
    y: tuple[float, float]
    light: float = 1.0
    opacity: float = 0.0


def parked(vehicle: Vehicle, s: float, x: float) -> list[Prop]:
    """A parked vehicle as props."""
    half = vehicle.width_m / 2
    flank = (x - half, x - half + vehicle.taper_m)
    side = Prop(vehicle.mirrored_side, s, s + vehicle.length_m, flank, (0.0, vehicle.height_m), 0.85, 0.8)
    return [side, Prop(vehicle.rear, s, s, (x - half, x + half), (0.0, vehicle.height_m), 0.92, 0.9)]


def vehicle_items(view: View, vehicle: Vehicle, ahead: float, x: float, front: bool) -> list[Item]:
    """A vehicle `ahead` m in front of the camera, centered at `x` m, seen from the front or from behind."""
    items: list[Item] = []
    half = vehicle.width_m / 2
    shadow = view.box(ahead, (x - half * 1.08, x + half * 1.08), (0.0, 0.0))
    thick = 0.9 * view.focal_px / ahead * (1.3 / ahead + 0.02)
    beyond = ahead + vehicle.length_m
    facing = 1.0 if x < 0 else -1.0
    inner = x + facing * half  # the side that faces the camera
    if abs(inner - view.x) > 0.4 and ahead < 90:
        flank = vehicle.side if front else vehicle.mirrored_side
        lean = (inner, inner - facing * vehicle.taper_m)
        side = Prop(flank, ahead + view.s, beyond + view.s, lean, (0.0, vehicle.height_m), 0.85, 0.8)
        items += filter(None, [prop_item(view, side)])
    box = view.box(ahead, (x - half, x + half), (0.0, vehicle.height_m))

    def paint(image: Image) -> None:
        paint_shadow(image, (shadow[0], box[3] - thick * 0.6, shadow[2], box[3] + thick))
        paste(image, vehicle.front if front else vehicle.rear, box)

    items.append(Item(ahead, box, paint, 0.9))
    return items


def pieces(prop: Prop, s: float) -> list[Prop]:
    """Cuts long near walls into pieces, because items are painted in order of distance."""
    length = prop.s1 - prop.s0
    if length < 1.5 * PIECE_M or prop.s0 - s > 3 * PIECE_M:
        return [prop]
    count = round(length / PIECE_M)
    cuts = np.linspace(prop.s0, prop.s1, count + 1)
    sprites = prop.sprite.split(count)
    return [replace(prop, sprite=sprites[i], s0=float(cuts[i]), s1=float(cuts[i + 1])) for i in range(count)]


def prop_item(view: View, prop: Prop) -> Item | None:
    """A prop in perspective; None if it is out of sight."""
    near, far = prop.s0 - view.s, prop.s1 - view.s
    if far < NEAR_M or near > FAR_M:
        return None
    width = view.size[0]
    if prop.s0 == prop.s1:
        box = view.box(near, prop.x, prop.y)
        if box[2] < 0 or box[0] > width or box[2] - box[0] < 0.7 or box[3] - box[1] < 2.5:
            return None
        solid = box if prop.opacity >= 1 else None
        return Item(near, box, lambda image: paste(image, prop.sprite, box, prop.light), prop.opacity, solid)
    cut = max(near, NEAR_M)
    quad = np.empty((4, 2))
    quad[0], quad[3] = view.project(cut, prop.x[1], prop.y[1]), view.project(cut, prop.x[0], prop.y[0])
    quad[1], quad[2] = view.project(far, prop.x[1], prop.y[1]), view.project(far, prop.x[0], prop.y[0])
    low, high = quad.min(axis=0), quad.max(axis=0)
    if high[0] < 0 or low[0] > width or high[0] - low[0] < 1.0:
        return None
    box = (float(low[0]), float(low[1]), float(high[0]), float(high[1]))
    order = max(cut + 0.01, far - 2) if far - near > 6 else cut + 0.01
    top, bottom = float(max(quad[0, 1], quad[1, 1])), float(min(quad[2, 1], quad[3, 1]))
    solid = (box[0], top, box[2], bottom) if prop.opacity >= 1 else None
    hidden = (cut - near) / (far - near)
    return Item(order, box, lambda image: _paint_wall(image, prop, quad, hidden), prop.opacity, solid)


def _paint_wall(image: Image, prop: Prop, quad: NDArray[np.float64], hidden: float) -> None:
    """Paints the part of a wall in front of the camera; `hidden` is the share behind it."""
    sprite = prop.sprite.crop(hidden, 1.0) if hidden > 0.02 else prop.sprite
    paste_quad(image, sprite, quad, prop.light)


@lru_cache(maxsize=1)
def _shadow() -> Sprite:
    y, x = np.mgrid[-1:1:32j, -1:1:64j]
    picture = np.zeros((32, 64, 4), np.uint8)
    picture[..., 3] = np.clip(190 * (1.05 - x**2 - y**2) ** 1.0, 0, 150)
    return Sprite(picture)


def paint_shadow(image: Image, box: Box) -> None:
    """Darkens an ellipse on the road."""
    paste(image, _shadow(), box)
