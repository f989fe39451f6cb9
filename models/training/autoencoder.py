"""Trains the tile auto-encoder with GradCon's loss and exports it as `weights/tiles.onnx`.

    python -m gradwatch.models.training.autoencoder --pictures FOLDER… --work FOLDER [--steps 6000]

Reads every PNG and JPEG of the folders, or of a text file that lists one path a line; the caller has to select
pictures that may be used for training. Resumes at the checkpoint in `--work`. Equal seeds give equal weights on one
machine; other processors round differently.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gradwatch import MissingFileError

from ..autoencoder import COLUMNS, FRAME_SIZE, ROWS, TILE_PX, shrink
from ..gradients.reconstruction import GradConAutoencoder, GradConForward, GradientReference, gradcon_loss
from ..preprocess import resize
from ..zoo import MODELS, WEIGHTS
from .onnx_export import write_onnx

SUFFIXES = {".png", ".jpg", ".jpeg"}
MODULES = ("autoencoder", "optimizer", "schedule")  # attributes of `Training` with a state of their own


class TileNetwork(nn.Module):
    """The exported network: uint8 RGB tiles (n, 28, 28, 3) -> loss (n,), cosines (n, 4), latent (n, 576)."""

    def __init__(self, autoencoder: GradConAutoencoder, reference: Sequence[Tensor]) -> None:
        super().__init__()
        self.gradcon = GradConForward(autoencoder, reference)

    def forward(self, tiles: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The outputs in the order of the class docstring."""
        x = tiles.to(torch.float32).permute(0, 3, 1, 2) * (1 / 255)
        outputs: tuple[Tensor, Tensor, Tensor] = self.gradcon(x)
        return outputs


def list_pictures(sources: Sequence[Path]) -> list[Path]:
    """Every picture in the folders (sorted, without subfolders) and in the text files that list one path a line."""
    found: list[Path] = []
    for source in sources:
        if source.is_dir():
            found += sorted(path for path in source.iterdir() if path.suffix.lower() in SUFFIXES)
        elif source.is_file():
            found += [Path(line) for line in source.read_text().splitlines() if line.strip()]
        else:
            raise MissingFileError(f"--pictures: expected a folder or a list of paths, got {source}")
    if not found:
        raise ValueError(f"no PNG or JPEG in {[str(source) for source in sources]}")
    return found


def read_frame(path: Path, jpeg_quality: int = 90) -> NDArray[np.uint8]:
    """One picture as a camera would send it: (270, 480, 3) uint8 RGB.

    Cut to 16:9 around its middle and scaled to a width of 960 px. A PNG is compressed as JPEG once, or else the
    network would learn pictures without compression and score every real one as unusual.
    """
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if picture is None:
        raise ValueError(f"expected a picture that OpenCV can read, got {path}")
    height, width = picture.shape[:2]
    cut_width, cut_height = min(width, height * 16 // 9), min(height, width * 9 // 16)
    x, y = (width - cut_width) // 2, (height - cut_height) // 2
    picture = picture[y : y + cut_height, x : x + cut_width]
    picture = resize(np.asarray(picture, np.uint8), (960, 540))
    if path.suffix.lower() == ".png":
        encoded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, jpeg_quality])[1]
        picture = np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR), np.uint8)
    return shrink(np.ascontiguousarray(picture[:, :, ::-1]))


def random_tiles(frames: NDArray[np.uint8], count: int, generator: np.random.Generator) -> Tensor:
    """`count` tiles at random positions of random frames, half mirrored, light varied by up to 15 %.

    frames (f, 270, 480, 3) uint8 -> (count, 3, 28, 28) float32 in [0, 1]. Light is varied because the exposure of a
    clean drive varies; sharpness, noise and contrast are not, because their changes are to be detected.
    """
    which = generator.integers(len(frames), size=count)
    top = generator.integers(FRAME_SIZE[1] - TILE_PX + 1, size=count)
    left = generator.integers(FRAME_SIZE[0] - TILE_PX + 1, size=count)
    tiles = np.stack(
        [frames[f, y : y + TILE_PX, x : x + TILE_PX] for f, y, x in zip(which, top, left, strict=True)]
    ).astype(np.float32)
    mirrored = generator.random(count) < 0.5
    tiles[mirrored] = tiles[mirrored, :, ::-1]
    gain = generator.uniform(0.85, 1.15, size=(count, 1, 1, 1)).astype(np.float32)
    return torch.from_numpy(np.clip(tiles * (gain / 255), 0, 1).transpose(0, 3, 1, 2).copy())


