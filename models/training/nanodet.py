"""Makes `weights/nanodet_m.onnx` from the published NanoDet-m 416 graph; nothing is trained.

    python -m gradwatch.models.training.nanodet PATH/TO/nanodet_m.onnx

The published graph is instrumented, with the locations of each level ranked by the class `person` only; all 80 logits
of a location are kept. Weights are removed from the graph's list of inputs, where ONNX required them before 2019 and
where they prevent ONNX Runtime from folding constants.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import onnx

from ..coco import COCO_CLASSES, PERSON
from ..instrument import instrument, recognize
from ..zoo import MODELS, WEIGHTS


def main(arguments: Sequence[str] | None = None) -> None:
    """Reads, instruments and writes the graph."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="the published nanodet_m.onnx (416 px)")
    parser.add_argument("--output", type=Path, default=WEIGHTS / MODELS["nanodet_m"].file)
    options = parser.parse_args(arguments)
    recognition = recognize(options.source, "nanodet")
    print(recognition.describe())
    onnx.save(instrument(recognition, classes=COCO_CLASSES, ranked=[PERSON]), options.output)
    print(f"wrote {options.output}")


if __name__ == "__main__":
    main()
