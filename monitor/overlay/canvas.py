"""Lines, plates, bars and text, on pixels (`Canvas`) or as Foxglove's vectors (`Vectors`); knows no reports.

Widths and sizes that callers give are "design pixels" of a 960 × 540 picture and grow with the picture; coordinates
are pixels of the picture itself. Values that are not finite or outside of the picture are left out or clipped, so no
report can break a drawing. Colors are RGB, 0 to 255.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Color = tuple[int, int, int]
Image = NDArray[np.uint8]
Rectangle = tuple[float, float, float, float]  # x0, y0, x1, y1 px

INK: Color = (16, 20, 26)  # halos and plates
PAPER: Color = (245, 247, 250)  # text
MUTED: Color = (168, 178, 190)  # text of second rank
PLATE_ALPHA = 0.78

LINE_LOOP, LINE_STRIP, LINE_LIST = 2, 3, 4  # foxglove.PointsAnnotation.type

SHORT_WORDS = {"head": "", "statistics": "stats", "gradient": "grad", "reconstruction": "recon", "expectancy": "expect"}

_SUBPIXEL_BITS = 4
_FAR_PX = 16_000.0  # beyond it OpenCV's fixed-point coordinates overflow
_SMALLEST_TEXT_PX = 10


@dataclass(frozen=True, slots=True)
class Span:
    """A part of one line of text in one color; weight 400 is regular, 600 is semibold."""

    text: str
    color: Color = PAPER
    weight: int = 400


@cache
def _font() -> Any:
    return cv2.FontFace("sans")  # built into OpenCV


class Canvas:
    """Draws on a copy of an (H, W, 3) uint8 RGB picture; `image` is the result."""

    def __init__(self, image: Image) -> None:
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or image.size == 0:
            raise ValueError(f"expected an (H, W, 3) uint8 picture to draw on, got {image.shape} {image.dtype}")
        self.image: Image = np.array(image, order="C", copy=True)
        self.height: int = self.image.shape[0]
        self.width: int = self.image.shape[1]
        self.scale: float = max(min(self.height / 540, self.width / 960), 0.5)

    def px(self, design_px: float) -> int:
        """Design pixels in whole pixels of this picture, at least 1."""
        return max(1, round(design_px * self.scale))

    def text_px(self, design_px: float) -> int:
        """The height of letters in pixels of this picture, at least the smallest that is readable."""
        return max(_SMALLEST_TEXT_PX, round(design_px * self.scale))

    def shade(self, x0: float, y0: float, x1: float, y1: float, color: Color, alpha: float) -> None:
        """Blends `color` over the rectangle with weight `alpha` in [0, 1]."""
        part = self.image[_pixels(y0, y1, self.height), _pixels(x0, x1, self.width)]
        if part.size:
            part[:] = cv2.addWeighted(part, 1 - alpha, np.full_like(part, color), alpha, 0)

    def frame(self, color: Color, width_px: int) -> None:
        """Draws a frame around the whole picture, `width_px` pixels wide."""
        inner = self.image[width_px : self.height - width_px, width_px : self.width - width_px].copy()
        self.image[:] = color
        self.image[width_px : self.height - width_px, width_px : self.width - width_px] = inner

    def lines(self, paths: Iterable[NDArray[Any]], color: Color, width: float = 1.5, closed: bool = False) -> None:
        """Draws (k, 2) paths in a dark halo, so that they stand out on any background."""
        fixed = [_fixed_point(path) for path in paths if len(path) > 1 and np.isfinite(path).all()]
        core = max(self.px(width), 2)  # a core of one pixel would be hidden by its halo
        for stroke, thickness in ((INK, core + 2), (color, core)):
            cv2.polylines(self.image, fixed, closed, stroke, thickness, cv2.LINE_AA, _SUBPIXEL_BITS)

    def disc(self, x: float, y: float, radius: float, color: Color, fill: float, outline: float) -> None:
        """Draws a disc, filled and outlined with the opacities `fill` and `outline` in [0, 1]."""
        if not (np.isfinite((x, y, radius)).all() and 0 < radius < _FAR_PX and max(abs(x), abs(y)) < _FAR_PX):
            return
        rows = _pixels(y - radius - 2, y + radius + 2, self.height)
        columns = _pixels(x - radius - 2, x + radius + 2, self.width)
        part = self.image[rows, columns]
        if not part.size:
            return
        mask = np.zeros(part.shape[:2], np.uint8)
        center, reach = _fixed_point([(x - columns.start, y - rows.start)])[0], round(radius * 2**_SUBPIXEL_BITS)
        for opacity, thickness in ((fill, cv2.FILLED), (outline, self.px(1.2))):
            stroke = round(255 * opacity)
            cv2.circle(mask, center.tolist(), reach, stroke, thickness, cv2.LINE_AA, _SUBPIXEL_BITS)
        weight = mask.astype(np.float32) / 255
        part[:] = cv2.blendLinear(np.full_like(part, color), np.ascontiguousarray(part), weight, 1 - weight)

    def text_width(self, text: str, size_px: int, weight: int = 400) -> int:
        """Width of one line in pixels."""
        return int(cv2.getTextSize((self.width, self.height), text, (0, 0), _font(), size_px, weight)[2])

    def fit(self, text: str, width_px: float, size_px: int, weight: int = 400) -> str:
        """The text, cut with an ellipsis where it is wider than `width_px`."""
        if self.text_width(text, size_px, weight) <= width_px:
            return text
        while text and self.text_width(f"{text}…", size_px, weight) > width_px:
            text = text[:-1].rstrip()
        return f"{text}…" if text else ""

    def wrap(self, text: str, width_px: float, size_px: int, most: int = 3) -> list[str]:
        """Breaks a text into at most `most` lines of that width; the last one is cut with an ellipsis."""
        lines: list[str] = []
        rest = text.split()
        while rest and len(lines) < most - 1:
            fits = (k for k in range(len(rest), 1, -1) if self.text_width(" ".join(rest[:k]), size_px) <= width_px)
            count = next(fits, 1)
            lines.append(self.fit(" ".join(rest[:count]), width_px, size_px))
            rest = rest[count:]
        return [*lines, self.fit(" ".join(rest), width_px, size_px)] if rest else lines

    def text(self, x: float, baseline: float, spans: Sequence[Span], size_px: int, shadow: bool = False) -> None:
        """Writes one line, cut at the picture's edge; the shadow is for text without a plate."""
        for span in spans:
            fitting = self.fit(span.text, self.width - x - 2, size_px, span.weight)
            strokes = [(-1, 0, INK), (1, 0, INK), (0, -1, INK), (0, 1, INK)] if shadow else []
            for dx, dy, color in [*strokes, (0, 0, span.color)] if fitting else ():
                origin = (round(x) + dx, round(baseline) + dy)
                cv2.putText(self.image, fitting, origin, color, _font(), size_px, span.weight)
            x += self.text_width(fitting, size_px, span.weight) + size_px * 0.35

    def plate_size(self, spans: Sequence[Span], size_px: int) -> tuple[float, float]:
        """Width and height px of the plate of a line."""
        widths = [self.text_width(span.text, size_px, span.weight) + size_px * 0.35 for span in spans]
        return sum(widths) - size_px * 0.35 + size_px * 0.9, round(size_px * 1.45)

    def plate(self, x: float, y: float, spans: Sequence[Span], size_px: int, accent: Color) -> None:
        """Draws one line on a dark plate with an accent at its left edge; (x, y) is the top-left corner."""
        width, height = self.plate_size(spans, size_px)
        self.shade(x, y, x + width, y + height, INK, PLATE_ALPHA)
        self.shade(x, y, x + self.px(2.5), y + height, accent, 1.0)
        self.text(x + size_px * 0.5, y + height - size_px * 0.42, spans, size_px)

    def label_place(
        self, box: Rectangle, size: tuple[float, float], avoid: Sequence[Rectangle], bottom: float
    ) -> Rectangle:
        """The place of a label of `size` above, below or inside its box that covers the fewest of `avoid`."""
        (x0, y0, _, y1), (width, height) = box, size
        x = min(max(x0, 0.0), max(self.width - width, 0.0))
        places = [(x, y, x + width, y + height) for y in (y0 - height - 3, y1 + 3, y0 + 3, y0 - 2 * height - 5)]
        inside = [p for p in places if p[1] >= 0 and p[3] <= bottom] or [(x, 0.0, x + width, height)]
        return min(inside, key=lambda place: sum(_overlap(place, other) for other in avoid))

    def bar(self, x: float, y: float, width: float, ratio: float, under: Color, over: Color) -> None:
        """Draws a bar of `ratio` to a threshold, marked in the middle; the scale is ratio / (ratio + 1)."""
        height = max(3, self.px(4))
        self.shade(x, y, x + width, y + height, PAPER, 0.22)
        full = x + width * bar_fraction(ratio)
        self.shade(x, y, max(full, x + 1), y + height, over if ratio >= 1 else under, 1.0)
        middle = round(x + width / 2)
        self.shade(middle, y - 2, middle + self.px(1), y + height + 2, PAPER, 1.0)


