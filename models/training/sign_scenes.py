"""Road scenes with boxes around their signs, for training and measuring the sign detector.

Two sources: frames with boxes (`scenes.csv`: file,x1,y1,x2,y2,visibility, one row for each sign, empty numbers for a
frame without one), and scenes composed here from road pictures and single signs.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ..boxes import area, iou
from ..outputs import SIGN_CLASSES, Floats
from .sign_crops import add_noise, blur, paste, vary_color
from .sign_pictures import Pixels, SignPictures, read_picture, read_rows

SMALLEST_PX = 6.5  # shorter signs may be detected but need not be
LEAST_VISIBLE = 0.5
DARKEST = 60  # mean gray level of photographed signs that are pasted
SIZE_BINS_PX = (6, 8, 12, 16, 24, 48, 512)
ROUND = frozenset({"speed_limit", "goods_vehicles", "no_overtaking", "stop", "no_entry"})


@dataclass(frozen=True, slots=True)
class Scene:
    """A picture (h, w, 3) uint8 RGB, its signs' boxes (n, 4) xyxy px, and which of them are `required` (n,)."""

    image: Pixels
    xyxy: Floats
    required: NDArray[np.bool_]


def read_scenes(folder: Path) -> list[Scene]:
    """The frames listed in `folder/scenes.csv`, in its order."""
    boxes: dict[str, list[list[float]]] = {}
    for row in read_rows(folder / "scenes.csv"):
        found = boxes.setdefault(row["file"], [])
        if row["x1"]:
            found.append([float(row[key]) for key in ("x1", "y1", "x2", "y2", "visibility")])
    scenes = []
    for file, found in boxes.items():
        xyxy, visibility = np.split(np.array(found, np.float32).reshape(-1, 5), [4], axis=1)
        required = (_longer_side(xyxy) >= SMALLEST_PX) & (visibility[:, 0] >= LEAST_VISIBLE)
        scenes.append(Scene(read_picture(folder / file), xyxy, required))
    return scenes


