"""The background of a frame: sky, road and verge in perspective; and the camera's exposure and noise."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from .ego_motion import CAMERA_HEIGHT_M, SETTING, Drift, Light, View
from .roadside import DECK_M
from .scenery import (
    GROUND_HALF_M,
    GROUND_PERIOD_M,
    SHADOW_HALF_M,
    SHADOW_PERIOD_M,
    SHADOW_PX_M,
    Palette,
    draw_shadows,
    draw_skies,
)
from .sprites import Image

Floats32 = NDArray[np.float32]

# The distance in m up to which each level of the ground's picture is used.
LEVEL_REACH_M = (9.0, 18.0, 40.0, 90.0, 1e9)
FOLD_M = 4.0  # beyond the edge of the ground's picture the verge is mirrored to and fro over this width
NOISE_MARGIN_PX = 64


class RoadSurface:
    """Paints sky and ground of one drive and exposes its finished frames."""

    def __init__(
        self, setting: str, size: tuple[int, int], colors: Palette, ground: list[Image], rng: np.random.Generator
    ) -> None:
        width, height = size
        self.size, self.setting, self.ground = size, SETTING[setting], ground
        self.skies = draw_skies((width, int(height * 0.56)), setting, colors, rng)
        self.shadows = draw_shadows(rng)
        self._tone = Drift(rng, (15.0, 300.0), 0.07)
        self._dryness = Drift(rng, (60.0, 500.0), 1.2)
        self._lushness = Drift(rng, (10.0, 80.0), 0.09)
        self._dry_tint = colors.dry / colors.grass
        y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j].astype(np.float32)
        vignette = 1.0 - 0.13 * np.clip(x * x + y * y * 0.6 - 0.25, 0, None)
        self._vignette: Floats32 = np.repeat(vignette[..., None], 3, axis=2)
        noise_shape = (height + NOISE_MARGIN_PX, width + NOISE_MARGIN_PX, 3)
        grain = rng.standard_normal(noise_shape, dtype=np.float32)
        grain += 0.5 * rng.standard_normal((*noise_shape[:2], 1), dtype=np.float32)
        self._grain = np.clip(grain * 1.9, -127, 127).astype(np.int8)

    def _sky(self, view: View, light: Light) -> Image:
        width, rows = self.size[0], int(np.ceil(view.horizon_px)) + 2
        panorama = self.skies[0].shape[1]
        left = int(-view.heading_rad * view.focal_px + (view.size[0] / 2 - view.center_px)) % panorama
        columns = [(left, min(left + width, panorama)), (0, max(0, left + width - panorama))]
        rows = min(rows, self.skies[0].shape[0])
        parts = [np.hstack([sky[-rows:, a:b] for a, b in columns]) for sky in self.skies]
        weight = light.overcast
        return np.asarray(cv2.addWeighted(parts[0], 1 - weight, parts[1], weight, 0), np.uint8)

    def paint(self, view: View, light: Light, wooded: float, decks: list[float]) -> Image:
        """Sky and ground; `wooded` 0..1 dapples the road, overpasses at `decks` m ahead shade it."""
        width, height = self.size
        image: Image = np.empty((height, width, 3), np.uint8)
        sky = self._sky(view, light)
        image[: len(sky)] = sky
        top = int(np.ceil(view.horizon_px + 0.5))
        rows = np.arange(top, height) + 0.5 - view.horizon_px
        ahead = np.minimum(view.focal_px * CAMERA_HEIGHT_M / rows, 2000.0)
        column = (np.arange(width, dtype=np.float32) + np.float32(0.5 - view.center_px))[None, :]
        bend = view.x - 0.5 * view.curvature_per_m * ahead * ahead
        x = column * (ahead / view.focal_px).astype(np.float32)[:, None] + bend.astype(np.float32)[:, None]
        shade = self._shade(view, ahead, decks)
        fine = cv2.resize(self._dapples(view, light, ahead, x, wooded), (width, len(ahead)))
        surface = self._surface(view, ahead, x)
        image[top:] = self._lit(view, surface, fine * shade.astype(np.float32)[:, None], ahead)
        return image

    def _surface(self, view: View, ahead: NDArray[np.float64], x: Floats32) -> Image:
        """The ground's picture in perspective; modifies `x`."""
        edge = np.float32(GROUND_HALF_M - FOLD_M)
        # Only the far rows, the first ones, reach beyond the picture of the ground.
        wide = int(np.searchsorted(-np.maximum(np.abs(x[:, 0]), np.abs(x[:, -1])), -edge))
        over = np.abs(x[:wide])
        folded = edge + FOLD_M - np.abs(np.mod(over - edge, np.float32(2 * FOLD_M)) - FOLD_M)
        x[:wide] = np.where(over > edge, np.copysign(folded, x[:wide]), x[:wide])
        surface: Image = np.empty((*x.shape, 4), np.uint8)
        far = 0.0
        for level, reach in zip(self.ground, LEVEL_REACH_M, strict=True):
            first, last = np.searchsorted(-ahead, (-reach, -far))  # the far rows are first
            far = reach
            if last <= first:
                continue
            per_m = level.shape[1] / (2 * GROUND_HALF_M)
            along = np.mod(view.s + ahead[first:last], GROUND_PERIOD_M) * (level.shape[0] / GROUND_PERIOD_M) - 0.5
            map_x = (x[first:last] + np.float32(GROUND_HALF_M)) * np.float32(per_m) - np.float32(0.5)
            map_y = np.broadcast_to(along.astype(np.float32)[:, None], map_x.shape)
            cv2.remap(level, map_x, np.ascontiguousarray(map_y), cv2.INTER_LINEAR, surface[first:last], cv2.BORDER_WRAP)
        return surface

    def _shade(self, view: View, ahead: NDArray[np.float64], decks: list[float]) -> NDArray[np.float64]:
        shade = 1 + self._tone.many(view.s + ahead)
        for deck in decks:
            depth = np.minimum(ahead - deck, deck + DECK_M - ahead)
            shade *= 1 - 0.5 * np.clip(depth / 2 + 0.3, 0, 1)
        return shade

    def _dapples(self, view: View, light: Light, ahead: NDArray[np.float64], x: Floats32, wooded: float) -> Floats32:
        """Shade of trees at half resolution, 1 = none."""
        along = np.mod(view.s + ahead[::2], SHADOW_PERIOD_M) / SHADOW_PX_M
        map_x = (x[::2, ::2] + np.float32(SHADOW_HALF_M)) / np.float32(SHADOW_PX_M)
        map_y = np.ascontiguousarray(np.broadcast_to(along.astype(np.float32)[:, None], map_x.shape))
        shadow = cv2.remap(self.shadows, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
        strength = 0.5 * light.sun * (1 - 0.6 * light.overcast) * max(0.0, wooded - 0.25) / 0.75
        fade = np.clip(1.2 - ahead[::2] / 70, 0, 1)[:, None] * (strength / 255)
        return np.asarray(1 - shadow * fade.astype(np.float32), np.float32)

    def _lit(self, view: View, surface: Image, shade: Floats32, ahead: NDArray[np.float64]) -> Image:
        """Tints the verge and applies the shade."""
        places = view.s + np.minimum(ahead, 400)
        dry = (1 / (1 + np.exp(-2 * self._dryness.many(places))))[:, None]
        tint = ((1 - dry) + dry * self._dry_tint) * (1 + self._lushness.many(places))[:, None]
        verge = surface[..., 3].astype(np.float32) * np.float32(1 / 255)
        tone = (tint - 1).astype(np.float32)
        scale = cv2.merge([(verge * tone[:, channel : channel + 1] + 1) * shade for channel in range(3)])
        rgb = cv2.cvtColor(surface, cv2.COLOR_RGBA2RGB)
        return np.asarray(cv2.multiply(rgb, scale, dtype=cv2.CV_8U), np.uint8)

    def expose(self, image: Image, exposure_ev: float, warmth: float, seq: int) -> Image:
        """Exposure, white balance, vignetting and sensor noise."""
        height, width = image.shape[:2]
        gain = 2.0**exposure_ev * np.array([1 + warmth, 1.0, 1 - warmth])
        curve = np.clip(np.arange(256)[:, None, None] * gain, 0, 255).astype(np.uint8)
        exposed = cv2.multiply(cv2.LUT(image, curve), self._vignette, dtype=cv2.CV_8U)
        top, left = np.random.default_rng((seq, 1)).integers(0, NOISE_MARGIN_PX, 2)
        grain = np.ascontiguousarray(self._grain[top : top + height, left : left + width])
        return np.asarray(cv2.add(exposed, grain, dtype=cv2.CV_8U), np.uint8)
