"""Scales pictures to the input size of a network, and boxes back to the picture."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from .outputs import Floats


@dataclass(frozen=True, slots=True)
class Letterbox:
    """A picture of `size` px, scaled by `scale` and placed at (`left_px`, `top_px`) of a canvas of `input_size` px.

    Sizes are (width, height). `scale` is (sx, sy): equal, except for rounding to whole pixels, unless the picture was
    stretched.
    """

    size: tuple[int, int]
    input_size: tuple[int, int]
    scale: tuple[float, float]
    left_px: int
    top_px: int

    def to_input(self, xyxy: Floats) -> Floats:
        """Boxes (n, 4) xyxy px of the picture -> px of the network's input."""
        offset = np.array([self.left_px, self.top_px] * 2, np.float32)
        return (xyxy * np.array(self.scale * 2, np.float32) + offset).astype(np.float32)

    def to_picture(self, xyxy: Floats) -> Floats:
        """Boxes (n, 4) xyxy px of the network's input -> px of the picture, clipped at its borders."""
        offset = np.array([self.left_px, self.top_px] * 2, np.float32)
        boxes = (xyxy - offset) / np.array(self.scale * 2, np.float32)
        limit = np.array(self.size * 2, np.float32)
        return np.clip(boxes, 0, limit).astype(np.float32)


def letterbox(
    image: NDArray[np.uint8], input_size: tuple[int, int], *, stretch: bool = False, fill: int = 114
) -> tuple[NDArray[np.uint8], Letterbox]:
    """The picture (H, W, 3) uint8 on a canvas of `input_size` (width, height) px, and its placement there.

    The aspect ratio is kept, the picture is centered and the rest is `fill`; with `stretch` the picture fills the
    canvas.
    """
    height, width = image.shape[:2]
    if not height or not width:
        raise ValueError(f"expected a picture (H, W, 3) with pixels, got {image.shape}")
    input_width, input_height = input_size
    if stretch:
        scaled = input_size
    else:
        ratio = min(input_width / width, input_height / height)
        scaled = (max(1, round(width * ratio)), max(1, round(height * ratio)))
    small = resize(image, scaled)
    left, top = (input_width - scaled[0]) // 2, (input_height - scaled[1]) // 2
    box = Letterbox((width, height), input_size, (scaled[0] / width, scaled[1] / height), left, top)
    if scaled == input_size:
        return small, box
    canvas = np.full((input_height, input_width, 3), fill, np.uint8)
    canvas[top : top + scaled[1], left : left + scaled[0]] = small
    return canvas, box


def resize(image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """The picture at `size` (width, height) px, without aliasing.

    Halved by averaging 2x2 pixels, ten times faster in OpenCV than other ratios, while it is at least twice as
    large; then interpolated, which reads every pixel where a side shrinks by less than two.
    """
    while image.shape[1] >= 2 * size[0] and image.shape[0] >= 2 * size[1]:
        halved = (image.shape[1] // 2, image.shape[0] // 2)
        even = image[: 2 * halved[1], : 2 * halved[0]]
        image = np.asarray(cv2.resize(even, halved, interpolation=cv2.INTER_AREA), np.uint8)
    if image.shape[1::-1] == size:
        return image
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_LINEAR), np.uint8)
