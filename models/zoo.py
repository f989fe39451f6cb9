"""The weights that come with the package: one table. Each has a model card beside it, `weights/<name>.md`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gradwatch import MissingFileError

WEIGHTS = Path(__file__).resolve().parent / "weights"


@dataclass(frozen=True, slots=True)
class ShippedModel:
    """One ONNX file: what it does, and the name and shape of its input ("n" = any number)."""

    file: str
    kind: Literal["pedestrians", "signs", "classifier", "tiles"]
    input: str
    shape: tuple[int | str, ...]
    made_by: str  # the module with the command

    def path(self, folder: Path = WEIGHTS) -> Path:
        """Where the file lies in a folder of weights. Raises MissingFileError when it doesn't."""
        path = folder / self.file
        if not path.is_file():
            raise MissingFileError(f"no {self.file} (model for {self.kind}) in {folder}")
        return path


MODELS = {
    "nanodet_m": ShippedModel(
        "nanodet_m.onnx", "pedestrians", "input.1", (1, 3, 416, 416), "gradwatch.models.training.nanodet"
    ),
    "sign_detector": ShippedModel(
        "sign_detector.onnx", "signs", "image", (1, 288, 512, 3), "gradwatch.models.training.sign_detector"
    ),
    "sign_classifier": ShippedModel(
        "sign_classifier.onnx", "classifier", "crops", ("n", 32, 32, 3), "gradwatch.models.training.sign_classifier"
    ),
    "tiles": ShippedModel("tiles.onnx", "tiles", "tiles", ("n", 28, 28, 3), "gradwatch.models.training.autoencoder"),
}