class Vectors:
    """Collects the parts of one foxglove.ImageAnnotations message, each with the time `capture_ns`.

    height: of the camera's picture px, 0 where it is unknown.
    """

    def __init__(self, capture_ns: int, height: int) -> None:
        self.stamp = {"sec": capture_ns // 10**9, "nsec": capture_ns % 10**9}
        self.scale = max((height or 540) / 540, 0.5)
        self.circles: list[dict[str, Any]] = []
        self.points: list[dict[str, Any]] = []
        self.texts: list[dict[str, Any]] = []

    def message(self) -> dict[str, Any]:
        """The message, ready for JSON."""
        return {"timestamp": self.stamp, "circles": self.circles, "points": self.points, "texts": self.texts}

    def path(self, path: NDArray[Any], color: Color, width: float, kind: int = LINE_STRIP) -> None:
        """Adds a (k, 2) path of the given kind of Foxglove's PointsAnnotation."""
        self.points.append(
            {
                "timestamp": self.stamp,
                "type": kind,
                "points": [{"x": float(x), "y": float(y)} for x, y in path],
                "outline_color": _rgba(color),
                "outline_colors": [],
                "fill_color": _rgba(color, 0.0),
                "thickness": width * self.scale,
            }
        )

    def disc(self, x: float, y: float, radius: float, color: Color, fill: float, outline: float) -> None:
        """Adds a disc, filled and outlined with the opacities `fill` and `outline` in [0, 1]."""
        self.circles.append(
            {
                "timestamp": self.stamp,
                "position": {"x": float(x), "y": float(y)},
                "diameter": 2 * float(radius),
                "thickness": 1.2 * self.scale,
                "fill_color": _rgba(color, fill),
                "outline_color": _rgba(color, outline),
            }
        )

    def text(self, x: float, y: float, text: str, color: Color) -> None:
        """Adds one line of text on a dark plate, its bottom left at (x, y)."""
        self.texts.append(
            {
                "timestamp": self.stamp,
                "position": {"x": float(x), "y": float(y)},
                "text": text,
                "font_size": 13 * self.scale,
                "text_color": _rgba(color),
                "background_color": _rgba(INK, PLATE_ALPHA),
            }
        )

    def bar(self, x: float, y: float, width: float, ratio: float, color: Color) -> None:
        """Adds a bar of `ratio` to a threshold, `width` px wide, with the scale and mark of `Canvas.bar`."""
        tick = 3 * self.scale
        self.path(np.array([(x, y), (x + max(width * bar_fraction(ratio), 1), y)]), color, 4)
        self.path(np.array([(x + width / 2, y - tick), (x + width / 2, y + tick)]), PAPER, 1.5)


def words(name: str) -> str:
    """An identifier with spaces for underscores."""
    return name.replace("_", " ")


def short_name(name: str) -> str:
    """A short form of a scorer's name, for labels of bars."""
    shortened = (SHORT_WORDS.get(word, word) for word in name.split("_"))
    return " ".join(filter(None, shortened))


def format_p(p_value: float) -> str:
    """A p-value in at most five characters."""
    return f"{p_value:.2g}" if p_value >= 0.001 else "<.001"


def format_ratio(ratio: float) -> str:
    """A ratio to a threshold with two figures."""
    if math.isnan(ratio):
        return "?"
    if ratio >= 999.5:
        return ">999×"
    return f"{ratio:.2f}×" if ratio < 0.995 else f"{ratio:.1f}×" if ratio < 9.95 else f"{ratio:.0f}×"


def bar_fraction(ratio: float) -> float:
    """Share of a bar that is filled: 0 at 0, one half at the threshold (ratio 1), 1 at infinity; 0 for NaN."""
    if math.isnan(ratio) or ratio <= 0:
        return 0.0
    return 1.0 if math.isinf(ratio) else ratio / (ratio + 1)


def corners(xyxy: NDArray[Any]) -> NDArray[np.float64]:
    """The four corners (4, 2) of a box, clockwise from the top left."""
    x0, y0, x1, y1 = (float(v) for v in xyxy)
    return np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)])


