"""The pictures of a drive, drawn once: skies, road surface, trees, houses, rails, lamps.

Everything comes from a random generator; no photograph is used.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from .ego_motion import SETTING, Setting
from .sprites import Image, Sprite, fill_polygon, value_noise

Floats32 = NDArray[np.float32]
Color = NDArray[np.float64]

GROUND_HALF_M = 15.0  # the ground's picture reaches this far to both sides
GROUND_PERIOD_M = 48.0  # and repeats along the road
GROUND_ACROSS_M, GROUND_ALONG_M = 0.02, 0.06  # m per px of its finest level
SHADOW_HALF_M, SHADOW_PERIOD_M, SHADOW_PX_M = 32.0, 96.0, 0.25


@dataclass(frozen=True, slots=True)
class Palette:
    """The colors of one drive, RGB 0..255."""

    asphalt: Color
    grass: Color
    dry: Color
    leaf: Color
    sky: Color
    horizon: Color
    wall: Color
    roof: Color


def palette(rng: np.random.Generator) -> Palette:
    """Draws the colors of a drive; they vary between drives about as much as light does within one."""

    def near(*rgb: float, spread: float = 9.0) -> Color:
        return np.asarray(rgb) + rng.uniform(-spread, spread) + rng.uniform(-spread, spread, 3) * 0.6

    return Palette(
        asphalt=near(104, 104, 107, spread=3) * rng.uniform(0.92, 1.06),
        grass=near(92, 112, 52),
        dry=near(160, 146, 92),
        leaf=near(58, 82, 36),
        sky=near(92, 140, 196),
        horizon=near(196, 212, 226),
        wall=near(176, 160, 140, spread=14),
        roof=near(122, 76, 62, spread=14),
    )


def _clip(picture: NDArray[np.floating]) -> Image:
    return np.asarray(np.clip(picture, 0, 255), np.uint8)


def draw_skies(size: tuple[int, int], setting: str, colors: Palette, rng: np.random.Generator) -> tuple[Image, Image]:
    """Two panoramas (H, 2 W, 3) of the same hills, under a fair and under an overcast sky; they wrap around.

    size (W, H): width of the picture, and rows above the horizon with a margin for shaking.
    """
    width, height = size[0] * 2, size[1]
    up = np.linspace(1, 0, height, dtype=np.float32)[:, None, None]  # 1 at the zenith
    # Clouds lie on a ceiling: flatter towards the horizon.
    ceiling = value_noise((height, width), 7, rng, octaves=6)
    flat = height * 0.42 / (0.2 + np.linspace(1, 0, height, dtype=np.float32))
    columns = np.broadcast_to(np.arange(width, dtype=np.float32), (height, width))
    lines = np.ascontiguousarray(np.broadcast_to(flat[:, None], (height, width)))
    clouds = cv2.remap(ceiling, np.ascontiguousarray(columns), lines, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
    cover = np.clip((clouds - 0.15) * 0.9, 0, 1)[..., None]
    shade = 240 + 8 * np.roll(clouds, 5, axis=0)[..., None] - 46 * cover * cover
    fair = colors.horizon * (1 - up) + colors.sky * up
    fair = fair * (1 - cover * 0.9) + shade * cover * 0.9 * np.array([1.0, 1.0, 1.02])
    gray = (192 - 34 * up) + 14 * clouds[..., None]
    overcast = gray * np.array([0.97, 1.0, 1.04])
    skies = []
    ridge_noise = value_noise((8, width), 5, rng, octaves=6)[0]
    near_noise = value_noise((8, width), 40, rng, octaves=5)[0]
    texture = value_noise((height, width), 160, rng, octaves=2)[..., None]
    rows = height - 1 - np.arange(height, dtype=np.float32)[:, None]
    unit = size[0] / 960
    for plain in (fair, overcast):
        hills = np.clip(rows - unit * (13 + 8 * ridge_noise), -0.5, 0.5)[..., None] + 0.5
        hill_color = colors.leaf * 0.5 + colors.horizon * 0.42 + 3 * texture
        sky = hill_color * (1 - hills) + plain * hills
        tall, rough = (9, 3.2) if setting != "town" else (15, 5)
        line = np.clip(rows - unit * (tall + rough * near_noise), -0.5, 0.5)[..., None] + 0.5
        line_color = colors.leaf * 0.85 + (34 if setting == "town" else 16) + 9 * texture
        skies.append(_clip(line_color * (1 - line) + sky * line))
    return skies[0], skies[1]


def _stripe(across: NDArray[Any], center_m: float | NDArray[Any], width_m: float) -> NDArray[Any]:
    """1 on a stripe along the road, 0 beside it, with an edge of 3 cm."""
    return np.clip((width_m / 2 - np.abs(across - center_m)) / 0.03 + 0.5, 0, 1)


def _asphalt(
    setting: Setting, colors: Palette, rng: np.random.Generator, across: NDArray[Any], coarse: Floats32, fine: Floats32
) -> NDArray[Any]:
    """Asphalt (rows, columns, 3) with wheel tracks, patches and sealed cracks."""
    rows, columns = coarse.shape
    wear = np.zeros(columns)
    for x in (-0.8, 0.8, -0.8 + 2 * setting.lines_m[0], 0.8 + 2 * setting.lines_m[0]):
        wear += np.exp(-(((across - x) / 0.35) ** 2))
    gray = 1 + 0.03 * coarse + 0.055 * fine - 0.06 * wear
    ground: NDArray[Any] = gray[..., None] * colors.asphalt.astype(np.float32)
    for _ in range(7):
        row, column = rng.integers(0, rows), rng.integers(columns // 4, columns * 3 // 4)
        long, wide = rng.integers(20, 160), rng.integers(40, 200)
        ground[row : row + long, column : column + wide] *= rng.uniform(0.84, 1.1)
    for x in rng.uniform(setting.left_edge_m, setting.right_edge_m, 2):
        path = x + 0.18 * value_noise((8, rows), 6, rng)[0]
        broken = np.clip(0.3 + value_noise((8, rows), 12, rng)[1], 0, 1)[:, None]
        ground *= 1 - 0.25 * (broken * _stripe(across[None, :], path[:, None], 0.04))[..., None].astype(np.float32)
    return ground


def draw_ground(setting: Setting, colors: Palette, rng: np.random.Generator) -> list[Image]:
    """The road from above: RGBA levels (rows along, columns across), alpha = share of verge.

    Each level has a quarter of the rows and from the third on half of the columns of the one before: near the horizon
    a row of the picture covers meters along the road, but not across.
    """
    shape = (int(GROUND_PERIOD_M / GROUND_ALONG_M), int(2 * GROUND_HALF_M / GROUND_ACROSS_M))
    across = (np.arange(shape[1]) + 0.5) * GROUND_ACROSS_M - GROUND_HALF_M
    along = (np.arange(shape[0]) + 0.5) * GROUND_ALONG_M
    coarse, fine = value_noise(shape, 24, rng, octaves=4), rng.normal(size=shape).astype(np.float32)
    ground = _asphalt(setting, colors, rng, across, coarse, fine)
    dashes = (along % setting.dash_m[1] < setting.dash_m[0]).astype(np.float64)[:, None]
    paint = np.zeros(shape)
    for x in setting.lines_m:
        paint += _stripe(across, x, 0.14)[None, :] * dashes
    for x in setting.solid_lines_m:
        paint += _stripe(across, x, 0.17)[None, :]
    worn = (paint * np.clip(0.86 + 0.12 * coarse, 0, 1))[..., None].astype(np.float32)
    ground = ground * (1 - worn) + 214 * worn
    left, right = setting.left_edge_m, setting.right_edge_m
    if setting.pavement_m:
        for edge, side in ((left, -1), (right, 1)):
            slabs = 1 + 0.04 * coarse + 0.045 * fine - 0.12 * (along % 0.6 < 0.06)[:, None]
            walk = _stripe(across, edge + side * setting.pavement_m / 2, setting.pavement_m)[None, :, None]
            tone = (colors.asphalt * 0.5 + 84)[None, None, :] * slabs[..., None]
            ground = ground * (1 - walk) + tone * walk
            kerb = _stripe(across, edge, 0.16)[None, :, None]
            ground = ground * (1 - kerb) + (172 - 20 * coarse[..., None]) * kerb
    reach = setting.pavement_m
    ragged = 0.1 * coarse if reach == 0 else 0.0
    outside = np.maximum(across - right - reach, left - reach - across)[None, :] + ragged
    verge = np.clip(outside / 0.12, 0, 1)[..., None].astype(np.float32)
    blades = 1 + 0.13 * coarse + 0.2 * fine
    ground = ground * (1 - verge) + (blades[..., None] * colors.grass) * verge
    picture = _clip(np.dstack([ground, np.broadcast_to(verge * 255, (*shape, 1))]))
    levels = [picture]
    for index in range(1, 5):
        height, width = levels[-1].shape[:2]
        smaller = (width if index < 2 else width // 2, max(2, height // 4))
        levels.append(np.asarray(cv2.resize(levels[-1], smaller, interpolation=cv2.INTER_AREA), np.uint8))
    return levels


def draw_shadows(rng: np.random.Generator) -> Image:
    """Dappled shade of trees from above: (rows along, columns across) uint8, 255 = full shade."""
    shape = (int(SHADOW_PERIOD_M / SHADOW_PX_M), int(2 * SHADOW_HALF_M / SHADOW_PX_M))
    return _clip(255 / (1 + np.exp(-4 * (value_noise(shape, 9, rng, octaves=4) - 0.25))))


def draw_tree(colors: Palette, rng: np.random.Generator, kind: str) -> Sprite:
    """A tree ("round", "slim", "conifer") or a bush, lit from the upper left."""
    width, height = {"round": (220, 256), "slim": (96, 256), "conifer": (130, 256), "bush": (256, 150)}[kind]
    y, x = np.mgrid[0 : 1 : height * 1j, -1 : 1 : width * 1j]
    lobes = value_noise((height, width), 3 if kind in ("round", "bush") else 2, rng, octaves=2)
    leaves = value_noise((height, width), 14, rng, octaves=4)
    top, bottom = rng.uniform(0.01, 0.05), {"round": 0.76, "slim": 0.9, "conifer": 0.93, "bush": 1.02}[kind]
    down = np.clip((y - top) / (bottom - top), 0, 1)
    if kind == "conifer":
        reach = 0.9 * down * (1 - 0.25 * ((down * 7) % 1))
    elif kind == "bush":
        reach = np.sqrt(np.clip(1 - (1 - down) ** 2, 0, 1)) * 0.85
    else:
        reach = 0.82 * np.sin(np.pi * np.clip(down * 0.96 + 0.02, 0, 1)) ** 0.6
    within = reach * (1 + 0.17 * lobes) - np.abs(x) + 0.085 * (leaves - 0.3) - 0.03
    crown = np.clip(within * width / 6, 0, 1) * (y > top) * (y < bottom + 0.03 * leaves)
    # edges of the foliage catch the light from the upper left
    relief = leaves - np.roll(leaves, (3, 4), axis=(0, 1))
    bulk = lobes - np.roll(lobes, (14, 14), axis=(0, 1))
    lit = 0.86 + 0.16 * relief + 0.1 * bulk - 0.2 * x - 0.34 * (down - 0.4) + 0.08 * leaves
    leaf = colors.leaf * rng.uniform(0.85, 1.25) + rng.uniform(-10, 10, 3)
    foliage = np.clip(lit, 0.25, 1.7)[..., None] * leaf
    stem = np.clip((0.035 + 0.02 * y - np.abs(x + 0.02 * lobes)) * width / 2, 0, 1) * (y > 0.3) * (kind != "bush")
    bark = np.array((80.0, 68.0, 56.0)) * rng.uniform(0.7, 1.3) * (1 - 0.5 * x / 0.05 * 0.3)[..., None]
    rgb = np.where(crown[..., None] > 0.05, foliage, np.where(stem[..., None] > 0, bark, foliage))
    return Sprite(_clip(np.dstack([rgb, 255 * np.maximum(crown, stem)])))


def _windows(wall: NDArray[np.float64], rng: np.random.Generator, floors: int, columns: int) -> None:
    height, width = wall.shape[:2]
    tall, wide = height / floors, width / columns
    frame = rng.uniform(150, 235)
    for floor in range(floors):
        for column in range(columns):
            x, y = (column + 0.5) * wide, (floor + 0.5) * tall
            half_w, half_h = wide * rng.uniform(0.22, 0.26), tall * 0.3
            if floor == floors - 1:
                half_w, half_h = wide * rng.choice([0.18, 0.42]), tall * 0.38
                y += tall * 0.1
            x0, x1, y0, y1 = int(x - half_w), int(x + half_w), int(y - half_h), int(y + half_h)
            wall[y0 - 2 : y1 + 2, x0 - 2 : x1 + 2] = frame
            glass = np.linspace(rng.uniform(60, 130), rng.uniform(25, 60), y1 - y0)[:, None, None]
            wall[y0:y1, x0:x1] = glass * np.array([0.9, 1.0, 1.1])
            if rng.random() < 0.4:  # a blind
                wall[y0 : y0 + (y1 - y0) // int(rng.integers(2, 5)), x0:x1] = rng.uniform(120, 210)
            wall[y0:y1, (x0 + x1) // 2] = frame


def draw_house(colors: Palette, rng: np.random.Generator, floors: int, columns: int) -> Sprite:
    """The long side of a house: a strip of roof, floors of windows, the ground floor with doors or shops."""
    height, width, roof = 52 * floors + 44, 50 * columns, 40
    tone = colors.wall * rng.uniform(0.62, 1.25) + rng.uniform(-15, 15, 3)
    stains = value_noise((height, width), 8, rng)[..., None]
    grain = rng.normal(0, 4, (height, width, 1))
    picture = tone * (1 + 0.05 * stains) + grain
    picture[-14:] *= 0.8
    _windows(picture[roof:], rng, floors, columns)
    tiles = (np.arange(roof) % 5 < 1)[:, None, None] * -12.0
    picture[:roof] = colors.roof * rng.uniform(0.7, 1.2) + tiles + 6 * stains[:roof] + grain[:roof]
    picture[roof : roof + 4] *= 0.6
    return Sprite(np.dstack([_clip(picture), np.full((height, width), 255, np.uint8)]))


def draw_strip(kind: str, colors: Palette, rng: np.random.Generator) -> Sprite:
    """A piece of "rail", "hedge", "fence", "barrier" or "concrete", to be placed along the road."""
    height, width = 64, 512
    picture = np.zeros((height, width, 4))
    rows, columns = np.arange(height)[:, None], np.arange(width)[None, :]
    noise, grain = value_noise((height, width), 16, rng, octaves=4), rng.normal(size=(height, width))
    if kind == "rail":
        fold = 150 + 40 * np.cos((rows - 10) / 30 * 2 * np.pi * 1.5)
        picture[..., :3] = (fold + 6 * noise)[..., None] * np.array([0.98, 1.0, 1.02])
        post = (columns % 128 < 7) & (rows >= 30)
        picture[np.broadcast_to(post, (height, width)), :3] = 96
        picture[..., 3] = np.where((rows < 32) | post, 255, 0)
    elif kind == "hedge":
        picture[..., :3] = colors.leaf * (0.95 + 0.22 * noise + 0.16 * grain - 0.35 * rows / height)[..., None]
        picture[..., 3] = np.where(rows > 7 + 4 * noise, 255, 0)
    elif kind == "fence":
        tone = np.array((126.0, 104.0, 80.0)) * rng.uniform(0.8, 1.2)
        picture[..., :3] = tone * (1 + 0.1 * noise + 0.06 * grain)[..., None]
        bars = (columns % 64 < 5) | (np.abs(rows - 16) < 4) | (np.abs(rows - 40) < 4)
        picture[..., 3] = np.where(bars, 255, 0)
    else:
        tone = np.array((158.0, 156.0, 150.0)) if kind == "concrete" else np.array((128.0, 138.0, 118.0))
        seams = np.where(columns % 128 < 3, 0.75, 1.0) * np.where(rows % 22 < 2, 0.9, 1.0)
        picture[..., :3] = tone * (seams * (1 + 0.06 * noise + 0.03 * grain - 0.12 * rows / height))[..., None]
        picture[..., 3] = 255
    return Sprite(_clip(picture))


def draw_scenery(setting: str, rng: np.random.Generator) -> tuple[Palette, list[Image], dict[str, list[Sprite]]]:
    """The colors, the ground and the roadside of one drive."""
    colors = palette(rng)
    ground = draw_ground(SETTING[setting], colors, rng)
    sprites = {
        kind: [draw_tree(colors, rng, kind) for _ in range(count)]
        for kind, count in (("round", 4), ("slim", 2), ("conifer", 2), ("bush", 3))
    }
    sprites["house"] = [draw_house(colors, rng, int(rng.integers(2, 5)), int(rng.integers(3, 7))) for _ in range(8)]
    sprites["cottage"] = [draw_house(colors, rng, 2, int(rng.integers(2, 5))) for _ in range(3)]
    for kind in ("rail", "hedge", "fence", "barrier", "concrete"):
        sprites[kind] = [draw_strip(kind, colors, rng)]
    sprites["pole"], lamp = [draw_pole()], draw_lamp()
    sprites["lamp_right"], sprites["lamp_left"] = [lamp], [lamp.mirrored()]
    return colors, ground, sprites


def draw_lamp() -> Sprite:
    """The arm of a street lamp, its head to the left."""
    picture = np.zeros((32, 128, 4), np.uint8)
    picture[..., :3] = 104
    fill_polygon(picture, [(127, 30), (127, 22), (26, 9), (26, 15)], (112.0, 116.0, 118.0, 255.0))
    fill_polygon(picture, [(2, 7), (38, 7), (38, 17), (2, 17)], (150.0, 152.0, 150.0, 255.0))
    return Sprite(picture)


def draw_pole() -> Sprite:
    """A round metal pole."""
    shades = 150 - 60 * np.abs(np.linspace(-1.3, 0.7, 16))
    picture = np.full((64, 16, 4), 255, np.uint8)
    picture[..., :3] = shades[None, :, None]
    return Sprite(picture)
