"""Trains the sign classifier and writes it as ONNX.

    python -m gradwatch.models.training.sign_classifier --crops SPRITES GTSRB --out sign_classifier.onnx

A folder of `--crops` holds drawn signs (`sprites.csv`, with `backgrounds.csv` to paste them on, and `crops.csv` of
crops cut out of drives) or the German benchmark (`train_index.csv`). `--held-out` folders of the same kind are only
ever measured on. On crops of no sign the network learns to be undecided (outlier exposure, Hendrycks, Mazeika and
Dietterich 2019, arXiv:1812.04606).
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..outputs import SIGN_CLASSES
from .frame_crops import NO_SIGN, FrameCropBatches, FrameCrops, read_frame_crops
from .sign_crops import (
    Bytes,
    SignPictures,
    concatenate,
    gtsrb_crops,
    read_backgrounds,
    read_gtsrb,
    read_sprites,
    take_crop,
)

WIDTHS = (24, 48, 64, 96)
COMPOSED, FROM_FRAMES, NO_SIGNS = 40, 32, 24  # crops a step, by where they come from
UNDECIDED_WEIGHT = 0.5  # of the crops of no sign in the loss, as in the paper
LABEL_SMOOTHING = 0.03
SIZE_BINS_PX = (8, 12, 16, 24, 48)


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions around a shortcut (He et al. 2016, basic block)."""

    def __init__(self, channels_in: int, channels: int, stride: int = 1) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels_in, channels, 3, stride, 1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, 1, 1, bias=False),
            nn.BatchNorm2d(channels),
        )
        same = channels_in == channels and stride == 1
        self.shortcut = nn.Identity() if same else nn.Conv2d(channels_in, channels, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels_in, h, w) -> (n, channels, h / stride, w / stride)."""
        return torch.relu(self.body(x) + self.shortcut(x))


class SignNetwork(nn.Module):
    """Crops (n, 32, 32, 3) in 0..255 -> logits (n, 14), features (n, 96), and the head's weight and bias.

    About 42 million multiply-adds a crop, 0.40 million parameters. Colors are brought to [-1, 1] inside.
    """

    def __init__(self) -> None:
        super().__init__()
        first, second, third, last = WIDTHS
        self.body = nn.Sequential(
            nn.Conv2d(3, first, 3, 1, 1, bias=False),
            nn.BatchNorm2d(first),
            nn.ReLU(),
            ResidualBlock(first, second, 2),
            ResidualBlock(second, second),
            ResidualBlock(second, second),
            ResidualBlock(second, third, 2),
            ResidualBlock(third, third),
            ResidualBlock(third, last, 2),
        )
        self.head = nn.Linear(last, len(SIGN_CLASSES))

    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The four outputs in the order of `OUTPUTS`."""
        x = crops.permute(0, 3, 1, 2).float() / 127.5 - 1
        features = self.body(x).mean(dim=(2, 3))
        # Written out, so that logits follow from the outputs `features`, `weight` and `bias` alone.
        return self.head(features), features, self.head.weight * 1, self.head.bias * 1


OUTPUTS = ("logits", "features", "weight", "bias")


def train(
    network: SignNetwork,
    pictures: SignPictures,
    backgrounds: list[Bytes],
    frames: FrameCropBatches,
    *,
    steps: int,
    seed: int,
) -> None:
    """Trains with AdamW and one learning-rate cycle for `steps` batches.

    Types come equally often, and within a type of `pictures` photographs and drawn signs do.
    """
    rng = np.random.default_rng(seed)
    groups = _groups(pictures)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3, weight_decay=0.01)
    loss_of = nn.CrossEntropyLoss(label_smoothing=LABEL_SMOOTHING)
    network.train()
    for step in range(steps):
        used = step / steps
        optimizer.param_groups[0]["lr"] = 3e-3 * min(1.0, used / 0.1) * (1 + math.cos(math.pi * used)) / 2
        chosen = [_draw(groups, rng) for _ in range(COMPOSED)]
        composed = [take_crop(pictures.rgba[i], bool(pictures.drawn[i]), backgrounds, rng) for i in chosen]
        cut, cut_class = frames.signs(FROM_FRAMES, rng)
        others = frames.others(NO_SIGNS, rng)
        logits = network(torch.from_numpy(np.concatenate([composed, cut, others])))[0]
        signs = len(chosen) + len(cut)
        loss = loss_of(logits[:signs], torch.from_numpy(np.concatenate([pictures.class_id[chosen], cut_class])))
        if len(others):
            loss = loss - UNDECIDED_WEIGHT * torch.log_softmax(logits[signs:], dim=1).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if (step + 1) % 100 == 0:
            print(f"step {step + 1} of {steps} loss {loss.item():.3f}", flush=True)


def measure(
    network: SignNetwork, drawn: SignPictures, backgrounds: list[Bytes], photographs: dict[str, SignPictures]
) -> dict[str, float]:
    """Accuracies: of photographs as published, and of drawn signs by their size in the camera's frame."""
    metrics: dict[str, float] = {}
    for name, pictures in photographs.items():
        logits = predict(network, gtsrb_crops(pictures))
        metrics |= {f"{name}_{key}": value for key, value in _accuracies(logits, pictures.class_id).items()}
    rng = np.random.default_rng(0)
    for low, high in itertools.pairwise(SIZE_BINS_PX):
        sizes = rng.uniform(low, high, len(drawn))
        crops = [take_crop(p, True, backgrounds, rng, float(s)) for p, s in zip(drawn.rgba, sizes, strict=True)]
        accuracies = _accuracies(predict(network, np.stack(crops)), drawn.class_id)
        metrics |= {f"drawn_{low}_{high}px_{key}": value for key, value in accuracies.items()}
    return metrics


