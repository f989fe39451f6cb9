"""Trains the sign detector and writes it as ONNX.

    python -m gradwatch.models.training.sign_detector --crops SPRITES GTSRB --scenes TRAINING --held-out UNSEEN \
        --checkpoint sign_detector.pt --out sign_detector.onnx

The network is a small CenterNet (Zhou, Wang, Krähenbühl 2019, arXiv:1904.07850): one heatmap at stride 4, and at each
of its cells the size of the box and the offset of its center. An interrupted run resumes at its checkpoint.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..outputs import Floats
from .onnx_export import write_onnx
from .sign_pictures import Pixels, SignPictures, read_backgrounds, read_pictures
from .sign_scenes import Scene, as_sprites, compose, cut_window, detection_metrics, mirror, photograph, read_scenes
from .sign_training import ResidualBlock, option_parser, seed_libraries, train

INPUT_SIZE = (512, 288)  # width, height
WINDOW = (256, 160)  # of training: cheaper by 3.6, with a sign in nearly each
STRIDE = 4
TOP_K = 32
WIDTHS = (16, 24, 48, 64)
SIZE_UNIT_PX = 16.0  # sizes are regressed as log(size / 16)
BATCH = 16
OUTPUTS = ("boxes", "scores")


def _convolution(channels_in: int, channels: int, stride: int = 1, kernel: int = 3) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels_in, channels, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(channels), nn.ReLU()
    )


class DetectorNetwork(nn.Module):
    """Pictures (n, h, w, 3) in 0..255 -> maps (n, 5, h/4, w/4): heat, log width, log height, offset x, offset y."""

    def __init__(self) -> None:
        super().__init__()
        half, quarter, eighth, sixteenth = WIDTHS
        self.to_quarter = nn.Sequential(
            _convolution(3, half, 2), _convolution(half, quarter, 2), _convolution(quarter, quarter)
        )
        self.to_eighth = nn.Sequential(_convolution(quarter, eighth, 2), _convolution(eighth, eighth))
        self.to_sixteenth = nn.Sequential(_convolution(eighth, sixteenth, 2), ResidualBlock(sixteenth, sixteenth))
        self.from_sixteenth = _convolution(sixteenth, eighth, kernel=1)
        self.from_eighth = _convolution(eighth, quarter, kernel=1)
        self.last = _convolution(quarter, 32)
        self.maps = nn.Conv2d(32, 5, 1)
        # Nearly every cell is empty: an initial heat of 0.02 keeps the first steps stable (Lin et al. 2017).
        nn.init.constant_(self.maps.bias[:1], -4.0)  # type: ignore[index]

    def forward(self, images: Tensor) -> Tensor:
        """Heat is a logit; sizes are log(px / 16); offsets are in cells, from the cell's corner."""
        quarter = self.to_quarter(images.permute(0, 3, 1, 2).float() / 127.5 - 1)
        eighth = self.to_eighth(quarter)
        sixteenth = self.to_sixteenth(eighth)
        eighth = eighth + nn.functional.interpolate(self.from_sixteenth(sixteenth), scale_factor=2.0)
        quarter = quarter + nn.functional.interpolate(self.from_eighth(eighth), scale_factor=2.0)
        maps: Tensor = self.maps(self.last(quarter))
        return maps


