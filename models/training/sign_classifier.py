"""Trains the sign classifier and writes it as ONNX.

    python -m gradwatch.models.training.sign_classifier --crops SPRITES GTSRB --out sign_classifier.onnx

A folder of `--crops` contains drawn signs (`sprites.csv`, with `backgrounds.csv` to paste them on, and `crops.csv` of
crops cut out of drives) or the German benchmark (`train_index.csv`). `--held-out` folders of the same kind are only
used to measure. On crops without a sign the network is trained towards equal probabilities (outlier exposure,
Hendrycks, Mazeika and Dietterich 2019, arXiv:1812.04606).
"""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..outputs import SIGN_CLASSES
from .frame_crops import FrameCrops, read_frame_crops
from .onnx_export import write_onnx
from .sign_crops import compose_crop
from .sign_pictures import NO_SIGN, Pixels, SignPictures, gtsrb_crops, read_backgrounds, read_gtsrb, read_pictures
from .sign_training import ResidualBlock, option_parser, seed_libraries, train

WIDTHS = (24, 48, 64, 96)
COMPOSED, FROM_FRAMES, NO_SIGNS = 40, 32, 24  # crops in a batch, by origin
UNDECIDED_WEIGHT = 0.5  # of the crops without a sign in the loss, as in the paper
LABEL_SMOOTHING = 0.03
SIZE_BINS_PX = (8, 12, 16, 24, 48)


