"""What the training commands of the two sign networks share: options, network block and training loop."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from pathlib import Path

import cv2
import torch
from torch import Tensor, nn

REPORT_EVERY = 100  # steps between two lines of progress, and two checkpoints


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


def option_parser(description: str | None, *, steps: int) -> argparse.ArgumentParser:
    """The options that both commands have. steps: default number of training steps."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--crops", type=Path, nargs="+", required=True, help="folders of drawn signs and of GTSRB")
    parser.add_argument("--held-out", type=Path, nargs="*", default=[], help="folders to measure on")
    parser.add_argument("--out", type=Path, required=True, help="the ONNX file to write")
    parser.add_argument("--steps", type=int, default=steps)
    parser.add_argument("--seed", type=int, default=1)
    return parser


def seed_libraries(seed: int) -> None:
    """Makes torch reproducible: one thread, seeded weights."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    torch.manual_seed(seed)


def train(
    network: nn.Module,
    loss_at: Callable[[int], Tensor],
    *,
    steps: int,
    peak_rate: float,
    warm_up: float,
    gradient_limit: float = math.inf,
    checkpoint: Path | None = None,
) -> None:
    """AdamW over one learning-rate cycle: linear up to `peak_rate`, half a cosine down to 0.

    loss_at: draws the batch of a step, numbered from 0, and returns its loss. warm_up: share of the steps before the
    peak. gradient_limit: norm to which larger gradients are scaled. checkpoint: file that the training resumes from
    and renews.
    """
    network.train()
    optimizer = torch.optim.AdamW(network.parameters(), weight_decay=0.01)
    done = 0
    if checkpoint and checkpoint.is_file():
        stored = torch.load(checkpoint, weights_only=True)
        network.load_state_dict(stored["network"])
        optimizer.load_state_dict(stored["optimizer"])
        done = stored["done"]
    while done < steps:
        used = done / steps
        optimizer.param_groups[0]["lr"] = peak_rate * min(1.0, used / warm_up) * (1 + math.cos(math.pi * used)) / 2
        loss = loss_at(done)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(network.parameters(), gradient_limit)
        optimizer.step()
        done += 1
        if done % REPORT_EVERY == 0 or done == steps:
            print(f"step {done} of {steps} loss {loss.item():.3f}", flush=True)
            if checkpoint:
                stored = {"network": network.state_dict(), "optimizer": optimizer.state_dict(), "done": done}
                torch.save(stored, checkpoint)