def as_sprites(pictures: SignPictures) -> SignPictures:
    """Pictures that can be pasted anywhere: the drawn ones, and the central discs of round, well-lit photographs."""
    is_round = np.array([SIGN_CLASSES[c] in ROUND for c in pictures.class_id], bool)
    lit = pictures.rgba[..., :3].mean((1, 2, 3)) > DARKEST
    kept = pictures[pictures.drawn | (is_round & lit)]
    rgba, side = kept.rgba.copy(), kept.rgba.shape[1]
    disc = np.zeros((side, side), np.uint8)
    cv2.circle(disc, (side // 2, side // 2), round(0.38 * side), 255, -1, cv2.LINE_AA)
    rgba[~kept.drawn, ..., 3] = disc
    return SignPictures(rgba, kept.class_id, kept.drawn)


def compose(signs: SignPictures, scene: Scene, rng: np.random.Generator) -> Scene:
    """The scene with up to three more signs on poles and up to three distracting objects, none on another sign.

    Types come equally often.
    """
    image, (height, width) = scene.image.copy(), scene.image.shape[:2]
    found = scene.xyxy.tolist()
    for _ in range(rng.integers(4)):
        _draw_distractor(image, found, rng)
    kinds = np.unique(signs.class_id)
    for _ in range(rng.integers(4)):
        chosen = rng.choice(np.flatnonzero(signs.class_id == rng.choice(kinds)))
        side_px = float(np.exp(rng.uniform(np.log(SMALLEST_PX), np.log(64))))
        rgba = vary_color(signs.rgba[chosen], rng, strength=0.7)
        rgba, placement, box = _place(rgba, side_px, rng.uniform((0, 0), (width, height)), rng)
        if all(_gap(box, other) > 2 for other in found):
            _draw_pole(image, box, rng)
            _paste_at(image, rgba, placement, box)
            found.append(box)
    xyxy = np.array(found, np.float32).reshape(-1, 4)
    clipped = np.clip(xyxy, 0, np.array([width, height, width, height], np.float32))
    required = (area(clipped) >= LEAST_VISIBLE * area(xyxy)) & (_longer_side(clipped) >= SMALLEST_PX)
    required[: len(scene.required)] = scene.required
    return Scene(image, clipped, required)


def cut_window(scene: Scene, size: tuple[int, int], rng: np.random.Generator) -> Scene:
    """A random window of (width, height) px; signs that are cut to less than half are no longer required."""
    height, width = scene.image.shape[:2]
    x, y = int(rng.integers(width - size[0] + 1)), int(rng.integers(height - size[1] + 1))
    if len(scene.xyxy) and rng.random() < 0.7:  # most windows show a sign, though most of a road shows none
        cx, cy = scene.xyxy[rng.integers(len(scene.xyxy))].reshape(2, 2).mean(0)
        x = int(np.clip(cx - rng.uniform(0.1, 0.9) * size[0], 0, width - size[0]))
        y = int(np.clip(cy - rng.uniform(0.1, 0.9) * size[1], 0, height - size[1]))
    moved = scene.xyxy - np.array([x, y, x, y], np.float32)
    clipped = np.clip(moved, 0, np.array([*size, *size], np.float32))
    inside = area(clipped) > 0.05 * area(moved)
    required = scene.required & (area(clipped) >= 0.5 * area(moved)) & (_longer_side(clipped) >= SMALLEST_PX)
    window = np.ascontiguousarray(scene.image[y : y + size[1], x : x + size[0]])
    return Scene(window, clipped[inside].astype(np.float32), required[inside])


def mirror(scene: Scene) -> Scene:
    """Left and right exchanged; the meaning of the signs does not matter to the detector."""
    width = scene.image.shape[1]
    xyxy = scene.xyxy[:, [2, 1, 0, 3]] * np.array([-1, 1, -1, 1], np.float32) + np.array([width, 0] * 2, np.float32)
    return Scene(np.ascontiguousarray(scene.image[:, ::-1]), xyxy, scene.required)


def photograph(scene: Scene, rng: np.random.Generator) -> Scene:
    """The scene as a camera would capture it: in other light, with slight blur, noise and JPEG."""
    image = vary_color(scene.image, rng, strength=0.6)
    if rng.random() < 0.7:
        image = add_noise(blur(image, rng, strength=0.9), rng)
    return Scene(image, scene.xyxy, scene.required)


def _place(
    rgba: Pixels, side_px: float, center: NDArray[np.float64], rng: np.random.Generator
) -> tuple[Pixels, NDArray[np.float64], list[float]]:
    """The sign, reduced; the affine (2, 3) that makes it `side_px` long around `center`; and its box."""
    near_px = int(np.clip(np.ceil(1.3 * side_px), 8, len(rgba)))  # by averaging: warping alone would alias
    rgba = np.asarray(cv2.resize(rgba, (near_px, near_px), interpolation=cv2.INTER_AREA), np.uint8)
    ys, xs = np.nonzero(rgba[..., 3] > 127)
    extent = np.array([xs.max() - xs.min() + 1, ys.max() - ys.min() + 1])
    middle = np.array([xs.min() + xs.max(), ys.min() + ys.max()]) / 2
    scale = side_px / extent.max() * np.array([rng.uniform(0.8, 1.0), 1.0])
    half = extent * scale / 2
    # Pixel centers lie at half-integers in boxes, at integers in cv2's placement.
    placement = np.column_stack([np.diag(scale), center - 0.5 - scale * middle])
    return rgba, placement, [*(center - half), *(center + half)]


def _paste_at(image: Pixels, rgba: Pixels, placement: NDArray[np.float64], box: list[float]) -> None:
    """Pastes in place, on the pixels around `box` only."""
    x1, y1 = (max(0, int(v) - 4) for v in box[:2])
    x2, y2 = (max(0, int(v) + 5) for v in box[2:])
    moved = placement - np.array([[0, 0, x1], [0, 0, y1]])
    image[y1:y2, x1:x2] = paste(image[y1:y2, x1:x2], rgba, moved, photograph=False)


def _draw_pole(image: Pixels, box: list[float], rng: np.random.Generator) -> None:
    if rng.random() < 0.25:
        return
    side = box[3] - box[1]
    half = max(0.5, side * rng.uniform(0.02, 0.06))
    middle, gray = (box[0] + box[2]) / 2, int(rng.integers(50, 200))
    corners = (middle - half, (box[1] + box[3]) / 2), (middle + half, box[3] + side * rng.uniform(0.5, 4))
    first, last = (tuple(np.rint(np.array(corner) * 16).astype(int).tolist()) for corner in corners)
    cv2.rectangle(image, first, last, (gray, gray, gray), -1, cv2.LINE_AA, shift=4)


def _draw_distractor(image: Pixels, signs: list[list[float]], rng: np.random.Generator) -> None:
    """Draws a board, a lamp or strokes in place, as bright and colored as a sign; nothing where it would hide one."""
    height, width = image.shape[:2]
    x, y, size = int(rng.integers(width)), int(rng.integers(height)), int(rng.integers(3, 40))
    if any(_gap([x - size, y - size, x + size, y + 4 * size], sign) < 0 for sign in signs):
        return
    color = tuple(int(c) for c in rng.integers(0, 256, 3))
    kind = rng.integers(3)
    if kind == 0:
        cv2.rectangle(image, (x, y), (x + size, y + int(size * rng.uniform(0.3, 4))), color, -1)
    elif kind == 1:
        cv2.circle(image, (x, y), max(2, size // 5), color, -1, cv2.LINE_AA)
    else:
        strokes = rng.normal((x, y), size / 3, (6, 2)).astype(np.int32)
        cv2.polylines(image, [strokes], False, color, 1 + size // 16, cv2.LINE_AA)


def _gap(box: list[float], other: list[float]) -> float:
    """Distance between two boxes along the axis where they are further apart; negative if they overlap."""
    return max(box[0] - other[2], other[0] - box[2], box[1] - other[3], other[1] - box[3])


def _longer_side(xyxy: Floats) -> Floats:
    sides: Floats = (xyxy[:, 2:] - xyxy[:, :2]).max(axis=1)
    return sides


def detection_metrics(scenes: list[Scene], found: list[tuple[Floats, Floats]]) -> dict[str, float]:
    """Recall by size at the threshold with one false box in ten frames.

    found: boxes (k, 4) and scores (k,) for each scene, best first. A box is correct if its IoU with a sign not yet
    detected is at least 0.5; a box on a sign that is not required is ignored.
    """
    rights, wrongs, sizes = [], [], []
    for scene, (boxes, scores) in zip(scenes, found, strict=True):
        taken = np.full(len(scene.xyxy), -1.0)  # the score with which each sign was detected
        for box, score in zip(boxes, scores, strict=True):
            overlap = np.where(taken < 0, iou(box, scene.xyxy), 0)
            if len(overlap) and overlap.max() >= 0.5:
                taken[overlap.argmax()] = score
            elif not (iou(box, scene.xyxy[~scene.required]) > 0.1).any():
                wrongs.append(float(score))
        rights.extend(taken[scene.required].tolist())
        sizes.extend(_longer_side(scene.xyxy[scene.required]).tolist())
    allowed = int(0.1 * len(scenes))
    ordered = sorted(wrongs, reverse=True)
    threshold = ordered[allowed] if allowed < len(ordered) else 0.0
    hit, size = np.array(rights) > threshold, np.array(sizes)
    metrics = {"frames": float(len(scenes)), "signs": float(len(size)), "threshold": float(threshold)}
    for low, high in itertools.pairwise(SIZE_BINS_PX):
        chosen = (size >= low) & (size < high)
        if chosen.any():
            metrics[f"recall_{low}_{high}px"] = float(hit[chosen].mean())
    return metrics | {"recall": float(hit.mean()) if len(hit) else float("nan")}