def decode(maps: Tensor) -> tuple[Tensor, Tensor]:
    """Maps (n, 5, h, w) -> boxes (n, 32, 4) xyxy px of the input, scores (n, 32), best first.

    A cell is the center of a sign if no neighbor is hotter.
    """
    heat = torch.sigmoid(maps[:, :1])
    peak = heat * (nn.functional.max_pool2d(heat, 3, 1, 1) == heat).float()
    scores, cell = torch.topk(peak.flatten(1), TOP_K)
    values = maps[:, 1:].flatten(2).gather(2, cell[:, None].expand(-1, 4, -1))
    columns = maps.shape[3]
    corner = torch.stack([cell % columns, cell // columns], dim=1).float()
    center = (corner + values[:, 2:]) * STRIDE
    half = torch.exp(values[:, :2]) * (SIZE_UNIT_PX / 2)
    return torch.cat([center - half, center + half], dim=1).transpose(1, 2), scores


class Decoded(nn.Module):
    """The network and its decoding: (1, 288, 512, 3) uint8 -> boxes (1, 32, 4) xyxy px, scores (1, 32)."""

    def __init__(self, network: DetectorNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """The outputs in the order of `OUTPUTS`."""
        return decode(self.network(image))


class Targets(NamedTuple):
    """Targets of one picture's maps: heat (h, w) with loss where `scored`, values (4, h, w) with loss at `centers`."""

    heat: Floats
    values: Floats
    centers: NDArray[np.bool_]
    scored: NDArray[np.bool_]


def targets_of(scene: Scene) -> Targets:
    """Gaussians of a sixth of each box around the centers; a sign that is not required has no loss in its box."""
    rows, columns = (length // STRIDE for length in scene.image.shape[:2])
    heat, values = np.zeros((rows, columns), np.float32), np.zeros((4, rows, columns), np.float32)
    centers, scored = np.zeros((rows, columns), bool), np.ones((rows, columns), bool)
    y, x = np.mgrid[:rows, :columns].astype(np.float32) + 0.5
    for (x1, y1, x2, y2), required in zip(scene.xyxy / STRIDE, scene.required, strict=True):
        if not required:
            scored[int(y1) : int(np.ceil(y2)) + 1, int(x1) : int(np.ceil(x2)) + 1] = False
            continue
        cx, cy, width, height = (x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1
        column, row = min(int(cx), columns - 1), min(int(cy), rows - 1)
        dx, dy = (x - column - 0.5) / max(width / 6, 0.5), (y - row - 0.5) / max(height / 6, 0.5)
        heat = np.maximum(heat, np.exp(-(dx**2 + dy**2) / 2))
        centers[row, column] = True
        sizes = np.log(np.array([width, height]) * STRIDE / SIZE_UNIT_PX)
        values[:, row, column] = (*sizes, cx - column, cy - row)
    return Targets(heat, values, centers, scored | centers)


def loss_of(maps: Tensor, targets: list[Targets]) -> Tensor:
    """CenterNet's loss: penalty-reduced focal loss of heat (alpha 2, beta 4), L1 of size and offset at centers."""
    heat, values, centers, scored = (torch.from_numpy(np.stack(part)) for part in zip(*targets, strict=True))
    logit = maps[:, 0]
    p = torch.sigmoid(logit)
    log_p, log_not_p = nn.functional.logsigmoid(logit), nn.functional.logsigmoid(-logit)
    hit = (1 - p) ** 2 * log_p * centers
    miss = (1 - heat) ** 4 * p**2 * log_not_p * (scored & ~centers)
    count = centers.sum().clamp(min=1)
    shape = ((maps[:, 1:] - values).abs() * centers[:, None]).sum()
    return (-(hit + miss).sum() + shape) / count


@dataclass(frozen=True, slots=True)
class Windows:
    """Training windows, cut from road pictures and from frames with boxes equally often; signs are added."""

    signs: SignPictures
    backgrounds: list[Pixels]
    scenes: list[Scene]

    def draw(self, rng: np.random.Generator) -> Scene:
        """One window of `WINDOW` px; to half of those with signs no more are added."""
        if self.scenes and rng.random() < 0.5:
            window = cut_window(self.scenes[rng.integers(len(self.scenes))], WINDOW, rng)
        else:
            background = self.backgrounds[rng.integers(len(self.backgrounds))]
            window = cut_window(Scene(background, np.zeros((0, 4), np.float32), np.zeros(0, bool)), WINDOW, rng)
        if not len(window.xyxy) or rng.random() < 0.5:
            window = compose(self.signs, window, rng)
        return photograph(window if rng.random() < 0.5 else mirror(window), rng)


def measure(network: DetectorNetwork, scenes: list[Scene]) -> dict[str, float]:
    """Recall at one false box in ten frames, by size; scenes at `INPUT_SIZE`."""
    decoded = Decoded(network).eval()
    found = []
    with torch.inference_mode():
        for scene in scenes:
            boxes, scores = decoded(torch.from_numpy(scene.image[None]))
            found.append((boxes[0].numpy(), scores[0].numpy()))
    return detection_metrics(scenes, found)


def main() -> None:
    """Trains, writes the graph and prints the metrics as JSON."""
    parser = option_parser(__doc__, steps=3000)
    parser.add_argument("--scenes", type=Path, nargs="*", default=[], help="folders of frames with boxes")
    parser.add_argument("--checkpoint", type=Path, required=True)
    arguments = parser.parse_args()
    seed_libraries(arguments.seed)
    network = DetectorNetwork()
    sprites = as_sprites(read_pictures(arguments.crops, "train"))
    scenes = [scene for folder in arguments.scenes for scene in read_scenes(folder)]
    windows = Windows(sprites, read_backgrounds(arguments.crops), scenes)

    def loss_at(step: int) -> Tensor:
        # Each step draws from its own seed, so that a resumed run sees what an unbroken one would have.
        rng = np.random.default_rng((arguments.seed, step))
        drawn = [windows.draw(rng) for _ in range(BATCH)]
        images = torch.from_numpy(np.stack([scene.image for scene in drawn]))
        return loss_of(network(images), [targets_of(scene) for scene in drawn])

    train(
        network, loss_at, steps=arguments.steps, peak_rate=4e-3, warm_up=0.05, gradient_limit=10.0,
        checkpoint=arguments.checkpoint,
    )  # fmt: skip
    example = torch.zeros(1, INPUT_SIZE[1], INPUT_SIZE[0], 3, dtype=torch.uint8)
    write_onnx(Decoded(network), example, arguments.out, input_name="image", outputs=OUTPUTS, free_batch=False)
    for folder in arguments.held_out:
        print(folder.name, json.dumps(measure(network, read_scenes(folder)), indent=2))


if __name__ == "__main__":
    main()