class SignNetwork(nn.Module):
    """Crops (n, 32, 32, 3) in 0..255 -> logits (n, 14), features (n, 96), and the head's weight and bias.

    42 million multiply-adds for a crop, 0.40 million parameters. Colors are scaled to [-1, 1] inside.
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
        # The head's parameters are outputs too, so that its gradients follow from the graph's outputs alone.
        return self.head(features), features, self.head.weight * 1, self.head.bias * 1


OUTPUTS = ("logits", "features", "weight", "bias")


@dataclass(frozen=True, slots=True)
class Batches:
    """Draws the batch of a step and computes its loss.

    Types come equally often, and within a type of `pictures` photographs and drawn signs do.
    """

    network: SignNetwork
    pictures: SignPictures
    groups: list[list[NDArray[np.int64]]]  # indices of `pictures` by type, then by origin
    backgrounds: list[Pixels]
    frames: FrameCrops
    rng: np.random.Generator

    def loss_at(self, step: int) -> Tensor:
        """The loss of the next batch; steps have to be asked for in order."""
        rng, pictures = self.rng, self.pictures
        chosen = [_draw(self.groups, rng) for _ in range(COMPOSED)]
        composed = [compose_crop(pictures.rgba[i], bool(pictures.drawn[i]), self.backgrounds, rng) for i in chosen]
        cut, cut_class = self.frames.signs(FROM_FRAMES, rng)
        others = self.frames.others(NO_SIGNS, rng)
        logits = self.network(torch.from_numpy(np.concatenate([composed, cut, others])))[0]
        signs = len(chosen) + len(cut)
        class_id = torch.from_numpy(np.concatenate([pictures.class_id[chosen], cut_class]))
        loss = nn.functional.cross_entropy(logits[:signs], class_id, label_smoothing=LABEL_SMOOTHING)
        if len(others):
            loss = loss - UNDECIDED_WEIGHT * torch.log_softmax(logits[signs:], dim=1).mean()
        return loss


def measure(network: SignNetwork, folders: list[Path]) -> dict[str, float]:
    """Accuracies on folders that were not trained on: published photographs, drawn signs by size, crops of frames."""
    metrics: dict[str, float] = {}
    for folder in (f for f in folders if (f / "train_index.csv").is_file()):
        for fold in ("val", "test_public"):
            photographs = read_gtsrb(folder, fold)
            metrics |= _accuracies(f"gtsrb_{fold}", predict(network, gtsrb_crops(photographs)), photographs.class_id)
    drawn_folders = [f for f in folders if (f / "sprites.csv").is_file()]
    if drawn_folders:
        drawn, backgrounds = read_pictures(drawn_folders, ""), read_backgrounds(drawn_folders)
        rng = np.random.default_rng(0)
        for low, high in itertools.pairwise(SIZE_BINS_PX):
            sizes = rng.uniform(low, high, len(drawn))
            crops = [compose_crop(p, True, backgrounds, rng, float(s)) for p, s in zip(drawn.rgba, sizes, strict=True)]
            metrics |= _accuracies(f"drawn_{low}_{high}px", predict(network, np.stack(crops)), drawn.class_id)
    frames = read_frame_crops(folders)
    if len(frames):
        logits, is_sign = predict(network, frames.pixels), frames.class_id != NO_SIGN
        metrics |= _accuracies("frames", logits[is_sign], frames.class_id[is_sign])
        metrics["no_sign_sure"] = float((_confidence(logits[~is_sign]) >= 0.8).mean())
    return metrics


def predict(network: SignNetwork, crops: Pixels) -> NDArray[np.float32]:
    """Logits (n, 14) of crops (n, 32, 32, 3)."""
    network.eval()
    with torch.inference_mode():
        parts = [network(torch.from_numpy(crops[i : i + 256]))[0] for i in range(0, len(crops), 256)]
    return np.asarray(torch.cat(parts).numpy(), np.float32)


def _groups(pictures: SignPictures) -> list[list[NDArray[np.int64]]]:
    """For each type the indices of its photographs and of its drawn signs, without empty ones."""
    groups = []
    for class_id in range(len(SIGN_CLASSES)):
        mine = pictures.class_id == class_id
        sources = [np.flatnonzero(mine & pictures.drawn), np.flatnonzero(mine & ~pictures.drawn)]
        groups.append([indices for indices in sources if len(indices)])
    return [group for group in groups if group]


def _draw(groups: list[list[NDArray[np.int64]]], rng: np.random.Generator) -> int:
    """A random index: first the type, then photograph or drawing, then the picture."""
    sources = groups[rng.integers(len(groups))]
    return int(rng.choice(sources[rng.integers(len(sources))]))


def _accuracies(name: str, logits: NDArray[np.float32], class_id: NDArray[np.int64]) -> dict[str, float]:
    right = logits.argmax(1) == class_id
    confidence = _confidence(logits)
    macro = np.mean([right[class_id == c].mean() for c in np.unique(class_id)])
    metrics = {f"{name}_accuracy": float(right.mean()), f"{name}_macro_accuracy": float(macro)}
    for key, chosen in (("right", right), ("wrong", ~right)):
        if chosen.any():
            metrics[f"{name}_confidence_{key}"] = float(confidence[chosen].mean())
    return metrics


def _confidence(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    shifted = np.exp(logits - logits.max(1, keepdims=True))
    return np.asarray((shifted / shifted.sum(1, keepdims=True)).max(1))


def main() -> None:
    """Trains, writes the graph and prints the metrics as JSON."""
    arguments = option_parser(__doc__, steps=2000).parse_args()
    seed_libraries(arguments.seed)
    network = SignNetwork()
    pictures = read_pictures(arguments.crops, "train")
    print(f"{len(pictures)} pictures, {int(pictures.drawn.sum())} of them drawn", flush=True)
    frames = read_frame_crops(arguments.crops)
    signless = int((frames.class_id == NO_SIGN).sum())
    print(f"{len(frames)} crops of frames, {signless} of them without a sign", flush=True)
    backgrounds, rng = read_backgrounds(arguments.crops), np.random.default_rng(arguments.seed)
    batches = Batches(network, pictures, _groups(pictures), backgrounds, frames, rng)
    train(network, batches.loss_at, steps=arguments.steps, peak_rate=3e-3, warm_up=0.1)
    example = torch.zeros(2, 32, 32, 3, dtype=torch.uint8)
    write_onnx(network, example, arguments.out, input_name="crops", outputs=OUTPUTS, free_batch=True)
    if arguments.held_out:
        print(json.dumps(measure(network, arguments.held_out), indent=2))


if __name__ == "__main__":
    main()