class Training:
    """The state of a run that its checkpoint contains: network, optimizer, reference, random numbers, step."""

    def __init__(self, seed: int, steps: int, learning_rate: float) -> None:
        torch.manual_seed(seed)
        self.autoencoder = GradConAutoencoder(3)
        self.optimizer = torch.optim.Adam(self.autoencoder.parameters(), lr=learning_rate)
        self.schedule = torch.optim.lr_scheduler.CosineAnnealingLR(self.optimizer, steps, eta_min=1e-5)
        self.reference = GradientReference()
        self.generator = np.random.default_rng(seed)
        self.step = 0

    def advance(self, x: Tensor, alpha: float) -> tuple[float, float]:
        """One step of Adam on a batch; returns (L, mean cosine)."""
        self.optimizer.zero_grad()
        total, loss, gradient_loss = gradcon_loss(self.autoencoder, x, self.reference, alpha)
        torch.autograd.backward(total)
        self.reference.update([w.grad for w in self.autoencoder.decoder_weights() if w.grad is not None])
        self.optimizer.step()
        self.schedule.step()
        self.step += 1
        return loss.item(), -gradient_loss.item()

    def save(self, path: Path) -> None:
        """Writes a checkpoint, atomically."""
        state = {name: getattr(self, name).state_dict() for name in MODULES} | {
            "reference": self.reference.means,
            "count": self.reference.count,
            "generator": self.generator.bit_generator.state,
            "step": self.step,
        }
        torch.save(state, path.with_suffix(".new"))
        path.with_suffix(".new").replace(path)

    def load(self, path: Path) -> None:
        """Restores the state of a checkpoint."""
        state = torch.load(path, weights_only=True)
        for name in MODULES:
            getattr(self, name).load_state_dict(state[name])
        self.reference = GradientReference(state["reference"], state["count"])
        self.generator.bit_generator.state = state["generator"]
        self.step = state["step"]


def export(autoencoder: GradConAutoencoder, reference: Sequence[Tensor], path: Path) -> None:
    """Writes the ONNX graph: `tiles` (n, 28, 28, 3) uint8 -> `loss` (n,), `cosines` (n, 4), `latent` (n, 576)."""
    example = torch.zeros(2, TILE_PX, TILE_PX, 3, dtype=torch.uint8)
    names = ("loss", "cosines", "latent")
    write_onnx(TileNetwork(autoencoder, reference), example, path, input_name="tiles", outputs=names, free_batch=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Trains, prints the progress and exports."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=Path, nargs="+", required=True, help="folders, or lists of paths")
    parser.add_argument("--work", type=Path, required=True, help="folder of the checkpoint")
    parser.add_argument("--output", type=Path, default=WEIGHTS / MODELS["tiles"].file)
    parser.add_argument("--steps", type=int, default=6000)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--alpha", type=float, default=0.03)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)

    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    frames = np.stack([read_frame(path) for path in list_pictures(options.pictures)])
    print(f"{len(frames)} pictures, {ROWS} x {COLUMNS} tiles each")
    training = Training(options.seed, options.steps, options.learning_rate)
    options.work.mkdir(parents=True, exist_ok=True)
    checkpoint = options.work / "tiles.pt"
    if checkpoint.exists():
        training.load(checkpoint)
    losses: list[tuple[float, float]] = []
    while training.step < options.steps:
        losses.append(training.advance(random_tiles(frames, options.batch, training.generator), options.alpha))
        if training.step % 500 == 0 or training.step == options.steps:
            loss, cosine = np.mean(losses[-500:], axis=0)
            print(f"step {training.step}: L {loss:.5f}, mean cosine {cosine:.3f}", flush=True)
            training.save(checkpoint)
    export(training.autoencoder, training.reference.means, options.output)
    print(f"wrote {options.output}")


if __name__ == "__main__":
    main()
