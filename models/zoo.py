"""The shipped weights: one table. Each file has a model card beside it, `weights/<name>.md`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gradwatch import MissingFileError

WEIGHTS = Path(__file__).resolve().parent / "weights"


@dataclass(frozen=True, slots=True)
class ShippedModel:
    """One ONNX file and its purpose."""

    file: str
    kind: Literal["pedestrians", "signs", "classifier", "tiles"]

    def path(self, folder: Path = WEIGHTS) -> Path:
        """The file in a folder of weights. Raises MissingFileError if it is not there."""
        path = folder / self.file
        if not path.is_file():
            raise MissingFileError(f"no {self.file} (model for {self.kind}) in {folder}")
        return path


MODELS = {
    "nanodet_m": ShippedModel("nanodet_m.onnx", "pedestrians"),
    "sign_detector": ShippedModel("sign_detector.onnx", "signs"),
    "sign_classifier": ShippedModel("sign_classifier.onnx", "classifier"),
    "tiles": ShippedModel("tiles.onnx", "tiles"),
}