def dashes(xyxy: NDArray[Any], dash_px: float) -> list[NDArray[np.float64]]:
    """The outline of a box as dashes, each a (2, 2) path; gaps are as long as dashes, corners are drawn."""
    outline = corners(xyxy)
    paths: list[NDArray[np.float64]] = []
    if not np.isfinite(outline).all():
        return paths
    for start, end in zip(outline, np.roll(outline, -1, axis=0), strict=True):
        length = float(np.abs(end - start).max())
        if length == 0:
            continue
        pieces = 2 * min(max(round(length / dash_px / 2), 1), 100) + 1  # odd: a side begins and ends with a dash
        at = np.linspace(start, end, pieces + 1)
        paths += [at[i : i + 2] for i in range(0, pieces, 2)]
    return paths


def _overlap(a: Rectangle, b: Rectangle) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _pixels(low: float, high: float, size: int) -> slice:
    if not (math.isfinite(low) and math.isfinite(high)):
        return slice(0, 0)
    return slice(min(max(round(low), 0), size), min(max(round(high), 0), size))


def _fixed_point(path: Any) -> NDArray[np.int32]:
    clipped = np.clip(np.asarray(path, np.float64), -_FAR_PX, _FAR_PX)
    return np.asarray(np.round(clipped * 2**_SUBPIXEL_BITS), np.int32)


def _rgba(color: Color, alpha: float = 1.0) -> dict[str, float]:
    return {"r": color[0] / 255, "g": color[1] / 255, "b": color[2] / 255, "a": alpha}