def measure_frames(network: SignNetwork, crops: FrameCrops) -> dict[str, float]:
    """Accuracies on signs cut out of frames, and how often a crop of no sign is read with p >= 0.8."""
    logits = predict(network, crops.pixels)
    signs = crops.class_id != NO_SIGN
    metrics = {f"frames_{key}": value for key, value in _accuracies(logits[signs], crops.class_id[signs]).items()}
    return metrics | {"no_sign_sure": float((_confidence(logits[~signs]) >= 0.8).mean())}


def predict(network: SignNetwork, crops: Bytes) -> NDArray[np.float32]:
    """Logits (n, 14) of crops (n, 32, 32, 3)."""
    network.eval()
    with torch.inference_mode():
        parts = [network(torch.from_numpy(crops[i : i + 256]))[0] for i in range(0, len(crops), 256)]
    return np.asarray(torch.cat(parts).numpy(), np.float32)


def export(network: SignNetwork, path: Path) -> None:
    """Writes the network as ONNX with a free batch size; batch normalization is folded into convolutions."""
    network.eval()
    example = torch.zeros(2, 32, 32, 3, dtype=torch.uint8)
    torch.onnx.export(
        network, (example,), str(path), input_names=["crops"], output_names=list(OUTPUTS), opset_version=18,
        dynamic_shapes=({0: torch.export.Dim("n", min=1)},), dynamo=True, external_data=False, verbose=False,
    )  # fmt: skip


def _groups(pictures: SignPictures) -> list[list[NDArray[np.int64]]]:
    """For each type the indices of its photographs and of its drawn signs, empty ones left out."""
    groups = []
    for class_id in range(len(SIGN_CLASSES)):
        mine = pictures.class_id == class_id
        sources = [np.flatnonzero(mine & pictures.drawn), np.flatnonzero(mine & ~pictures.drawn)]
        groups.append([indices for indices in sources if len(indices)])
    return [group for group in groups if group]


def _draw(groups: list[list[NDArray[np.int64]]], rng: np.random.Generator) -> int:
    """An index: first a type is drawn, then photograph or drawing, then the picture."""
    sources = groups[rng.integers(len(groups))]
    return int(rng.choice(sources[rng.integers(len(sources))]))


def _accuracies(logits: NDArray[np.float32], class_id: NDArray[np.int64]) -> dict[str, float]:
    right = logits.argmax(1) == class_id
    confidence = _confidence(logits)
    macro = np.mean([right[class_id == c].mean() for c in np.unique(class_id)])
    metrics = {
        "accuracy": float(right.mean()),
        "macro_accuracy": float(macro),
        "confidence_right": float(confidence[right].mean()),
    }
    return metrics if right.all() else metrics | {"confidence_wrong": float(confidence[~right].mean())}


def _confidence(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    shifted = np.exp(logits - logits.max(1, keepdims=True))
    return np.asarray((shifted / shifted.sum(1, keepdims=True)).max(1))


def read_pictures(folders: list[Path], gtsrb_fold: str) -> SignPictures:
    """The drawn signs and the photographs (of `gtsrb_fold`) of all `folders`, each read as what it holds."""
    return concatenate(
        [read_sprites(f) if (f / "sprites.csv").is_file() else read_gtsrb(f, gtsrb_fold) for f in folders]
    )


def main() -> None:
    """Trains, prints the metrics as JSON and writes the graph."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--crops", type=Path, nargs="+", required=True, help="folders of drawn signs and of GTSRB")
    parser.add_argument("--held-out", type=Path, nargs="+", required=True, help="folders to measure on")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    torch.manual_seed(arguments.seed)
    backgrounds = [b for f in arguments.crops if (f / "backgrounds.csv").is_file() for b in read_backgrounds(f)]
    network = SignNetwork()
    pictures = read_pictures(arguments.crops, "train")
    print(f"{len(pictures)} pictures, {int(pictures.drawn.sum())} of them drawn", flush=True)
    frames = read_frame_crops(arguments.crops)
    print(f"{len(frames)} crops of frames, {int((frames.class_id == NO_SIGN).sum())} of them of no sign", flush=True)
    train(network, pictures, backgrounds, FrameCropBatches(frames), steps=arguments.steps, seed=arguments.seed)
    export(network, arguments.out)
    drawn_folders = [f for f in arguments.held_out if (f / "sprites.csv").is_file()]
    unseen = [b for f in drawn_folders for b in read_backgrounds(f)]
    photographs = {
        f"gtsrb_{fold}": read_gtsrb(f, fold)
        for f in arguments.held_out
        if (f / "train_index.csv").is_file()
        for fold in ("val", "test_public")
    }
    metrics = measure(network, read_pictures(drawn_folders, ""), unseen, photographs)
    unseen_frames = read_frame_crops(arguments.held_out)
    if len(unseen_frames):
        metrics |= measure_frames(network, unseen_frames)
    print(json.dumps(metrics, indent=2))


if __name__ == "__main__":
    main()
